"""Irregular patches on the face: the areas in which a picture is broken."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.geometry import Window, ellipse, extent, smooth_noise


def patch_alpha(
    shape: tuple[int, ...], rng: np.random.Generator, strength: float, face: Face, *, feather: float = 0.35
) -> np.ndarray:
    """Alpha of an irregular patch on the face, larger with strength."""
    unit = face.unit
    wobble = 0.3 * smooth_noise(rng, shape, 0.5 * unit)
    centre = face.at(rng.uniform(-0.7, 0.7), rng.uniform(-0.3, 1.3))
    radii = unit * (0.55 + 0.45 * strength) * rng.uniform(0.8, 1.3), unit * (0.5 + 0.4 * strength)
    return ellipse(shape, centre, radii, rng.uniform(0, 180), feather=feather, wobble=wobble)


def cut_patch(
    image: np.ndarray, rng: np.random.Generator, strength: float, face: Face, feather: float = 0.35
) -> tuple[Window, np.ndarray, np.ndarray]:
    """An irregular patch on the face: its window with some margin, the picture in it, and its alpha."""
    alpha = patch_alpha(image.shape, rng, strength, face, feather=feather)
    if not alpha.any():
        alpha[:] = ellipse(image.shape, face.at(0, 0.5), (face.unit, face.unit))
    window = extent(alpha, int(0.3 * face.unit) + 2)
    return window, np.ascontiguousarray(image[window]), np.ascontiguousarray(alpha[window])
