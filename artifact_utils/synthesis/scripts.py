"""More text: letters of no script, stock-photo bars, logos, signs in perspective, prints on clothes, corner marks."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    ellipse,
    grey,
    grid,
    over,
    polygon,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.glyphs import SCRIPTS, script_line
from artifact_utils.synthesis.shading import hue, in_tone
from artifact_utils.synthesis.text import place_letters, printed_line, readable_ink


def any_line(rng: np.random.Generator, size: int, amount: float, n_words: int, script: str | None = None) -> np.ndarray:
    """Alpha (1.5 size, w) of a line in any script, or in ``script``, the printed Latin of other kinds included."""
    script = script or str(rng.choice(["print", *SCRIPTS]))
    if script == "print":
        return printed_line(rng, size, amount, n_words)
    return script_line(rng, size, script, n_words, amount)


def foreign_lettering(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Letters of a script that does not exist, in a line or a column, on the face or beside it."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.08 + 0.06 * strength)), 7)
    script = str(rng.choice(SCRIPTS[2:]))
    line = script_line(rng, size, script, int(rng.integers(1, 3)), strength)
    upright = script in ("cjk", "runes") and rng.random() < 0.5
    scale = min(1.0, 0.85 * (height if upright else width) / line.shape[1])
    if upright:
        cells = [line[:, i : i + size] for i in range(0, line.shape[1] - size // 2, size)]
        widest = max(cell.shape[1] for cell in cells)
        line = np.concatenate([np.pad(c, ((0, 0), (0, widest - c.shape[1])))[size // 5 :] for c in cells])
        scale = min(1.0, 0.9 * height / line.shape[0])
    if rng.random() < 0.4:
        centre = face.at(rng.normal(0, 0.3), rng.uniform(-0.5, 1.5))
    else:
        margin = 0.5 * scale * np.array([line.shape[1], line.shape[0]])
        centre = margin + rng.random(2) * np.maximum(np.array([width, height]) - 2 * margin, 0)
    alpha = place_letters(image.shape, line, centre, rng.normal(0, 5), scale)
    return over(image, in_tone(image, readable_ink(rng, image, alpha)), alpha * (0.7 + 0.3 * strength))


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


def logo(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An emblem of no brand, a shield, disc or star with false letters, on cap, chest, cheek or backdrop."""
    height, width = image.shape[:2]
    radius = face.unit * (0.42 + 0.25 * strength)
    side = rng.choice([-1, 1])
    places = [(0.0, -1.2), (0.7 * side, 2.3), (0.6 * side, 0.6), (2.0 * side, -0.6), (0.0, 2.4)]
    centre = np.clip(face.at(*places[int(rng.integers(5))]), radius, np.array([width, height]) - radius)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False) - np.pi / 2
    corners = int(rng.choice([0, 3, 4, 5, 6]))
    spikes = 1 + (0.25 * np.cos(corners * (turn + np.pi / 2)) if corners else 0.0)
    outline = centre + radius * np.stack([np.cos(turn) * spikes, np.sin(turn) * spikes], axis=1)
    shape = blur(polygon(image.shape, outline), 0.4)
    core = blur(polygon(image.shape, centre + (outline - centre) * 0.84), 0.4)
    colour, other = hue(image, rng, (120, 230), (60, 230)), np.full(3, rng.choice([245.0, 20.0]))
    # A print: it keeps the folds and the shade of what it is on.
    shade = np.clip(grey(image) / np.maximum(blur(grey(image), 0.4 * face.unit), 8), 0.6, 1.35)[..., None]
    opacity = 0.7 + 0.3 * strength
    changed = over(image, np.clip(other * shade, 0, 255), shape * opacity)
    changed = over(changed, np.clip(colour * shade, 0, 255), core * opacity)
    size = max(int(0.62 * radius), 6)
    line = any_line(rng, size, 0.5 + 0.5 * strength, 1)
    alpha = place_letters(image.shape, line, centre, face.angle, min(1.0, 1.7 * radius / line.shape[1]))
    return over(changed, np.clip(other * shade, 0, 255), alpha)


def _board(
    shape: tuple[int, ...], rng: np.random.Generator, centre: np.ndarray, half: np.ndarray, slant: float
) -> np.ndarray:
    """Four corners (4, 2) of a board seen at an angle: one side nearer than the other."""
    near, lean = 1 + slant * rng.choice([-1, 1]), rng.normal(0, 0.12)
    corners = np.array([[-1, -near], [1, -(2 - near)], [1, 2 - near], [-1, near]])
    corners[:, 1] += lean * corners[:, 0]
    return np.clip(centre + corners * half, [-0.3 * shape[1]] * 2, [1.3 * shape[1]] * 2)


def slanted_sign(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A sign beside the face with false writing, seen in perspective and a little out of focus."""
    height, width = image.shape[:2]
    half = np.array([(0.13 + 0.07 * strength) * width, (0.09 + 0.06 * strength) * height])
    side = rng.choice([-1, 1])
    centre = np.array([face.eyes[0] + side * 0.36 * width, rng.uniform(0.14, 0.5) * height])
    centre = np.clip(centre, 0.8 * half, np.array([width, height]) - 0.8 * half)
    corners = _board(image.shape, rng, centre, half, rng.uniform(0.1, 0.4))
    size = 22
    n_lines = int(rng.integers(1, 4))
    lines = [any_line(rng, size, 0.4 + 0.6 * strength, 1) for _ in range(n_lines)]
    widest = max(line.shape[1] for line in lines)
    sheet = np.concatenate([cv2.resize(line, (widest, line.shape[0])) for line in lines])
    sheet = np.pad(sheet, ((6, 6), (6, 6)))
    source = np.array([[0, 0], [sheet.shape[1], 0], [sheet.shape[1], sheet.shape[0]], [0, sheet.shape[0]]], np.float32)
    view = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    softness = rng.uniform(0.3, 0.9) * width / 256
    letters = blur(cv2.warpPerspective(sheet, view, (width, height), flags=cv2.INTER_AREA), softness)
    plate = blur(polygon(image.shape, corners), softness)
    bare = rng.random() < 0.3  # letters on the wall
    colour = hue(image, rng, (0, 200), (60, 245))
    light = 0.85 + 0.15 * blur(plate, 0.1 * width)
    changed = image if bare else over(image, colour * light[..., None], plate * 0.95)
    ink = in_tone(image, readable_ink(rng, changed, letters))
    return add_grain(over(changed, ink, letters * 0.95), np.maximum(plate * (not bare), letters), rng, like=image)


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


ARTIFACTS: tuple[Artifact, ...] = (
    foreign_lettering,
    stock_bar,
    logo,
    slanted_sign,
    shirt_print,
    corner_mark,
)
