"""Skin that folds, wrinkles or joins where a face has no fold and no seam."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, grey, over
from artifact_utils.synthesis.geometry import (
    around,
    curve,
    ellipse,
    grid,
    polygon,
    put_back,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.shading import in_tone, light_from, lit


def folded_skin(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Deep knotted folds run over brow, cheek or nose, where skin does not fold."""
    unit = face.unit
    centre = face.at(*[(0.0, -0.5), (0.55, 0.55), (-0.55, 0.55), (0.0, 0.4), (0.0, 1.4)][int(rng.integers(5))])
    light = light_from(image, face)
    window, part, _ = around(image, face, centre, 1.1 * unit)
    centre = centre - [window[1].start, window[0].start]
    wobble = 0.25 * smooth_noise(rng, part.shape, 0.3 * unit)
    radii = (0.62 + 0.2 * strength) * unit, (0.42 + 0.2 * strength) * unit
    area = ellipse(part.shape, centre, radii, rng.uniform(-40, 40), feather=0.5, wobble=wobble)
    x, y = grid(part.shape)
    way = rng.uniform(0, np.pi)
    phase = (x * np.float32(np.cos(way)) + y * np.float32(np.sin(way))) / np.float32(unit * rng.uniform(0.09, 0.14))
    phase = phase + np.float32(2.2) * smooth_noise(rng, part.shape, 0.45 * unit)
    depth = np.clip(0.75 + 0.5 * smooth_noise(rng, part.shape, 0.3 * unit), 0.1, 1)
    folds = blur((1 - np.abs(np.sin(phase))) ** 2, 0.02 * unit) * depth
    height = -folds * (0.035 + 0.035 * strength) * unit * area
    dx, dy = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    slope = np.clip(-dx * np.float32(light[0]) - dy * np.float32(light[1] - 0.15), -1, 1)
    shade = 1 + 0.6 * slope - (0.25 + 0.2 * strength) * folds * area
    warm = np.array([1.0, 1.06, 1.08], np.float32)
    bent = warp(part, 0.6 * dx * unit * 0.1, 0.6 * dy * unit * 0.1)
    return put_back(image, window, np.clip(bent * np.clip(shade, 0.25, 1.5)[..., None] ** warm, 0, 255))


def drawn_wrinkles(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Wrinkles that are drawn, not folded: red, purple or brown lines along brow, cheek or round the mouth."""
    unit = face.unit
    light = light_from(image, face)
    place = int(rng.integers(3))
    side = rng.choice([-1.0, 1.0])
    window, part, local = around(image, face, face.at(0, (-0.5, 0.5, 1.1)[place]), 1.4 * unit)
    lines = np.zeros(part.shape[:2], np.float32)
    for i in range(int(rng.integers(2, 4 + round(3 * strength)))):
        if place == 0:
            down, dip = -0.38 - 0.13 * i, rng.normal(0, 0.06, 5)
            knots = [local.at(u, down + d) for u, d in zip(np.linspace(-0.65, 0.65, 5), dip, strict=True)]
        elif place == 1:
            knots = [
                local.at(side * (0.45 + 0.12 * i + 0.3 * v * v), 0.35 + 0.5 * v + rng.normal(0, 0.03))
                for v in (-0.6, 0, 1)
            ]
        else:
            knots = [local.at(side * (0.4 + 0.1 * i + rng.normal(0, 0.03)), 0.75 + 0.35 * v) for v in (0, 0.5, 1.1)]
        line = curve(np.array(knots), 40)
        begin = int(rng.integers(0, 10))
        pen = max(unit * rng.uniform(0.02, 0.045), 1)
        np.maximum(lines, stroke(part.shape, line[begin : int(rng.integers(28, 41))], pen), out=lines)
    colour = in_tone(image, ((120, 50, 120), (150, 40, 44), (96, 52, 40), (70, 44, 60))[int(rng.integers(4))])
    alpha = blur(lines, 0.012 * unit + 0.25) * np.clip(0.9 + 0.5 * smooth_noise(rng, lines.shape, 0.2 * unit), 0.2, 1)
    swollen = lit(lines, light, 0.05 * unit)
    level = grey(part)[..., None]
    layer = np.clip(colour * (0.35 + level / 190) * np.clip(swollen, 0.7, 1.15)[..., None], 0, 255).astype(np.float32)
    ridge = blur(np.roll(lines, -max(round(0.04 * unit), 1), axis=0), 0.02 * unit)
    base = part * (1 + 0.12 * strength * ridge[..., None])
    return put_back(image, window, np.clip(over(base, layer, alpha * (0.6 + 0.3 * strength)), 0, 255))


def jaw_seam(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A seam as of a mask: a fine crack along jaw, temple or cheek, the skin on one side of another tone."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    paths = [
        [(1.0, 0.2), (0.92, 0.9), (0.6, 1.4), (0.1, 1.62)],
        [(0.95, -0.3), (0.7, 0.3), (0.75, 0.8), (0.5, 1.3)],
        [(0.3, -0.9), (0.55, -0.5), (0.75, -0.1), (1.0, 0.1)],
    ]
    window, part, local = around(image, face, face.at(0.5 * side, 0.6), 1.7 * unit)
    path = paths[int(rng.integers(3))]
    knots = np.array([local.at(side * (u + rng.normal(0, 0.03)), v + rng.normal(0, 0.03)) for u, v in path])
    line = curve(knots, 60)
    line = line + rng.normal(0, 0.012, line.shape) * unit
    outer = np.vstack([line, [local.at(2.6 * side, knots_end) for knots_end in (2.4, -1.2)]])
    beyond = blur(polygon(part.shape, outer), 0.5)
    near = blur(stroke(part.shape, line, max(0.3 * unit, 1)), 0.12 * unit)
    tone = 1 + rng.choice([-1, 1]) * rng.uniform(0.08, 0.14) * (0.8 + strength) * np.array([1.0, 1.05, 1.1])
    changed = over(part, part * tone, beyond * np.clip(1.6 * near, 0, 1))
    crack = blur(stroke(part.shape, line, max((0.018 + 0.02 * strength) * unit, 1)), 0.3)
    crack = crack * np.clip(0.9 + 0.7 * smooth_noise(rng, part.shape, 0.15 * unit), 0.2, 1)
    edge = blur(stroke(part.shape, line - [side * 0.03 * unit, 0], max(0.02 * unit, 1)), 0.4)
    changed = over(np.clip(changed * (1 + 0.25 * edge[..., None]), 0, 255), part * [0.42, 0.34, 0.32], 0.85 * crack)
    return put_back(image, window, changed)
