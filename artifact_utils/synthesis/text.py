"""Text where none belongs: captions, watermarks, signatures and letters that only nearly are letters."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import Artifact, blur, curve, grey, over, shadow, smooth_noise, stroke, warp

_LETTERS = "ABCDEFGHIKLMNOPRSTUVXYZabdeghknoprstuvwyz0389&"


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


def _nearly(rng: np.random.Generator, letter: np.ndarray, other: np.ndarray) -> np.ndarray:
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
        for first, second in rng.choice(list(_LETTERS), (int(rng.integers(3, 8)), 2)):
            if unknown:
                cells.append(_invented(rng, size))
                continue
            if capitals:
                first, second = first.upper(), second.upper()
            glyph = _printed(str(first), size, weight)
            if rng.random() < amount:
                glyph = _nearly(rng, glyph, _printed(str(second), size, weight))
            cells.append(glyph)
    alpha = np.pad(np.concatenate(cells, axis=1), ((0, 0), (size // 3, size // 3)))
    reach = (0.02 + 0.05 * amount) * size
    dx, dy = (smooth_noise(rng, alpha.shape, 0.7 * size) * reach for _ in range(2))
    return np.clip(warp(alpha, dx, dy), 0, 1)


def place_letters(
    shape: tuple[int, ...],
    alpha: np.ndarray,
    centre: np.ndarray,
    angle: float = 0.0,
    scale: float = 1.0,
    shear: float = 0,
) -> np.ndarray:
    """``alpha`` (h, w) turned, scaled and centred on ``centre`` of a picture of ``shape``."""
    cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    matrix = np.array([[cos, -sin + shear * cos, 0], [sin, cos + shear * sin, 0]])
    matrix[:, 2] = np.asarray(centre) - matrix[:, :2] @ [alpha.shape[1] / 2, alpha.shape[0] / 2]
    return cv2.warpAffine(alpha, matrix, (int(shape[1]), int(shape[0])), flags=cv2.INTER_LINEAR).clip(0, 1)


def readable_ink(rng: np.random.Generator, image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """A colour (3,) that can be read on what lies under ``where``."""
    weights = where.sum()
    behind = float((grey(image) * where).sum() / weights) if weights > 0 else 128.0
    if rng.random() < 0.7:
        return np.full(3, rng.uniform(225, 255) if behind < 140 else rng.uniform(5, 40))
    hue = rng.uniform(0, 180)
    value = 255 if behind < 110 else rng.uniform(60, 120) if behind > 170 else rng.choice([60, 255])
    pixel = np.array([[[hue, rng.uniform(140, 230), value]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(float)


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


def lettering_on_face(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """False letters printed into the skin of forehead, cheek or across the face."""
    unit = face.unit
    size = max(int(unit * (0.36 + 0.3 * strength)), 6)
    line = printed_line(rng, size, 0.4 + 0.6 * strength, 1)
    right, down = [(0.0, -0.6), (float(rng.choice([-0.6, 0.6])), 0.7), (0.0, 0.5), (0.0, 1.4)][int(rng.integers(4))]
    scale = min(1.0, 2.0 * unit / line.shape[1])
    alpha = place_letters(
        image.shape, line, face.at(right, down), face.angle + rng.normal(0, 10), scale, rng.normal(0, 0.15)
    )
    ink = readable_ink(rng, image, alpha)
    # Ink in skin keeps some of the skin's light and shadow.
    shade = (grey(image) / np.maximum(blur(grey(image), 0.4 * unit), 1)).clip(0.6, 1.3)[..., None]
    return over(image, np.clip(ink * (0.6 + 0.4 * shade), 0, 255), alpha * (0.75 + 0.25 * strength))


def lettering_beside_face(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A false logo or headline in the background or on the clothes."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.075 + 0.06 * strength)), 6)
    n_lines = int(rng.integers(1, 4))
    lines = [printed_line(rng, size, 0.4 + 0.6 * strength, 1) for _ in range(n_lines)]
    widest = max(line.shape[1] for line in lines)
    scale = min(1.0, 0.46 * width / widest)
    if rng.random() < 0.5:
        corner = face.at(0, rng.uniform(2.1, 2.5))  # on the chest
    else:
        corner = np.array([rng.choice([0.0, 1.0]) * width, rng.uniform(0.1, 0.6) * height])
    margin = np.array([0.5 * scale * widest, 0.75 * size])
    room = np.array([width, height - 1.2 * size * (n_lines - 1)]) - margin
    corner = np.clip(corner, margin, np.maximum(room, margin))
    angle = rng.normal(0, 4)
    marks = np.zeros((height, width), np.float32)
    for i, line in enumerate(lines):
        np.maximum(
            marks, place_letters(image.shape, line, corner + np.array([0, 1.2 * size * i]), angle, scale), out=marks
        )
    return over(image, readable_ink(rng, image, marks), marks * (0.75 + 0.25 * strength))


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


ARTIFACTS: tuple[Artifact, ...] = (
    garbled_caption,
    watermark,
    lettering_on_face,
    lettering_beside_face,
    signature,
)
