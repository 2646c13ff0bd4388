"""Writing on clothes: shirts, chests, caps, collars and badges.

The garbled text of real generators is mostly small, soft and in the colours of the picture; so is this.
"""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over
from artifact_utils.synthesis.geometry import ellipse, extent, grid, polygon, smooth_noise, stroke, warp
from artifact_utils.synthesis.shading import hue, in_tone
from artifact_utils.synthesis.text.inking import LINE_HEIGHT, lettered_sheet, place_letters, place_sheet, readable_ink
from artifact_utils.synthesis.text.scripts import any_line


def trademark(rng: np.random.Generator) -> np.ndarray:
    """Alpha (h, w) of a trademark that means nothing: rings, wedges and bars."""
    shape = (64, 64)
    alpha = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        centre = rng.uniform(18, 46, 2)
        if rng.random() < 0.5:
            radius = rng.uniform(9, 22)
            wobble = 0.15 * smooth_noise(rng, shape, 16)
            ring = ellipse(shape, centre, (radius, radius * rng.uniform(0.5, 1)), feather=0.15, wobble=wobble)
            hole = ellipse(shape, centre + rng.normal(0, 3, 2), (0.6 * radius, 0.5 * radius), feather=0.2)
            piece = np.clip(ring - hole * float(rng.random() < 0.6), 0, 1)
        else:
            piece = polygon(shape, centre + rng.normal(0, 13, (int(rng.integers(3, 6)), 2)))
        alpha = np.abs(alpha - piece) if rng.random() < 0.4 else np.maximum(alpha, piece)
    return alpha


def on_cloth(
    image: np.ndarray, rng: np.random.Generator, marks: np.ndarray, strength: float, ink: np.ndarray | None = None
) -> np.ndarray:
    """Ink or thread on cloth: it takes part in the folds, their light and the grain."""
    box = extent(marks, 12)
    part, alpha = np.ascontiguousarray(image[box]), np.ascontiguousarray(marks[box])
    if alpha.size == 0:
        return image
    side = min(image.shape[:2])
    level = grey(part)
    # Letters follow the folds: where the cloth darkens, it turns away, and they shift.
    smooth = blur(level, 0.012 * side)
    dx, dy = cv2.Sobel(smooth, -1, 1, 0, scale=0.125), cv2.Sobel(smooth, -1, 0, 1, scale=0.125)
    alpha = np.clip(warp(alpha, np.clip(0.4 * dx, -2, 2), np.clip(0.4 * dy, -2, 2)), 0, 1)
    if ink is None:
        ink = in_tone(image, readable_ink(rng, part, alpha))
    folds = np.clip(level / np.maximum(blur(level, 0.06 * side), 8), 0.55, 1.35)[..., None]
    light = np.clip(blur(level, 0.1 * side) / 140, 0.5, 1.1)[..., None]
    worn = np.clip(1 + 0.3 * smooth_noise(rng, alpha.shape, 0.01 * side + 1), 0.4, 1)
    alpha = alpha * worn * (0.85 + 0.15 * strength)
    changed = image.copy()
    changed[box] = add_grain(over(part, np.clip(ink * folds * light, 0, 255), alpha), alpha, rng, like=part)
    return changed


def shirt_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """False words printed on the clothes, bent with the chest."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.075 + 0.05 * strength)), 7)
    centre = face.at(rng.normal(0, 0.4), rng.uniform(2.2, 2.7))
    centre[1] = min(centre[1], height - 1.2 * size)
    marks = np.zeros((height, width), np.float32)
    for i in range(int(rng.integers(1, 3))):
        line = any_line(rng, size, 0.4 + 0.6 * strength, int(rng.integers(1, 3)))
        scale = min(1.0, 0.6 * width / line.shape[1])
        np.maximum(
            marks,
            place_letters(image.shape, line, centre + np.array([0, 1.1 * size * i]), face.angle / 2, scale),
            out=marks,
        )
    x, _ = grid(image.shape)
    arc = ((x - np.float32(centre[0])) / np.float32(0.5 * width)) ** 2
    sag = rng.uniform(-0.1, 0.16) * height
    marks = warp(
        marks, np.zeros_like(x), arc * np.float32(sag) + 0.02 * width * smooth_noise(rng, image.shape, 0.15 * width)
    )
    marks = np.clip(marks, 0, 1)
    ink = in_tone(image, readable_ink(rng, image, marks))
    shade = np.clip(grey(image) / np.maximum(blur(grey(image), 0.08 * width), 8), 0.5, 1.4)[..., None]
    return add_grain(over(image, np.clip(ink * shade, 0, 255), marks * (0.8 + 0.2 * strength)), marks, rng, like=image)


def chest_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A small trademark or name on one breast, or a word across it, on the clothes below the chin."""
    height, width = image.shape[:2]
    side = min(height, width)
    large = rng.random() < 0.35
    sheet = lettered_sheet(rng, strength, int(rng.integers(1, 4)), 1)
    size = side * (0.035 + 0.025 * strength) * rng.uniform(0.8, 1.2) * (2.0 if large else 1.0)
    tall = size * sheet.shape[0] / LINE_HEIGHT / 1.2
    tall = min(tall, 0.5 * width * sheet.shape[0] / sheet.shape[1])
    right = rng.normal(0, 0.25) if large else rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.3)
    centre = face.at(right, rng.uniform(2.5, 3.6))
    half = 0.5 * tall * sheet.shape[1] / sheet.shape[0]
    centre = np.clip(centre, [half * 0.8, 0], [width - half * 0.8, height - rng.uniform(0.3, 1.2) * tall - 2])
    angle = face.angle / 2 + rng.normal(0, 5)
    marks = place_sheet(image.shape, sheet, centre, tall, angle=angle, sag=rng.uniform(-0.03, 0.06))
    if rng.random() < 0.45:
        reach = rng.uniform(1.0, 2.0) * size
        at = centre + np.array([-half - 0.7 * reach, 0]) if rng.random() < 0.5 else centre - [0, 0.6 * (tall + reach)]
        device = place_sheet(image.shape, trademark(rng), at, reach, angle=angle)
        image = on_cloth(image, rng, device, strength, hue(image, rng, (60, 230), (60, 230)))
    return on_cloth(image, rng, marks, strength)


def cap_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """False letters on cap, hat, hood or headband above the brow, bent round the head."""
    unit = face.unit
    sheet = lettered_sheet(rng, strength, 1 + int(rng.random() < 0.4))
    wide = min((0.7 + 0.5 * strength) * rng.uniform(0.8, 1.2), 1.3) * unit
    tall = min(wide * sheet.shape[0] / sheet.shape[1], 0.45 * unit)
    centre = face.at(0.5 * face.facing + rng.normal(0, 0.1), -rng.uniform(1.15, 1.5))
    centre[1] = max(centre[1], 0.7 * tall)
    marks = place_sheet(image.shape, sheet, centre, tall, angle=face.angle, sag=-rng.uniform(0.02, 0.12))
    return on_cloth(image, rng, marks, strength)


def collar_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A line of false letters along a collar, a strap or a sleeve."""
    unit = face.unit
    height, width = image.shape[:2]
    side = rng.choice([-1.0, 1.0])
    sheet = lettered_sheet(rng, strength, 1, int(rng.integers(1, 3)))
    tall = unit * (0.14 + 0.1 * strength) * rng.uniform(0.8, 1.2)
    tall = min(tall, 1.6 * unit * sheet.shape[0] / sheet.shape[1])
    centre = face.at(side * rng.uniform(0.45, 1.6), rng.uniform(1.95, 2.9))
    centre = np.clip(centre, tall, [width - tall, height - 0.8 * tall])
    steep = rng.uniform(10, 55) if rng.random() < 0.7 else rng.uniform(60, 90)
    marks = place_sheet(image.shape, sheet, centre, tall, angle=-side * steep, sag=rng.uniform(-0.08, 0.08))
    return on_cloth(image, rng, marks, strength)


def badge(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A sewn badge on breast or shoulder: a field of another colour, a rim, and signs that are none."""
    side_length = min(image.shape[:2])
    radius = side_length * (0.03 + 0.03 * strength) * rng.uniform(0.8, 1.3)
    side = rng.choice([-1.0, 1.0])
    centre = face.at(side * rng.uniform(0.6, 1.9), rng.uniform(2.3, 3.6))
    centre = np.clip(centre, 1.1 * radius, np.array(image.shape[1::-1]) - 1.1 * radius)
    turn = np.linspace(0, 2 * np.pi, 40)
    square, tall = rng.uniform(2, 8), rng.uniform(0.5, 1.1)
    u = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / square) * radius
    v = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / square) * radius * tall
    tilt = np.radians(face.angle + rng.normal(0, 8))
    outline = centre + np.stack([u * np.cos(tilt) - v * np.sin(tilt), u * np.sin(tilt) + v * np.cos(tilt)], axis=1)
    field = blur(polygon(image.shape, outline), 0.5)
    rim = stroke(image.shape, outline, max(0.09 * radius, 1))
    colour = hue(image, rng, (20, 210), (30, 230))
    image = on_cloth(image, rng, field, strength, colour)
    image = on_cloth(image, rng, rim, strength, in_tone(image, 255 - 0.7 * colour))
    wide = 1.5 * radius
    sheet = lettered_sheet(rng, strength, 1 + int(rng.random() < 0.5))
    height = min(wide * sheet.shape[0] / sheet.shape[1], 1.1 * radius * tall)
    letters = place_sheet(image.shape, sheet, centre, height, angle=float(np.degrees(tilt)))
    if rng.random() < 0.5:
        device = place_sheet(image.shape, trademark(rng), centre, 1.1 * radius * tall, angle=float(np.degrees(tilt)))
        letters = np.maximum(letters * float(rng.random() < 0.5), device)
    return on_cloth(image, rng, letters, strength)
