"""Broken picture: repeated or displaced blocks, checkerboards, left-over noise, smears, bleeding colour."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import Artifact, blur, ellipse, grey, over, smooth_noise


def _area(
    shape: tuple[int, ...], rng: np.random.Generator, strength: float, face: Face, *, feather: float = 0.35
) -> np.ndarray:
    """Alpha of an irregular patch on the face, larger with strength."""
    unit = face.unit
    wobble = 0.3 * smooth_noise(rng, shape, 0.5 * unit)
    centre = face.at(rng.uniform(-0.7, 0.7), rng.uniform(-0.3, 1.3))
    radii = unit * (0.55 + 0.45 * strength) * rng.uniform(0.8, 1.3), unit * (0.5 + 0.4 * strength)
    return ellipse(shape, centre, radii, rng.uniform(0, 180), feather=feather, wobble=wobble)


def _box(shape: tuple[int, ...], corner: np.ndarray, width: float, height: float) -> tuple[slice, slice]:
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


def checkerboard(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The checker pattern of upsampling by transposed convolution, on part of the face."""
    unit = face.unit
    alpha = _area(image.shape, rng, strength, face)
    cell = max(unit * rng.uniform(0.07, 0.13), 2.5)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, 2)
    pattern = np.sin(x * np.pi / cell + phase[0]) * np.sin(y * np.pi / cell + phase[1])
    pattern = np.tanh(2.5 * pattern)
    tint = np.array([1, 1, 1], np.float32) + rng.normal(0, 0.35, 3).astype(np.float32)
    return image + (alpha * pattern * (26 + 44 * strength))[..., None] * tint


def noise_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face left half-denoised: blurred shapes under coloured grain."""
    unit = face.unit
    alpha = _area(image.shape, rng, strength, face)
    cell = max(0.05 * unit, 1.3)
    common = smooth_noise(rng, image.shape, cell) + 0.7 * smooth_noise(rng, image.shape, 0.2 * unit)
    colour = np.stack([smooth_noise(rng, image.shape, 1.4 * cell) for _ in range(3)], axis=2)
    noise = common[..., None] + colour * rng.uniform(0.25, 0.7)
    layer = blur(image, 0.15 * unit) + noise * (38 + 45 * strength)
    return over(image, np.clip(layer, 0, 255), alpha * (0.75 + 0.25 * strength))


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
    alpha = _area(image.shape, rng, strength, face, feather=0.5)
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


def blocky_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face in coarse blocks with the wrong levels, like a broken stream."""
    unit = face.unit
    cell = max(int(unit * (0.11 + 0.1 * strength)), 3)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(width // cell, 2), max(height // cell, 2)), interpolation=cv2.INTER_AREA)
    small = np.add(small, rng.normal(0, 6 + 10 * strength, small.shape), dtype=np.float32)
    layer = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    area = _area(small.shape, rng, strength, _scaled(face, small.shape[1] / width), feather=0.05)
    alpha = cv2.resize((area > 0.5).astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    return over(image, np.clip(layer, 0, 255), alpha)


def _scaled(face: Face, factor: float) -> Face:
    return face.moved(np.array([[factor, 0, 0], [0, factor, 0]]))


ARTIFACTS: tuple[Artifact, ...] = (
    repeated_block,
    shifted_rows,
    checkerboard,
    noise_patch,
    smear,
    colour_bleed,
    blocky_patch,
)
