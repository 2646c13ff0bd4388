"""The steps of an artifact without its fault: pasted where it was, bent and bent back, copied onto itself."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, copy_patch, seamless
from artifact_utils.synthesis.geometry import around, ellipse, grid, put_back, smooth_noise, warp


def pasted_back(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A patch goes through the blending of the doubled features and lands where it was."""
    unit = face.unit
    centre = face.at(rng.uniform(-0.8, 0.8), rng.uniform(-0.6, 1.5))
    radii = unit * rng.uniform(0.3, 0.8), unit * rng.uniform(0.3, 0.8)
    alpha = ellipse(image.shape, centre, radii, rng.uniform(0, 180), feather=0.38)
    toned = image * rng.uniform(0.96, 1.04) + rng.normal(0, 2)
    return add_grain(seamless(image, blur(toned, 0.4), alpha, 0.35 * max(radii)), alpha, rng, like=image)


def warped_and_back(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The face is bent as in a melted one, and bent back: what remains is that it was resampled."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 1.7 * unit)
    area = ellipse(part.shape, local.at(0, 0.5), (1.2 * unit, 1.4 * unit), face.angle, feather=0.7)
    dx, dy = (smooth_noise(rng, part.shape, 0.7 * unit) * area * 0.14 * unit for _ in range(2))
    # The way back: b(p) = -d(p + b(p)), found by repeating it.
    bx, by = -dx, -dy
    x, y = grid(part.shape)
    for _ in range(6):
        bx, by = (-cv2.remap(d, x + bx, y + by, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for d in (dx, dy))
    return put_back(image, window, np.clip(warp(warp(part, dx, dy), bx, by), 0, 255))


def copied_in_place(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """An eye, nose or mouth is copied as for a doubled one, onto itself, turned by nothing."""
    unit = face.unit
    features = (face.left_eye, face.right_eye, face.nose, face.mouth)
    spot = np.array(features[int(rng.integers(4))], dtype=float)
    radii = (rng.uniform(0.4, 0.65) * unit, rng.uniform(0.28, 0.45) * unit)
    nudge = rng.normal(0, 0.006, 2) * unit
    return copy_patch(
        image, spot, spot + nudge, radii, face.angle, turn=rng.normal(0, 0.5), scale=rng.uniform(0.99, 1.01)
    )
