"""Printed lines that are nearly writing: Latin letters mirrored, mixed with one another, or invented."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from artifact_utils.synthesis.geometry import curve, smooth_noise, stroke, warp

LETTERS = "ABCDEFGHIKLMNOPRSTUVXYZabdeghknoprstuvwyz0389&"


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _printed(letter: str, size: int, weight: int) -> np.ndarray:
    """Alpha (1.5 size, w) of a letter in the bundled font; all letters of a size share their baseline."""
    font = _font(size)
    left, _, right, _ = font.getbbox(letter)
    canvas = Image.new("L", (max(int(right - left), 1) + 2 * weight + 2, int(1.5 * size)))
    ImageDraw.Draw(canvas).text((1 + weight - left, 0.1 * size), letter, fill=255, font=font, stroke_width=weight)
    return np.asarray(canvas, np.float32) / 255


def _invented(rng: np.random.Generator, size: int) -> np.ndarray:
    """Alpha (1.5 size, w) of a glyph of no script: a few strokes on a grid."""
    alpha = np.zeros((int(1.5 * size), int(0.85 * size)), np.float32)
    pen = max(0.12 * size, 1.5)
    for _ in range(int(rng.integers(2, 4))):
        knots = rng.integers(0, 3, (int(rng.integers(2, 4)), 2)) * [0.28 * size, 0.36 * size] + [
            0.14 * size,
            0.32 * size,
        ]
        line = curve(knots + rng.normal(0, 0.02 * size, knots.shape), 14)
        np.maximum(alpha, stroke(alpha.shape, line, pen), out=alpha)
    return alpha


def spoilt_letter(rng: np.random.Generator, letter: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A letter that is none: mirrored, upside down, or its lower or right half taken from another one."""
    height, width = letter.shape
    other = cv2.resize(other, (width, height), interpolation=cv2.INTER_LINEAR)
    middle = int(0.62 * height)  # of the capitals, which sit between 0.3 and 0.9 of the line's height
    change = int(rng.integers(5))
    if change == 0:
        return letter[:, ::-1]
    if change == 1:
        return letter[::-1]
    if change == 2:
        return np.concatenate([letter[:middle], other[middle:]])
    if change == 3:
        return np.concatenate([letter[:, : width // 2], other[:, width // 2 :]], axis=1)
    return np.maximum(letter, other * (np.arange(height) > middle)[:, None])


def printed_line(rng: np.random.Generator, size: int, amount: float, n_words: int) -> np.ndarray:
    """Alpha (h, w) of one line of text ``size`` pixels high that is nearly writing.

    ``amount`` is the share of letters that are wrong. Words mean nothing even where every letter is right.
    """
    weight = int(rng.integers(0, max(size // 14, 1) + 1))
    capitals, unknown = rng.random() < 0.5, rng.random() < 0.2
    cells = []
    for word in range(n_words):
        if word:
            cells.append(np.zeros((int(1.5 * size), int(0.4 * size)), np.float32))
        for first, second in rng.choice(list(LETTERS), (int(rng.integers(3, 8)), 2)):
            if unknown:
                cells.append(_invented(rng, size))
                continue
            if capitals:
                first, second = first.upper(), second.upper()
            glyph = _printed(str(first), size, weight)
            if rng.random() < amount:
                glyph = spoilt_letter(rng, glyph, _printed(str(second), size, weight))
            cells.append(glyph)
    alpha = np.pad(np.concatenate(cells, axis=1), ((0, 0), (size // 3, size // 3)))
    reach = (0.02 + 0.05 * amount) * size
    dx, dy = (smooth_noise(rng, alpha.shape, 0.7 * size) * reach for _ in range(2))
    return np.clip(warp(alpha, dx, dy), 0, 1)
