"""Signatures and seals, as on paintings and prints."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, over
from artifact_utils.synthesis.geometry import around, polygon, put_back, smooth_noise, stroke
from artifact_utils.synthesis.shading import in_tone
from artifact_utils.synthesis.text.inking import LINE_HEIGHT, place_sheet, readable_ink
from artifact_utils.synthesis.text.scripts import any_line


def signature(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A painter's scrawl in a lower corner."""
    height, width = image.shape[:2]
    side = min(height, width)
    length = side * (0.3 + 0.16 * strength)
    size = length * 0.34
    # A travelling loop whose height and lean change from letter to letter.
    t = np.linspace(0, 1, 240)
    turns = rng.uniform(4, 7)
    heights = np.interp(t, np.linspace(0, 1, 9), np.r_[1.0, rng.uniform(0.15, 0.75, 8)])
    phase = 2 * np.pi * turns * t + 0.8 * np.sin(2 * np.pi * (t * rng.uniform(1, 3) + rng.random()))
    x = length * (t + rng.uniform(0.02, 0.07) * np.sin(phase + 0.5))
    y = -size * heights * (np.cos(phase) * 0.5 + 0.2)
    left = rng.random() < 0.4
    corner = np.array([0.06 * width if left else 0.94 * width - length, height - 0.6 * size - 0.03 * side])
    line = np.stack([x, y], axis=1) + corner
    pen = max(side * (0.009 + 0.005 * strength), 2)
    alpha = stroke(image.shape, line, pen)
    if rng.random() < 0.5:
        under = np.stack([line[[0, -1], 0], np.full(2, corner[1] + 0.42 * size) + rng.normal(0, 2, 2)], axis=1)
        np.maximum(alpha, stroke(image.shape, under, pen), out=alpha)
    return over(image, readable_ink(rng, image, alpha), alpha * (0.75 + 0.25 * strength))


def small_signature(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A painter's small signature in a lower corner: loops, an initial, perhaps a stroke under it or a year."""
    height, width = image.shape[:2]
    side = min(height, width)
    length = side * rng.uniform(0.07, 0.14) * (0.9 + 0.7 * strength)
    size = length * rng.uniform(0.16, 0.3)
    n = int(rng.integers(4, 9))
    t = np.linspace(0, 1, 40 * n)
    phase = 2 * np.pi * n * t
    tall = np.interp(t, np.linspace(0, 1, n + 1), np.r_[rng.uniform(1.4, 2.2), rng.choice([0.5, 0.6, 1.3], n)])
    loop = np.interp(t, np.linspace(0, 1, n + 1), rng.uniform(-0.3, 0.5, n + 1))
    x = length * t + size * loop * np.sin(phase) + rng.uniform(0.1, 0.5) * size * tall
    y = -size * tall * (0.5 - 0.5 * np.cos(phase)) + size * 0.15 * np.sin(2 * np.pi * t * rng.uniform(0.5, 1.5))
    left = rng.random() < 0.35
    margin = rng.uniform(0.02, 0.06) * side
    corner = np.array([margin if left else width - margin - length - size, height - margin - 0.2 * size])
    tilt = np.radians(rng.normal(-4, 5))
    line = np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], axis=1) + corner
    window, part, _ = around(image, face, line.mean(axis=0), 0.75 * length + 2 * size)
    line = (line - [window[1].start, window[0].start]) * 3
    pen = max(side * rng.uniform(0.0035, 0.006) * 3, 2.5)
    large = (part.shape[0] * 3, part.shape[1] * 3)
    alpha = stroke(large, line[: int(len(line) * rng.uniform(0.85, 1))], pen)
    if rng.random() < 0.4:
        under = line[[0, -1]] + np.array([[0, 1.6 * size], [rng.normal(0, size), 1.2 * size]])
        np.maximum(alpha, stroke(large, under, pen * 0.8), out=alpha)
    alpha = cv2.resize(alpha, part.shape[1::-1], interpolation=cv2.INTER_AREA)
    dry = np.clip(0.95 + 0.5 * smooth_noise(rng, alpha.shape, 0.05 * length + 1), 0.35, 1)
    ink = in_tone(image, readable_ink(rng, part, alpha))
    ink = ink + rng.uniform(0, 0.35) * (part.mean(axis=(0, 1)) - ink)
    return put_back(image, window, over(part, ink, np.clip(alpha * dry * (0.75 + 0.3 * strength), 0, 1)))


def seal(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A small seal or a column of signs of no script near an edge, as on prints from the east."""
    height, width = image.shape[:2]
    side = min(height, width)
    size = side * rng.uniform(0.03, 0.05) * (0.9 + 0.7 * strength)
    n = int(rng.integers(1, 5))
    line = any_line(rng, LINE_HEIGHT, strength, 1, script=str(rng.choice(["cjk", "runes"])))
    cells = [
        line[4:-4, i * LINE_HEIGHT : (i + 1) * LINE_HEIGHT] for i in range(min(n, max(line.shape[1] // LINE_HEIGHT, 1)))
    ]
    widest = max(cell.shape[1] for cell in cells)
    sheet = np.concatenate([np.pad(cell, ((0, 0), (0, widest - cell.shape[1]))) for cell in cells])
    tall = min(size * len(cells), 0.5 * height)
    half = np.array([0.5 * tall * sheet.shape[1] / sheet.shape[0], 0.5 * tall])
    room = half + rng.uniform(0.02, 0.05) * side
    corner = np.array([rng.choice([0.0, 1.0]), rng.choice([0.0, 1.0], p=[0.4, 0.6])])
    centre = room + corner * (np.array([width, height]) - 2 * room)
    marks = place_sheet(image.shape, sheet, centre, tall, angle=0.0)
    red = in_tone(image, (rng.uniform(150, 205), rng.uniform(25, 60), rng.uniform(25, 50)))
    if rng.random() < 0.55:
        corners = centre + 1.15 * half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + rng.normal(0, 0.6, (4, 2))
        field = blur(polygon(image.shape, corners), 0.5)
        worn = np.clip(1.1 + 0.6 * smooth_noise(rng, image.shape, 0.012 * side + 1), 0.2, 1)
        image = over(image, red, field * worn * (0.7 + 0.3 * strength))
        return over(image, in_tone(image, (235, 225, 205)), marks * 0.85)
    ink = red if rng.random() < 0.3 else in_tone(image, readable_ink(rng, image, marks))
    return over(image, ink, marks * (0.65 + 0.3 * strength))
