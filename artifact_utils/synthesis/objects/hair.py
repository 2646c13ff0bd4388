"""Hair where none grows: strands across the face, locks before the mouth, rings that stand off the head."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.drawing import lock
from artifact_utils.synthesis.geometry import around, curve, put_back, stroke
from artifact_utils.synthesis.shading import hair_colour


def hair_strands(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A lock of hair that starts nowhere, lies across eye, nose or mouth and grows into the skin."""
    unit = face.unit
    colour = np.clip(hair_colour(image, face) * rng.uniform(0.8, 1.2), 8, 235)
    side = rng.choice([-1.0, 1.0])
    start = face.at(side * rng.uniform(0.2, 0.9), rng.uniform(-0.7, 0.3))
    end = face.at(side * rng.uniform(-0.9, 0.2), rng.uniform(0.6, 1.7))
    bow = (start + end) / 2 + rng.normal(0, 0.3, 2) * unit
    window, part, _ = around(image, face, (start + end) / 2, 1.6 * unit)
    corner = np.array([window[1].start, window[0].start])
    n = int(16 + 24 * strength)
    spread = (0.16 + 0.16 * strength) * unit
    changed = part
    total = np.zeros(part.shape[:2], np.float32)
    groups: list[np.ndarray] = [np.zeros(part.shape[:2], np.float32) for _ in range(3)]
    for i in range(n):
        wild = 2.2 if rng.random() < 0.15 else 1.0
        offsets = rng.normal(0, 1, (3, 1)) * spread * wild * np.array([[0.35], [1.0], [0.6]])
        across = np.array([end[1] - start[1], start[0] - end[0]]) / max(float(np.hypot(*(end - start))), 1.0)
        line = curve(np.array([start, bow, end]) + offsets * across - corner, 32)
        width = max(unit * rng.uniform(0.01, 0.035), 1.0)
        np.maximum(groups[i % 3], stroke(part.shape, line[: int(32 * rng.uniform(0.7, 1))], width), out=groups[i % 3])
    lock = np.maximum.reduce(groups)
    changed = shadow(changed, lock, (0.02 * unit, 0.06 * unit), 0.03 * unit, 0.45)
    for group, tone in zip(groups, (0.6, 1.0, 1.35), strict=True):
        alpha = blur(group, 0.4)
        changed = over(changed, np.clip(colour * tone + 4, 0, 255), alpha * 0.92)
        np.maximum(total, alpha, out=total)
    return put_back(image, window, add_grain(changed, total, rng, like=image))


def mouth_lock(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A lock or tuft of the person's own hair that grows before mouth, chin, nose or out of an eye."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    starts = [(0.55, 0.85), (0.15, 1.1), (0.5, 0.1), (0.3, 0.5), (0.75, 1.35)]
    right, down = starts[int(rng.integers(5))]
    start = face.at(side * right + rng.normal(0, 0.05), down + rng.normal(0, 0.08))
    way = rng.uniform(0, 2 * np.pi)
    length = unit * (0.4 + 0.5 * strength) * rng.uniform(0.8, 1.2)
    end = start + length * np.array([np.cos(way), np.sin(way)])
    bow = (start + end) / 2 + rng.normal(0, 0.3, 2) * length
    knots = np.array([start, bow, end])
    return lock(image, rng, face, knots, unit * rng.uniform(0.08, 0.17), int(18 + 16 * strength))


def hair_ring(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A curl that stands off the head in a ring, or a plait that sticks out of it."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    centre = face.at(side * rng.uniform(1.15, 1.5), rng.uniform(-1.1, 0.6))
    if rng.random() < 0.6:
        turn = np.linspace(0, 2 * np.pi * rng.uniform(0.75, 1.3), 9) + rng.uniform(0, 6)
        radius = unit * rng.uniform(0.12, 0.25) * (0.9 + 0.5 * strength)
        knots = centre + np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.7, 1.1)], axis=1) * radius
    else:
        out = face.right * side * rng.uniform(0.5, 1.0) - face.down * rng.uniform(-0.4, 0.8)
        length = unit * (0.5 + 0.5 * strength)
        knots = np.array(
            [centre - out * 0.3 * unit, centre + out * 0.5 * length, centre + out * length + face.down * 4]
        )
    return lock(image, rng, face, knots, unit * rng.uniform(0.04, 0.1), int(14 + 12 * strength))
