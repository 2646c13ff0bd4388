"""Parts of the picture out of place: repeated blocks, slid rows, smears, seams, ghosts, channels that come apart."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import grey, over
from artifact_utils.synthesis.geometry import Window, around, ellipse, grid, put_back, smooth_noise, warp
from artifact_utils.synthesis.glitch.areas import patch_alpha


def _box(shape: tuple[int, ...], corner: np.ndarray, width: float, height: float) -> Window:
    """Rows and columns of a box that is moved into the picture where it would stick out."""
    w, h = int(np.clip(width, 2, shape[1] - 1)), int(np.clip(height, 2, shape[0] - 1))
    x, y = int(np.clip(corner[0], 0, shape[1] - w)), int(np.clip(corner[1], 0, shape[0] - h))
    return slice(y, y + h), slice(x, x + w)


def repeated_block(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A block of the face shown again and again beside itself."""
    unit = face.unit
    width, height = unit * rng.uniform(0.35, 0.75), unit * rng.uniform(0.35, 0.8)
    eye = np.array(face.left_eye if rng.random() < 0.5 else face.right_eye, dtype=float)
    source = [eye, np.array(face.mouth, dtype=float), face.at(0, 0.5)][int(rng.integers(3))]
    rows, columns = _box(image.shape, source - [width / 2, height / 2], width, height)
    block = image[rows, columns].copy()
    changed = image.copy()
    step = np.array([width, 0.0]) if rng.random() < 0.5 else np.array([0.0, height])
    step = step * rng.choice([-1, 1]) * rng.uniform(0.75, 1.05) + rng.normal(0, 0.03, 2) * unit
    corner = np.array([columns.start, rows.start], dtype=float)
    for i in range(1, 2 + int(rng.integers(1, 2 + round(3 * strength)))):
        r, c = _box(image.shape, corner + step * i, block.shape[1], block.shape[0])
        changed[r, c] = block
    return changed


def shifted_rows(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Bands of rows, or of columns, slid sideways across the face."""
    turned = rng.random() < 0.3
    changed = image.transpose(1, 0, 2).copy() if turned else image.copy()
    centre = face.at(0, rng.uniform(0, 1.1))[0 if turned else 1]
    unit = face.unit
    for _ in range(int(rng.integers(2, 4 + round(4 * strength)))):
        height = max(int(unit * rng.uniform(0.1, 0.35)), 2)
        top = int(np.clip(centre + rng.normal(0, 0.55) * unit, 0, changed.shape[0] - height))
        offset = int(rng.choice([-1, 1]) * unit * (0.2 + 0.45 * strength) * rng.uniform(0.7, 1.3))
        changed[top : top + height] = np.roll(changed[top : top + height], offset or 3, axis=1)
    return changed.transpose(1, 0, 2) if turned else changed


def smear(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Pixels dragged out in one direction, as by a wet thumb."""
    unit = face.unit
    side = float(rng.choice([-1, 1]))
    angle = rng.uniform(-60, 60)
    start = face.at(side * rng.uniform(0.0, 0.5), rng.uniform(-0.1, 1.1))
    # Turn the picture so that the smear is horizontal, hold each row's start pixel, and turn it back.
    forth = cv2.getRotationMatrix2D((float(start[0]), float(start[1])), angle, 1.0)
    size = image.shape[1::-1]
    turned = cv2.warpAffine(image, forth, size, borderMode=cv2.BORDER_REFLECT)
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    behind = np.maximum((x - np.float32(start[0])) * side, 0)
    squeeze = 0.06 + 0.2 * (1 - strength)
    source = np.float32(start[0]) + side * behind * squeeze
    dragged = cv2.remap(turned, source, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    length, breadth = unit * (1.0 + 0.7 * strength), unit * (0.35 + 0.3 * strength)
    ragged = 1 + 0.35 * smooth_noise(rng, (height, 1), 0.06 * unit)
    reach = np.clip((length * ragged - behind) / (0.15 * unit), 0, 1) * (behind > 0)
    alpha = reach * np.clip((breadth - np.abs(y - np.float32(start[1]))) / (0.12 * unit), 0, 1)
    back = cv2.invertAffineTransform(forth)
    alpha = cv2.warpAffine(alpha.astype(np.float32), back, size)
    return over(image, cv2.warpAffine(dragged, back, size, borderMode=cv2.BORDER_REFLECT), alpha)


def colour_bleed(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Colour channels come apart and a foreign hue floods a part of the face."""
    unit = face.unit
    alpha = patch_alpha(image.shape, rng, strength, face, feather=0.5)
    angle = rng.uniform(0, 2 * np.pi)
    step = np.array([np.cos(angle), np.sin(angle)]) * unit * (0.08 + 0.12 * strength)
    layer = image.copy()
    for channel, direction in zip(rng.permutation(3)[:2], (1, -1), strict=True):
        matrix = np.array([[1, 0, direction * step[0]], [0, 1, direction * step[1]]], np.float32)
        moved = cv2.warpAffine(image[..., int(channel)], matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        layer[..., int(channel)] = moved
    hue = np.array([[[rng.uniform(0, 180), 255, 255]]], np.uint8)
    tint = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    flood = tint * (grey(layer)[..., None] / 255 * 0.8 + 0.2)
    layer = over(layer, flood, np.full(image.shape[:2], 0.35 + 0.35 * strength, np.float32))
    return over(image, layer, alpha)


def seam(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A joint runs across the face: beyond it the picture is shifted, larger, and of another tone."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 2.1 * unit)
    way = rng.uniform(0, 2 * np.pi)
    normal = np.array([np.cos(way), np.sin(way)])
    middle = local.at(rng.normal(0, 0.3), rng.uniform(0, 1))
    x, y = grid(part.shape)
    distance = (x - np.float32(middle[0])) * np.float32(normal[0]) + (y - np.float32(middle[1])) * np.float32(normal[1])
    distance = distance + smooth_noise(rng, part.shape, 0.5 * unit) * rng.uniform(0, 0.15) * unit
    beyond = np.clip(distance / max(0.02 * unit, 0.7) + 0.5, 0, 1)
    # The tone comes back to the picture's own towards the window's border.
    fade = ellipse(part.shape, local.at(0, 0.5), (1.9 * unit, 1.9 * unit), feather=0.5) * beyond
    slide = np.array([-normal[1], normal[0]]) * rng.choice([-1, 1]) * (0.12 + 0.2 * strength) * unit
    zoom = rng.uniform(-0.1, 0.12)
    dx = (slide[0] + zoom * (x - np.float32(middle[0]))) * fade
    dy = (slide[1] + zoom * (y - np.float32(middle[1]))) * fade
    tone = np.float32(rng.choice([-1, 1]) * (0.06 + 0.14 * strength)) + rng.normal(0, 0.02, 3).astype(np.float32)
    changed = warp(part, dx, dy) * (1 + fade[..., None] * tone)
    crack = np.clip(1 - np.abs(distance) / (0.035 * unit + 0.5), 0, 1) * (rng.random() < 0.6)
    return put_back(image, window, np.clip(changed * (1 - 0.45 * crack[..., None] * (fade.max() > 0)), 0, 255))


def ghost_copy(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second, translucent picture of the face lies shifted and turned over the first."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 2.2 * unit)
    centre = local.at(0, 0.5)
    way = rng.uniform(0, 2 * np.pi)
    move = np.array([np.cos(way), np.sin(way)]) * (0.3 + 0.45 * strength) * unit
    turn, scale = rng.normal(0, 6 + 10 * strength), rng.uniform(0.88, 1.18)
    forth = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), turn, scale)
    forth[:, 2] = forth[:, 2] + move
    ghost = cv2.warpAffine(part, forth, part.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    alpha = ellipse(part.shape, centre + 0.6 * move, (1.15 * unit, 1.45 * unit), face.angle, feather=0.5)
    return put_back(image, window, over(part, ghost, alpha * (0.35 + 0.25 * strength)))
