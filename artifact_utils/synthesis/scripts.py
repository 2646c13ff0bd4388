"""More text: invented letters of several scripts and hands, logos, stock-photo bars, signs in perspective, prints."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    curve,
    ellipse,
    grey,
    grid,
    over,
    polygon,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.geometry import Face
from artifact_utils.synthesis.shading import hue, in_tone
from artifact_utils.synthesis.text import _LETTERS, _ink, _line, _nearly, _place

SCRIPTS = ("serif", "handwriting", "cyrillic", "cjk", "arabic", "runes")
"""What :func:`script_line` can imitate: two Latin hands, and four that are strokes and only look like the script."""

_HERSHEY = {"serif": cv2.FONT_HERSHEY_COMPLEX, "handwriting": cv2.FONT_HERSHEY_SCRIPT_COMPLEX}


@lru_cache(maxsize=1024)
def _hershey(letter: str, size: int, script: str) -> np.ndarray:
    """Alpha (1.5 size, w) of a letter of OpenCV's stroke fonts."""
    scale, pen = size / 30, max(round(size / 14), 1)
    (width, _), _ = cv2.getTextSize(letter, _HERSHEY[script], scale, pen)
    canvas = np.zeros((int(1.5 * size), width + 2 * pen), np.uint8)
    cv2.putText(canvas, letter, (pen, int(1.08 * size)), _HERSHEY[script], scale, 255, pen, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def _strokes(size: int, width: float, lines: list[list[tuple[float, float]]], pen: float, *, bend: bool) -> np.ndarray:
    """Alpha (1.5 size, width size) of strokes given in shares of ``size``, sharp or bent through their points."""
    alpha = np.zeros((int(1.5 * size), max(int(width * size), 2)), np.float32)
    for points in lines:
        knots = np.array(points) * size + [0, 0.25 * size]
        line = curve(knots, 12) if bend and len(knots) > 2 else knots
        np.maximum(alpha, stroke(alpha.shape, line, pen), out=alpha)
    return alpha


def _cyrillic(rng: np.random.Generator, size: int, pen: float) -> np.ndarray:
    """Posts, crossbars and hooks: what is left of a Cyrillic capital when nobody checks."""
    w = rng.uniform(0.5, 0.8)
    posts = [0.1, w - 0.1] if rng.random() < 0.75 else [0.1, w / 2, w - 0.1]
    lines = [[(x, 0.1), (x, 0.85)] for x in posts]
    bars = [
        [(0.1, 0.48), (w - 0.1, 0.48)],
        [(0.1, 0.85), (w - 0.1, 0.1)],
        [(0.1, 0.1), (w - 0.1, 0.1)],
        [(0.05, 0.85), (w, 0.85), (w, 1.0)],
        [(0.1, 0.45), (w - 0.15, 0.4), (w - 0.05, 0.65), (w - 0.15, 0.85), (0.1, 0.85)],
        [(0.2, -0.05), (w / 2, 0.03), (w - 0.2, -0.05)],
        [(w - 0.1, 0.1), (0.15, 0.2), (0.12, 0.42), (w - 0.1, 0.5), (0.1, 0.85)],
    ]
    if rng.random() < 0.5:
        lines.pop()
    lines += [bars[int(i)] for i in rng.choice(len(bars), int(rng.integers(1, 4)), replace=False)]
    return _strokes(size, w, lines, pen, bend=False)


def _cjk(rng: np.random.Generator, size: int, pen: float) -> np.ndarray:
    """A square full of bars, posts, sweeps and dots."""
    lines: list[list[tuple[float, float]]] = []
    for _ in range(int(rng.integers(2, 4))):
        y, x0, x1 = rng.uniform(0.05, 0.9), rng.uniform(0.05, 0.25), rng.uniform(0.65, 0.9)
        lines.append([(x0, y), (x1, y - rng.uniform(0, 0.05))])
    for _ in range(int(rng.integers(1, 4))):
        x, y0, y1 = rng.uniform(0.12, 0.85), rng.uniform(0.0, 0.35), rng.uniform(0.6, 0.95)
        lines.append([(x, y0), (x, y1)])
    for side in rng.choice([-1.0, 1.0], int(rng.integers(0, 3))):
        lines.append([(0.48, 0.4), (0.48 + 0.2 * side, 0.68), (0.48 + 0.42 * side, 0.92)])
    if rng.random() < 0.4:
        x, y, s = rng.uniform(0.1, 0.5), rng.uniform(0.05, 0.5), rng.uniform(0.25, 0.4)
        lines.append([(x, y), (x + s, y), (x + s, y + s), (x, y + s), (x, y)])
    return _strokes(size, 0.98, lines, 0.75 * pen, bend=False)


def _arabic(rng: np.random.Generator, size: int, pen: float) -> np.ndarray:
    """A piece of a joined line: bowls, teeth and a tall stroke over it, dots above or below."""
    w = rng.uniform(0.45, 0.8)
    base = 0.72
    shapes = [
        [(0, base), (0.35 * w, base), (0.5 * w, base - 0.28), (0.65 * w, base), (w, base)],
        [(0, base), (0.2 * w, base + 0.05), (0.5 * w, base + 0.3), (0.85 * w, base + 0.05), (w, base)],
        [(0, base), (0.5 * w, base), (0.52 * w, 0.02)],
        [(0, base), (0.3 * w, base - 0.25), (0.7 * w, base - 0.3), (0.75 * w, base - 0.05), (w, base)],
    ]
    lines = [[(0, base), (w, base)], shapes[int(rng.integers(len(shapes)))]]
    alpha = _strokes(size, w, lines, 1.15 * pen, bend=True)
    for i in range(int(rng.integers(0, 4))):
        x, y = (0.35 + 0.16 * i) * w, base + rng.choice([-0.45, 0.25])
        cv2.circle(alpha, (int(x * size), int((y + 0.25) * size)), max(int(0.65 * pen), 1), 1.0, -1, cv2.LINE_AA)
    return alpha


def _runes(rng: np.random.Generator, size: int, pen: float) -> np.ndarray:
    """Straight cuts between the points of a small lattice."""
    lines = []
    for _ in range(int(rng.integers(2, 5))):
        a, b = rng.integers(0, 3, 2), rng.integers(0, 3, 2)
        lines.append([(0.08 + 0.23 * a[0], 0.1 + 0.38 * a[1]), (0.08 + 0.23 * b[0], 0.1 + 0.38 * b[1])])
    return _strokes(size, 0.62, lines, pen, bend=False)


def script_line(rng: np.random.Generator, size: int, script: str, n_words: int, amount: float = 0.6) -> np.ndarray:
    """Alpha (h, w) of a line of false writing ``size`` pixels high in one of :data:`SCRIPTS`.

    ``amount`` is the share of Latin letters that are wrong, and how much the line wavers.
    """
    pen = max(rng.uniform(0.07, 0.13) * size, 1.0)
    cells = []
    for word in range(n_words):
        if word:
            cells.append(np.zeros((int(1.5 * size), int(0.35 * size)), np.float32))
        for first, second in rng.choice(list(_LETTERS), (int(rng.integers(3, 7)), 2)):
            if script in _HERSHEY:
                glyph = _hershey(str(first), size, script)
                if rng.random() < amount:
                    glyph = _nearly(rng, glyph, _hershey(str(second), size, script))
            else:
                draw = {"cyrillic": _cyrillic, "cjk": _cjk, "arabic": _arabic, "runes": _runes}[script]
                glyph = draw(rng, size, pen)
                if script != "arabic":
                    glyph = np.pad(glyph, ((0, 0), (0, max(int(0.06 * size), 1))))
            cells.append(glyph)
    alpha = np.pad(np.concatenate(cells, axis=1), ((0, 0), (size // 3, size // 3)))
    reach = (0.01 + 0.04 * amount) * size
    dx, dy = (smooth_noise(rng, alpha.shape, 0.7 * size) * reach for _ in range(2))
    return np.clip(warp(alpha, dx, dy), 0, 1)


def _some_line(rng: np.random.Generator, size: int, amount: float, n_words: int) -> np.ndarray:
    """A line in any script, the printed Latin of the other kinds of text included."""
    script = str(rng.choice(["print", *SCRIPTS]))
    return _line(rng, size, amount, n_words) if script == "print" else script_line(rng, size, script, n_words, amount)


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
    alpha = _place(image.shape, line, centre, rng.normal(0, 5), scale)
    return over(image, in_tone(image, _ink(rng, image, alpha)), alpha * (0.7 + 0.3 * strength))


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
        line = _some_line(rng, size, 0.3 + 0.6 * strength, n_words)
        scale = min(1.0, 0.44 * width / line.shape[1])
        alpha = _place(image.shape, line, np.array([share * width, y]), scale=scale)
        changed = over(changed, np.full(3, 235.0 if dark else 25.0), alpha)
    if rng.random() < 0.6:
        mark = _some_line(rng, max(int(0.1 * width), 6), 0.5, 1)
        scale = min(1.0, 0.8 * width / mark.shape[1])
        alpha = _place(image.shape, mark, face.at(0, 0.7), rng.choice([0.0, -28.0]), scale)
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
    line = _some_line(rng, size, 0.5 + 0.5 * strength, 1)
    alpha = _place(image.shape, line, centre, face.angle, min(1.0, 1.7 * radius / line.shape[1]))
    return over(changed, np.clip(other * shade, 0, 255), alpha)


def _board(shape: tuple[int, ...], rng: np.random.Generator, centre: np.ndarray, half: np.ndarray, slant: float) -> np.ndarray:
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
    lines = [_some_line(rng, size, 0.4 + 0.6 * strength, 1) for _ in range(n_lines)]
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
    ink = in_tone(image, _ink(rng, changed, letters))
    return add_grain(over(changed, ink, letters * 0.95), np.maximum(plate * (not bare), letters), rng, like=image)


def shirt_print(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """False words printed on the clothes, bent with the chest."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.075 + 0.05 * strength)), 7)
    centre = face.at(rng.normal(0, 0.4), rng.uniform(2.2, 2.7))
    centre[1] = min(centre[1], height - 1.2 * size)
    marks = np.zeros((height, width), np.float32)
    for i in range(int(rng.integers(1, 3))):
        line = _some_line(rng, size, 0.4 + 0.6 * strength, int(rng.integers(1, 3)))
        scale = min(1.0, 0.6 * width / line.shape[1])
        np.maximum(marks, _place(image.shape, line, centre + [0, 1.1 * size * i], face.angle / 2, scale), out=marks)
    x, _ = grid(image.shape)
    arc = ((x - np.float32(centre[0])) / np.float32(0.5 * width)) ** 2
    sag = rng.uniform(-0.1, 0.16) * height
    marks = warp(marks, np.zeros_like(x), arc * np.float32(sag) + 0.02 * width * smooth_noise(rng, image.shape, 0.15 * width))
    marks = np.clip(marks, 0, 1)
    ink = in_tone(image, _ink(rng, image, marks))
    shade = np.clip(grey(image) / np.maximum(blur(grey(image), 0.08 * width), 8), 0.5, 1.4)[..., None]
    return add_grain(over(image, np.clip(ink * shade, 0, 255), marks * (0.8 + 0.2 * strength)), marks, rng, like=image)


def corner_mark(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A small mark in a corner, half transparent: initials in a box or ring, a handle, a date."""
    height, width = image.shape[:2]
    side = min(height, width)
    size = max(int(side * (0.055 + 0.035 * strength)), 7)
    line = _some_line(rng, size, 0.5 + 0.5 * strength, 1)
    scale = min(1.0, 0.42 * width / line.shape[1])
    half = np.array([0.5 * scale * line.shape[1], 0.75 * size * scale])
    corner = np.array([rng.choice([0.0, 1.0]), 1.0 if rng.random() < 0.8 else 0.0])
    room = half + 0.03 * side
    centre = room + corner * (np.array([width, height]) - 2 * room)
    alpha = _place(image.shape, line, centre, rng.normal(0, 2), scale)
    frame = rng.random()
    if frame < 0.3:
        box = centre + half * np.array([[-1, -0.8], [1, -0.8], [1, 0.8], [-1, 0.8], [-1, -0.8]])
        np.maximum(alpha, stroke(image.shape, box, max(0.006 * side, 1)), out=alpha)
    elif frame < 0.5:
        reach = (half[0] + 0.3 * size, half[0] + 0.3 * size)
        ring = ellipse(image.shape, centre, reach, feather=0.1) - ellipse(image.shape, centre, (0.9 * reach[0],) * 2, feather=0.1)
        np.maximum(alpha, ring, out=alpha)
    return over(image, in_tone(image, _ink(rng, image, alpha)), alpha * (0.55 + 0.4 * strength))


ARTIFACTS: tuple[Artifact, ...] = (
    foreign_lettering,
    stock_bar,
    logo,
    slanted_sign,
    shirt_print,
    corner_mark,
)
