"""Light, skin, wrinkles and nails on the height field of a drawn hand.

The normals of the field are lit by the light of the picture, and the shade picks the colour from the skin of the person
in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.geometry import smooth_noise
from artifact_utils.synthesis.hands.hand_model import SUPERSAMPLING, Hand, Mark, window_around
from artifact_utils.synthesis.shading import light_from, skin_mask, skin_ramp


def render_hand(image: np.ndarray, rng: np.random.Generator, face: Face, hand: Hand, radius: float) -> np.ndarray:
    """Light the hand, colour it with the person's skin and lay it into the picture with its shadow.

    Args:
        image: picture.
        rng: randomness.
        face: where the face is, for skin and light.
        hand: on a canvas ``SUPERSAMPLING`` times as large as the picture.
        radius: of a finger in canvas pixels: the scale of the relief.
    """
    rows, columns = np.flatnonzero(hand.height.any(axis=1)), np.flatnonzero(hand.height.any(axis=0))
    if len(rows) == 0:
        return image
    # Only the part of the canvas that the hand and its shadow take is drawn, in whole pixels of the picture.
    margin, step = int(3 * radius), SUPERSAMPLING
    corners = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], dtype=float)
    window = window_around(hand.height.shape, corners, margin)
    y0, x0 = window[0].start // step * step, window[1].start // step * step
    y1, x1 = -(-window[0].stop // step) * step, -(-window[1].stop // step) * step
    height = hand.height[y0:y1, x0:x1]
    small = slice(y0 // step, y1 // step), slice(x0 // step, x1 // step)
    corner = np.array([x0, y0], dtype=float)

    light, ramp = light_from(image, face).astype(hand.precision), skin_ramp(image, skin_mask(image, face))
    colour = _lit_skin(height, rng, light, ramp, radius, _shifted(hand.creases, corner))
    for nail in _shifted(hand.nails, corner):
        _paint_nail(colour, nail)
    part = image[small]
    size = part.shape[1::-1]
    softness = 0.0022 * min(image.shape[:2])
    layer = blur(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), softness)
    alpha = blur(cv2.resize((height > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA), softness)
    reach = radius / step
    base = shadow(part, alpha, (-light[0] * reach, 0.6 * reach), 0.7 * reach, 0.42)
    changed = image.copy()
    changed[small] = add_grain(over(base, layer, alpha), alpha, rng, like=image, floor=1.2)
    return changed


def _shifted(marks: list[Mark], corner: np.ndarray) -> Iterator[Mark]:
    for mark in marks:
        yield Mark(mark.centre - corner, mark.along, mark.radius)


def _lit_skin(
    height: np.ndarray,
    rng: np.random.Generator,
    light: np.ndarray,
    ramp: np.ndarray,
    radius: float,
    creases: Iterator[Mark],
) -> np.ndarray:
    """The colours (H, W, 3) of a relief of skin under a light."""
    pores = smooth_noise(rng, height.shape, max(0.16 * radius, 2.0))
    relief = blur(height, 0.12 * radius) + smooth_noise(rng, height.shape, 0.9 * radius) * 0.03 * radius
    relief += 0.012 * radius * pores
    dx, dy = cv2.Sobel(relief, -1, 1, 0, scale=0.125), cv2.Sobel(relief, -1, 0, 1, scale=0.125)
    # Only the pixels of the hand, and those that blurring mixes into them, are lit: (n,) from here on.
    reach = np.ones((4 * SUPERSAMPLING + 9, 4 * SUPERSAMPLING + 9), np.uint8)
    seen = cv2.dilate((height > 0).view(np.uint8), reach).astype(bool)
    dx, dy = dx[seen], dy[seen]
    normal_z = 1 / np.sqrt(dx**2 + dy**2 + 1)
    diffuse = np.clip((-dx * light[0] - dy * light[1] + light[2]) * normal_z, 0, 1)
    # Where the surface lies lower than its surroundings, less light arrives: gaps between fingers.
    quarter = cv2.resize(height, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = cv2.resize(blur(quarter, 0.22 * radius), height.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    hidden = np.clip((around[seen] - height[seen]) / radius, 0, 1)
    blotches = smooth_noise(rng, height.shape, 2.5 * radius)[seen]
    lit = 0.2 + 0.66 * diffuse - 0.5 * hidden + 0.035 * blotches + 0.012 * pores[seen]
    shade = np.zeros(height.shape, lit.dtype)
    shade[seen] = lit
    for crease in creases:
        _wrinkle(shade, rng, crease)
    colour = np.zeros((*height.shape, 3), np.float32)
    skin = ramp[np.clip(shade[seen] * 255, 0, 255).astype(np.uint8)]
    # Skin shines where the mirrored light meets the eye.
    halfway = light + np.array([0.0, 0.0, 1.0], light.dtype)
    halfway /= np.linalg.norm(halfway)
    shine = np.clip((-dx * halfway[0] - dy * halfway[1] + halfway[2]) * normal_z, 0, 1) ** 2
    shine *= shine
    shine *= shine
    shine *= shine * shine  # to the power of 24, several times faster than asking for it
    shine *= 16
    for channel, flush in enumerate(np.array([0.02, -0.025, -0.03], np.float32)):
        colour[..., channel][seen] = skin[:, channel] * (1 + blotches * flush) + shine
    return colour


def _wrinkle(shade: np.ndarray, rng: np.random.Generator, crease: Mark) -> None:
    """Darken two or three short lines across a finger, in place."""
    offsets = rng.normal(0, 0.22, int(rng.integers(2, 4)))
    bends = rng.normal(0, 0.12, len(offsets))
    window = window_around(shade.shape, crease.centre[None], 1.6 * crease.radius)
    part = shade[window]
    if part.size == 0:
        return
    lines = np.zeros(part.shape, np.uint8)
    across = np.array([-crease.along[1], crease.along[0]])
    corner = crease.centre - [window[1].start, window[0].start]
    for offset, bend in zip(offsets, bends, strict=True):
        ends = corner + crease.along * offset * crease.radius + np.outer([-0.6, 0, 0.6], across) * crease.radius
        ends[1] += crease.along * bend * crease.radius
        fixed = np.round(ends * 16).astype(np.int32)[:, None]
        cv2.polylines(lines, [fixed], False, 255, max(int(0.1 * crease.radius), 1), cv2.LINE_AA, 4)
    part -= 0.15 * blur(lines.astype(np.float32) / 255, 0.06 * crease.radius)


def _paint_nail(colour: np.ndarray, nail: Mark) -> None:
    """Paint a nail in place: paler and pinker than the skin, with a darker rim and a soft highlight."""
    window = window_around(colour.shape, nail.centre[None], 1.2 * nail.radius + 2)
    part = colour[window]
    if part.size == 0:
        return
    y, x = np.mgrid[window].astype(np.float32)
    x, y = x - np.float32(nail.centre[0]), y - np.float32(nail.centre[1])
    u = (x * nail.along[0] + y * nail.along[1]) / (0.72 * nail.radius)
    v = (-x * nail.along[1] + y * nail.along[0]) / (0.55 * nail.radius)
    distance = np.sqrt(np.sqrt(u**4 + v**4))
    plate = np.clip((1 - distance) / 0.25, 0, 1)
    rim = np.clip(1 - np.abs(distance - 1) / 0.18, 0, 1)
    shine = np.exp(-(((u - 0.1) / 0.5) ** 2 + ((v + 0.25) / 0.22) ** 2)) * plate
    pale = part * np.array([1.06, 1.01, 1.02], np.float32) + np.array([10, 5, 6], np.float32)
    painted = over(part, pale, 0.85 * plate) * (1 - 0.22 * rim[..., None]) + (26 * shine)[..., None]
    colour[window] = painted
