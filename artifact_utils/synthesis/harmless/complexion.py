"""Freckles, moles, make-up, shine on the skin, and eyes of another colour."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, grey, over
from artifact_utils.synthesis.drawing import iris_centre
from artifact_utils.synthesis.geometry import around, ellipse, put_back
from artifact_utils.synthesis.shading import in_tone, skin_mask


def freckles(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Freckles on cheeks and nose."""
    unit = face.unit
    spots = np.zeros(image.shape[:2], np.float32)
    for _ in range(int(rng.integers(25, 70))):
        right, down = rng.normal(0, 0.5), rng.normal(0.52, 0.16)
        radius = unit * rng.uniform(0.012, 0.026)
        spot = _freckle(spots.shape, face.at(right, down), radius)
        if spot is not None:
            rows, columns, alpha = spot
            np.maximum(spots[rows, columns], alpha * rng.uniform(0.3, 0.9), out=spots[rows, columns])
    spots = spots * skin_mask(image, face)
    return image * (1 - 0.3 * spots[..., None] * np.array([0.6, 0.95, 1.15], np.float32))


def _freckle(shape: tuple[int, ...], centre: np.ndarray, radius: float) -> tuple[slice, slice, np.ndarray] | None:
    """Rows, columns and alpha of a small soft dot, or None where it lies outside the picture."""
    reach = int(radius * 2) + 2
    x, y = int(centre[0]), int(centre[1])
    if not (reach <= x < shape[1] - reach and reach <= y < shape[0] - reach):
        return None
    v, u = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(np.float32)
    alpha = np.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / (2 * max(radius, 0.45) ** 2))
    return slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1), alpha.astype(np.float32)


def beauty_spot(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """One to three moles."""
    unit = face.unit
    for _ in range(int(rng.integers(1, 4))):
        spot = face.at(rng.uniform(-0.7, 0.7), rng.uniform(-0.4, 1.35))
        window, part, _ = around(image, face, spot, 0.25 * unit)
        radius = unit * rng.uniform(0.025, 0.045)
        spot = spot - [window[1].start, window[0].start]
        alpha = ellipse(part.shape, spot, (radius + 0.5, radius + 0.5), feather=0.6) * rng.uniform(0.5, 0.9)
        image = put_back(image, window, over(part, part * [0.4, 0.3, 0.28], alpha))
    return image


def lipstick(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A touch of colour on lips and cheeks."""
    unit = face.unit
    radii = (0.42 * unit, 0.17 * unit)
    lips = ellipse(image.shape, face.mouth, radii, face.angle, feather=0.7)
    cheeks = [ellipse(image.shape, face.at(x, 0.65), (0.4 * unit, 0.3 * unit), feather=0.95) for x in (-0.65, 0.65)]
    red = image[..., :1] - image[..., 1:2]
    lips = lips * np.clip((red[..., 0] - 12) / 30, 0, 1)
    tint = in_tone(image, np.array([1.08, 0.84, 0.88]) * 200) / 200
    alpha = np.maximum(lips * rng.uniform(0.6, 1), np.maximum(*cheeks) * rng.uniform(0, 0.5))
    return np.clip(over(image, image * tint, alpha), 0, 255)


def skin_shine(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Soft shine on brow, nose and cheekbones, as on warm skin under a lamp."""
    unit = face.unit
    side = float(rng.choice([-1.0, 1.0]))
    spots = [
        (0.15 * side, -0.55, 0.4, 0.2),
        (0.0, 0.4, 0.1, 0.2),
        (0.6 * side, 0.4, 0.25, 0.16),
        (0.0, 1.45, 0.18, 0.1),
    ]
    glow = np.zeros(image.shape[:2], np.float32)
    for right, down, wide, tall in spots:
        spot = ellipse(image.shape, face.at(right, down), (wide * unit, tall * unit), face.angle, feather=0.98)
        np.maximum(glow, spot * rng.uniform(0.2, 1), out=glow)
    glow = glow * blur(skin_mask(image, face), 0.06 * unit) * rng.uniform(0.15, 0.4)
    return over(image, np.minimum(image * 1.4 + 40, 252), glow)


def other_eye_colour(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Both irises of the same other colour, pupils and gleams kept."""
    unit = face.unit
    tints = ((70, 110, 160), (80, 120, 90), (120, 82, 50), (110, 120, 125), (120, 110, 60))
    tint = in_tone(image, np.array(tints[int(rng.integers(5))], np.float32))
    radius, strength = unit * rng.uniform(0.085, 0.105), rng.uniform(0.35, 0.7)
    for eye in (np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)):
        window, part, _ = around(image, face, eye, 0.4 * unit)
        centre = iris_centre(image, eye, unit) - [window[1].start, window[0].start]
        disc = ellipse(part.shape, centre, (radius, 0.9 * radius), feather=0.4)
        level = grey(part)[..., None]
        image = put_back(image, window, over(part, np.clip(tint * (level + 12) / 90, 0, 255), disc * strength))
    return image
