"""False writing in other scripts: two Latin hands gone wrong, and strokes that only look like four other scripts."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from artifact_utils.synthesis.geometry import curve, smooth_noise, stroke, warp
from artifact_utils.synthesis.text.glyphs import LETTERS, printed_line, spoilt_letter

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
        for first, second in rng.choice(list(LETTERS), (int(rng.integers(3, 7)), 2)):
            if script in _HERSHEY:
                glyph = _hershey(str(first), size, script)
                if rng.random() < amount:
                    glyph = spoilt_letter(rng, glyph, _hershey(str(second), size, script))
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


def any_line(rng: np.random.Generator, size: int, amount: float, n_words: int, script: str | None = None) -> np.ndarray:
    """Alpha (1.5 size, w) of a line in ``script``, by default in any of :data:`SCRIPTS` or in printed Latin letters."""
    script = script or str(rng.choice(["print", *SCRIPTS]))
    if script == "print":
        return printed_line(rng, size, amount, n_words)
    return script_line(rng, size, script, n_words, amount)
