"""Small writing where generators put it: on clothes, caps and collars, signs far behind, signatures, seals and credits.

Natural garbled text is mostly small, soft and in the colours of the picture; so is this.
"""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    ellipse,
    extent,
    grey,
    grid,
    over,
    polygon,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.scripts import any_line
from artifact_utils.synthesis.shading import around, hue, in_tone, put_back
from artifact_utils.synthesis.text import place_letters, readable_ink

_SHEET = 24
"""Height of a line in pixels where it is written, before it is brought to its place."""


def _sheet(rng: np.random.Generator, strength: float, n_lines: int, n_words: int = 1) -> np.ndarray:
    """Alpha (h, w) of lines of false letters, each of its own length, one under the other."""
    lines = [any_line(rng, _SHEET, 0.4 + 0.6 * strength, n_words) for _ in range(n_lines)]
    widest = max(line.shape[1] for line in lines)
    rows = []
    for line in lines:
        spare = widest - line.shape[1]
        rows.append(np.pad(line[4:-4], ((0, 0), (spare // 2, spare - spare // 2))))
    return np.concatenate(rows)


def _device(rng: np.random.Generator) -> np.ndarray:
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


def _laid_down(
    shape: tuple[int, ...], sheet: np.ndarray, centre: np.ndarray, height: float, *, angle: float, sag: float = 0.0
) -> np.ndarray:
    """The sheet ``height`` pixels high on a picture of ``shape``, its ends lower by ``sag`` times its width.

    Shrunk without jagged lines: it is softened first by what shrinking leaves out.
    """
    scale = height / sheet.shape[0]
    if sag:
        x = np.linspace(-1, 1, sheet.shape[1], dtype=np.float32) ** 2
        bend = int(abs(sag) * sheet.shape[1]) + 1
        sheet = np.pad(sheet, ((bend, bend), (0, 0)))
        moved = np.broadcast_to(-np.float32(sag * sheet.shape[1]) * x, sheet.shape)
        sheet = np.clip(warp(sheet, np.zeros(sheet.shape, np.float32), moved), 0, 1)
    return place_letters(shape, blur(sheet, max(0.42 / scale - 0.3, 0)), centre, angle, scale)


def _on_cloth(
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


def chest_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A small trademark or name on one breast, or a word across it, on the clothes below the chin."""
    height, width = image.shape[:2]
    side = min(height, width)
    large = rng.random() < 0.35
    sheet = _sheet(rng, strength, int(rng.integers(1, 4)), 1)
    size = side * (0.035 + 0.025 * strength) * rng.uniform(0.8, 1.2) * (2.0 if large else 1.0)
    tall = size * sheet.shape[0] / _SHEET / 1.2
    tall = min(tall, 0.5 * width * sheet.shape[0] / sheet.shape[1])
    right = rng.normal(0, 0.25) if large else rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.3)
    centre = face.at(right, rng.uniform(2.5, 3.6))
    half = 0.5 * tall * sheet.shape[1] / sheet.shape[0]
    centre = np.clip(centre, [half * 0.8, 0], [width - half * 0.8, height - rng.uniform(0.3, 1.2) * tall - 2])
    angle = face.angle / 2 + rng.normal(0, 5)
    marks = _laid_down(image.shape, sheet, centre, tall, angle=angle, sag=rng.uniform(-0.03, 0.06))
    if rng.random() < 0.45:
        reach = rng.uniform(1.0, 2.0) * size
        at = centre + np.array([-half - 0.7 * reach, 0]) if rng.random() < 0.5 else centre - [0, 0.6 * (tall + reach)]
        device = _laid_down(image.shape, _device(rng), at, reach, angle=angle)
        image = _on_cloth(image, rng, device, strength, hue(image, rng, (60, 230), (60, 230)))
    return _on_cloth(image, rng, marks, strength)


def cap_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """False letters on cap, hat, hood or headband above the brow, bent round the head."""
    unit = face.unit
    sheet = _sheet(rng, strength, 1 + int(rng.random() < 0.4))
    wide = min((0.7 + 0.5 * strength) * rng.uniform(0.8, 1.2), 1.3) * unit
    tall = min(wide * sheet.shape[0] / sheet.shape[1], 0.45 * unit)
    centre = face.at(0.5 * face.facing + rng.normal(0, 0.1), -rng.uniform(1.15, 1.5))
    centre[1] = max(centre[1], 0.7 * tall)
    marks = _laid_down(image.shape, sheet, centre, tall, angle=face.angle, sag=-rng.uniform(0.02, 0.12))
    return _on_cloth(image, rng, marks, strength)


def collar_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A line of false letters along a collar, a strap or a sleeve."""
    unit = face.unit
    height, width = image.shape[:2]
    side = rng.choice([-1.0, 1.0])
    sheet = _sheet(rng, strength, 1, int(rng.integers(1, 3)))
    tall = unit * (0.14 + 0.1 * strength) * rng.uniform(0.8, 1.2)
    tall = min(tall, 1.6 * unit * sheet.shape[0] / sheet.shape[1])
    centre = face.at(side * rng.uniform(0.45, 1.6), rng.uniform(1.95, 2.9))
    centre = np.clip(centre, tall, [width - tall, height - 0.8 * tall])
    steep = rng.uniform(10, 55) if rng.random() < 0.7 else rng.uniform(60, 90)
    marks = _laid_down(image.shape, sheet, centre, tall, angle=-side * steep, sag=rng.uniform(-0.08, 0.08))
    return _on_cloth(image, rng, marks, strength)


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
    image = _on_cloth(image, rng, field, strength, colour)
    image = _on_cloth(image, rng, rim, strength, in_tone(image, 255 - 0.7 * colour))
    wide = 1.5 * radius
    sheet = _sheet(rng, strength, 1 + int(rng.random() < 0.5))
    height = min(wide * sheet.shape[0] / sheet.shape[1], 1.1 * radius * tall)
    letters = _laid_down(image.shape, sheet, centre, height, angle=float(np.degrees(tilt)))
    if rng.random() < 0.5:
        device = _laid_down(image.shape, _device(rng), centre, 1.1 * radius * tall, angle=float(np.degrees(tilt)))
        letters = np.maximum(letters * float(rng.random() < 0.5), device)
    return _on_cloth(image, rng, letters, strength)


def far_sign(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A sign, poster or shop front far behind with false writing, as soft as what is round it and behind the head."""
    height, width = image.shape[:2]
    half = np.array([rng.uniform(0.09, 0.2) * width, rng.uniform(0.035, 0.09) * height]) * (0.8 + 0.4 * strength)
    if rng.random() < 0.2:
        half = half[::-1]
    left = rng.random() < (0.8 if face.eyes[0] > width / 2 else 0.2)
    reach = face.at(-1.5 if left else 1.5, 0)[0]
    column = rng.uniform(0, max(reach, 0.16 * width)) if left else rng.uniform(min(reach, 0.84 * width), width)
    centre = np.array([column, rng.uniform(0.06, 0.55) * height])
    near = rng.uniform(0.75, 1.25)
    corners = centre + half * np.array([[-1, -near], [1, -(2 - near)], [1, 2 - near], [-1, near]])
    sheet = np.pad(_sheet(rng, strength, int(rng.integers(1, 3))), 8)
    source = np.array([[0, 0], [sheet.shape[1], 0], [sheet.shape[1], sheet.shape[0]], [0, sheet.shape[0]]], np.float32)
    view = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    shrink = sheet.shape[1] / max(2 * half[0], 1)
    letters = cv2.warpPerspective(blur(sheet, 0.4 * max(shrink - 1, 0)), view, (width, height))
    head = ellipse(image.shape, face.at(0, 0.25), (1.5 * face.unit, 2.0 * face.unit), face.angle, feather=0.15)
    x, y = grid(image.shape)
    slope = np.abs(x - np.float32(face.chin[0])) / np.float32(face.unit)
    body = np.clip((y - np.float32(face.at(0, 2.0)[1])) / np.float32(face.unit) - 0.35 * (slope - 1) + 0.5, 0, 1)
    behind = (1 - head) * (1 - body * (slope < 3))
    softness = rng.uniform(0.002, 0.006) * height * (1.2 - 0.5 * strength)
    plate, letters = blur(polygon(image.shape, corners), softness) * behind, blur(letters, softness) * behind
    if rng.random() < 0.65:
        about = blur(image, 0.05 * height)
        colour = 0.5 * hue(image, rng, (40, 220), (40, 230)) + 0.3 * about
        image = add_grain(over(image, colour.astype(np.float32), plate * 0.92), plate, rng, like=image)
    if letters.sum() < 2:
        return image
    ink = 0.85 * in_tone(image, readable_ink(rng, image, letters)) + 0.1 * image.mean(axis=(0, 1))
    return over(image, ink, letters * (0.65 + 0.3 * strength))


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
    line = any_line(rng, _SHEET, strength, 1, script=str(rng.choice(["cjk", "runes"])))
    cells = [line[4:-4, i * _SHEET : (i + 1) * _SHEET] for i in range(min(n, max(line.shape[1] // _SHEET, 1)))]
    widest = max(cell.shape[1] for cell in cells)
    sheet = np.concatenate([np.pad(cell, ((0, 0), (0, widest - cell.shape[1]))) for cell in cells])
    tall = min(size * len(cells), 0.5 * height)
    half = np.array([0.5 * tall * sheet.shape[1] / sheet.shape[0], 0.5 * tall])
    room = half + rng.uniform(0.02, 0.05) * side
    corner = np.array([rng.choice([0.0, 1.0]), rng.choice([0.0, 1.0], p=[0.4, 0.6])])
    centre = room + corner * (np.array([width, height]) - 2 * room)
    marks = _laid_down(image.shape, sheet, centre, tall, angle=0.0)
    red = in_tone(image, (rng.uniform(150, 205), rng.uniform(25, 60), rng.uniform(25, 50)))
    if rng.random() < 0.55:
        corners = centre + 1.15 * half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + rng.normal(0, 0.6, (4, 2))
        field = blur(polygon(image.shape, corners), 0.5)
        worn = np.clip(1.1 + 0.6 * smooth_noise(rng, image.shape, 0.012 * side + 1), 0.2, 1)
        image = over(image, red, field * worn * (0.7 + 0.3 * strength))
        return over(image, in_tone(image, (235, 225, 205)), marks * 0.85)
    ink = red if rng.random() < 0.3 else in_tone(image, readable_ink(rng, image, marks))
    return over(image, ink, marks * (0.65 + 0.3 * strength))


def faint_credit(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A line of small print along the lower edge: the name of an agency or photographer that nobody can read."""
    height, width = image.shape[:2]
    side = min(height, width)
    sheet = _sheet(rng, strength, 1, int(rng.integers(1, 4)))
    tall = side * rng.uniform(0.024, 0.036) * (1 + 0.5 * strength) * sheet.shape[0] / _SHEET
    tall = min(tall, 0.6 * width * sheet.shape[0] / sheet.shape[1])
    half = np.array([0.5 * tall * sheet.shape[1] / sheet.shape[0], 0.5 * tall])
    margin = half + rng.uniform(0.005, 0.03) * side
    across = rng.choice([0.0, 1.0, rng.random()])
    centre = margin + np.array([across, 1.0 if rng.random() < 0.9 else 0.0]) * ([width, height] - 2 * margin)
    marks = _laid_down(image.shape, sheet, centre, tall, angle=0.0)
    if rng.random() < 0.15:
        marks = np.rot90(_laid_down((width, height), sheet, centre[::-1], tall, angle=0.0)).copy()
    ink = in_tone(image, readable_ink(rng, image, marks))
    return over(image, ink, marks * (0.5 + 0.4 * strength))


ARTIFACTS: tuple[Artifact, ...] = (
    chest_print,
    cap_print,
    collar_print,
    badge,
    far_sign,
    small_signature,
    seal,
    faint_credit,
)
SMALL = tuple(ARTIFACTS)
"""What generators make small, and what therefore need not be large to count as visible."""
