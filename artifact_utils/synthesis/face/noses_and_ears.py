"""Noses that are doubled or out of place, and broken ears."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import copy_patch
from artifact_utils.synthesis.geometry import around, ellipse, grid, put_back, smooth_noise, warp


def doubled_nose(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second nose beside, above or below the nose."""
    unit = face.unit
    side = rng.choice([-1, 1]) if not face.is_profile else -np.sign(face.facing)
    places = [
        (side * rng.uniform(0.42, 0.6), rng.normal(0, 0.08)),
        (rng.normal(0, 0.1), 0.85),
        (rng.normal(0, 0.1), -1.0),
    ]
    right, down = places[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    nose = np.array(face.nose, dtype=float)
    target = nose + unit * (face.right * right + face.down * down)
    radii = ((0.32 + 0.06 * strength) * unit, (0.36 + 0.1 * strength) * unit)
    return copy_patch(
        image, nose, target, radii, face.angle, turn=rng.normal(0, 8 + 14 * strength), scale=rng.uniform(0.85, 1.15)
    )


def shifted_nose(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The nose sits askew: slid to one side, turned and swollen."""
    unit = face.unit
    window, part, local = around(image, face, face.nose, 1.2 * unit)
    side = rng.choice([-1.0, 1.0])
    move = local.right * side * (0.3 + 0.2 * strength) * unit + local.down * rng.normal(0, 0.06) * unit
    centre = np.array(local.nose) + move * 0.6
    core = ellipse(part.shape, centre, (0.75 * unit, 0.72 * unit), face.angle, feather=0.8)
    zoom = 1 + rng.uniform(0.0, 0.35) * strength
    turn = np.radians(rng.normal(0, 12 + 14 * strength))
    x, y = grid(part.shape)
    x, y = x - np.float32(local.nose[0] + move[0]), y - np.float32(local.nose[1] + move[1])
    cos, sin = np.float32(np.cos(turn) / zoom), np.float32(np.sin(turn) / zoom)
    dx, dy = x * cos - y * sin - x - np.float32(move[0]), x * sin + y * cos - y - np.float32(move[1])
    # The nose throws a shadow where there was none.
    beside = np.array(local.nose) + move + local.right * side * 0.26 * unit - local.down * 0.15 * unit
    dark = ellipse(part.shape, beside, (0.16 * unit, 0.42 * unit), face.angle - side * 14, feather=0.8)
    dark = dark * (0.22 + 0.14 * strength)
    return put_back(image, window, warp(part, dx * core, dy * core) * (1 - dark[..., None]))


def broken_ear(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An ear torn long, folded or crumpled, or the side of the head where it should be."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0]) if not face.is_profile else -float(np.sign(face.facing))
    centre = face.at(side * rng.uniform(1.1, 1.25), rng.uniform(0.2, 0.5))
    window, part, local = around(image, face, centre, 1.3 * unit)
    centre = centre - [window[1].start, window[0].start]
    area = ellipse(
        part.shape, centre, ((0.42 + 0.1 * strength) * unit, (0.62 + 0.1 * strength) * unit), face.angle, feather=0.7
    )
    x, y = grid(part.shape)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    turn = area * np.float32(rng.choice([-1, 1]) * np.radians(30 + 70 * strength))
    cos, sin = np.cos(turn), np.sin(turn)
    crumple = area * (0.1 + 0.16 * strength) * unit
    stretch = area * (0.2 + 0.4 * strength) * unit * side
    dx = x * cos - y * sin - x - stretch * local.right[0] + crumple * smooth_noise(rng, part.shape, 0.3 * unit)
    dy = x * sin + y * cos - y - stretch * local.right[1] + crumple * smooth_noise(rng, part.shape, 0.3 * unit)
    return put_back(image, window, warp(part, dx, dy))
