"""Text laid over the whole picture: captions, watermarks, stock-photo bars, marks in corners, credits."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import over, shadow
from artifact_utils.synthesis.geometry import ellipse, stroke
from artifact_utils.synthesis.shading import in_tone
from artifact_utils.synthesis.text.glyphs import printed_line
from artifact_utils.synthesis.text.inking import LINE_HEIGHT, lettered_sheet, place_letters, place_sheet, readable_ink
from artifact_utils.synthesis.text.scripts import any_line


def garbled_caption(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One or two lines of false letters along the bottom or top edge, sometimes on a bar."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.065 + 0.05 * strength) * rng.uniform(0.9, 1.15)), 6)
    n_lines = int(rng.integers(1, 3))
    at_top = rng.random() < 0.2
    if rng.random() < 0.4:
        bar = np.zeros((height, width), np.float32)
        thickness = int(size * (1.3 * n_lines + 0.6))
        bar[slice(0, thickness) if at_top else slice(height - thickness, height)] = rng.uniform(0.65, 1)
        image = over(image, np.full(3, rng.choice([12.0, 30.0, 235.0])) + rng.normal(0, 6, 3), bar)
    for i in range(n_lines):
        line = printed_line(rng, size, 0.35 + 0.65 * strength, int(rng.integers(2, 4)))
        row = (0.95 + 1.25 * i) * size if at_top else height - (0.95 + 1.25 * (n_lines - 1 - i)) * size
        fit = min(1.0, 0.96 * width / line.shape[1])
        alpha = place_letters(image.shape, line, np.array([width / 2, row]), scale=fit)
        ink = readable_ink(rng, image, alpha)
        if rng.random() < 0.5:
            image = shadow(image, alpha, (0.05 * size, 0.07 * size), 0.05 * size, 0.7)
        image = over(image, ink, alpha * (0.8 + 0.2 * strength))
    return image


def watermark(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A half transparent stock-photo mark, once across the face or repeated over the picture."""
    height, width = image.shape[:2]
    side = min(height, width)
    size = max(int(side * rng.uniform(0.085, 0.12)), 6)
    line = printed_line(rng, size, 0.5 + 0.4 * strength, int(rng.integers(1, 3)))
    angle = rng.choice([-1, 1]) * rng.uniform(15, 40) if rng.random() < 0.7 else 0.0
    alpha = np.zeros((height, width), np.float32)
    if rng.random() < 0.5:
        scale = rng.uniform(0.75, 1.0) * side / line.shape[1]
        alpha = place_letters(image.shape, line, face.at(rng.normal(0, 0.2), rng.uniform(0.2, 1.2)), angle, scale)
    else:
        scale = min(1.0, 0.6 * side / line.shape[1])
        step = np.array([max(line.shape[1] * scale * 1.15, 0.3 * side), size * rng.uniform(2.4, 3.4)])
        phase = rng.uniform(0, 1, 2) * step
        for row in range(-1, int(height / step[1]) + 2):
            for column in range(-1, int(width / step[0]) + 2):
                spot = phase + step * [column + 0.5 * (row % 2), row]
                np.maximum(alpha, place_letters(image.shape, line, spot, angle, scale), out=alpha)
    light = rng.random() < 0.75
    return over(image, np.full(3, 255.0 if light else 0.0), alpha * (0.4 + 0.4 * strength))


def stock_bar(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The bar of a picture agency along an edge: a name, a number, and often its mark across the picture."""
    height, width = image.shape[:2]
    thick = max(int(height * (0.07 + 0.05 * strength)), 8)
    at_top = rng.random() < 0.15
    rows = slice(0, thick) if at_top else slice(height - thick, height)
    bar = np.zeros((height, width), np.float32)
    bar[rows] = rng.uniform(0.75, 1)
    dark = rng.random() < 0.7
    changed = over(image, np.full(3, 18.0 if dark else 240.0), bar)
    size = max(int(0.62 * thick), 6)
    y = rows.start + 0.52 * thick
    for share, n_words in ((0.24, 1), (0.76, int(rng.integers(1, 3)))):
        line = any_line(rng, size, 0.3 + 0.6 * strength, n_words)
        scale = min(1.0, 0.44 * width / line.shape[1])
        alpha = place_letters(image.shape, line, np.array([share * width, y]), scale=scale)
        changed = over(changed, np.full(3, 235.0 if dark else 25.0), alpha)
    if rng.random() < 0.6:
        mark = any_line(rng, max(int(0.1 * width), 6), 0.5, 1)
        scale = min(1.0, 0.8 * width / mark.shape[1])
        alpha = place_letters(image.shape, mark, face.at(0, 0.7), float(rng.choice([0.0, -28.0])), scale)
        for way in (-1, 1) if rng.random() < 0.5 else ():
            cross = np.array([[width * (0.5 - 0.5 * way), 0.0], [width * (0.5 + 0.5 * way), height - thick]])
            np.maximum(alpha, stroke(image.shape, cross, max(0.008 * width, 1)), out=alpha)
        changed = over(changed, np.full(3, 255.0), alpha * (0.3 + 0.35 * strength))
    return changed


def corner_mark(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A small mark in a corner, half transparent: initials in a box or ring, a handle, a date."""
    height, width = image.shape[:2]
    side = min(height, width)
    size = max(int(side * (0.055 + 0.035 * strength)), 7)
    line = any_line(rng, size, 0.5 + 0.5 * strength, 1)
    scale = min(1.0, 0.42 * width / line.shape[1])
    half = np.array([0.5 * scale * line.shape[1], 0.75 * size * scale])
    corner = np.array([rng.choice([0.0, 1.0]), 1.0 if rng.random() < 0.8 else 0.0])
    room = half + 0.03 * side
    centre = room + corner * (np.array([width, height]) - 2 * room)
    alpha = place_letters(image.shape, line, centre, rng.normal(0, 2), scale)
    frame = rng.random()
    if frame < 0.3:
        box = centre + half * np.array([[-1, -0.8], [1, -0.8], [1, 0.8], [-1, 0.8], [-1, -0.8]])
        np.maximum(alpha, stroke(image.shape, box, max(0.006 * side, 1)), out=alpha)
    elif frame < 0.5:
        reach = (half[0] + 0.3 * size, half[0] + 0.3 * size)
        ring = ellipse(image.shape, centre, reach, feather=0.1) - ellipse(
            image.shape, centre, (0.9 * reach[0],) * 2, feather=0.1
        )
        np.maximum(alpha, ring, out=alpha)
    return over(image, in_tone(image, readable_ink(rng, image, alpha)), alpha * (0.55 + 0.4 * strength))


def faint_credit(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A line of small print along the lower edge: the name of an agency or photographer that nobody can read."""
    height, width = image.shape[:2]
    side = min(height, width)
    sheet = lettered_sheet(rng, strength, 1, int(rng.integers(1, 4)))
    tall = side * rng.uniform(0.024, 0.036) * (1 + 0.5 * strength) * sheet.shape[0] / LINE_HEIGHT
    tall = min(tall, 0.6 * width * sheet.shape[0] / sheet.shape[1])
    half = np.array([0.5 * tall * sheet.shape[1] / sheet.shape[0], 0.5 * tall])
    margin = half + rng.uniform(0.005, 0.03) * side
    across = rng.choice([0.0, 1.0, rng.random()])
    centre = margin + np.array([across, 1.0 if rng.random() < 0.9 else 0.0]) * ([width, height] - 2 * margin)
    marks = place_sheet(image.shape, sheet, centre, tall, angle=0.0)
    if rng.random() < 0.15:
        marks = np.rot90(place_sheet((width, height), sheet, centre[::-1], tall, angle=0.0)).copy()
    ink = in_tone(image, readable_ink(rng, image, marks))
    return over(image, ink, marks * (0.5 + 0.4 * strength))
