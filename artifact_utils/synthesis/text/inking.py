"""From lines of letters to ink in a picture: sheets of lines, their placing, and colours that can be read."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.synthesis.compositing import blur, grey
from artifact_utils.synthesis.geometry import warp
from artifact_utils.synthesis.text.scripts import any_line

LINE_HEIGHT = 24
"""Height of a line in pixels where it is written, before it is brought to its place."""


def lettered_sheet(rng: np.random.Generator, strength: float, n_lines: int, n_words: int = 1) -> np.ndarray:
    """Alpha (h, w) of lines of false letters, each of its own length, one under the other."""
    lines = [any_line(rng, LINE_HEIGHT, 0.4 + 0.6 * strength, n_words) for _ in range(n_lines)]
    widest = max(line.shape[1] for line in lines)
    rows = []
    for line in lines:
        spare = widest - line.shape[1]
        rows.append(np.pad(line[4:-4], ((0, 0), (spare // 2, spare - spare // 2))))
    return np.concatenate(rows)


def place_letters(
    shape: tuple[int, ...],
    alpha: np.ndarray,
    centre: np.ndarray,
    angle: float = 0.0,
    scale: float = 1.0,
    shear: float = 0,
) -> np.ndarray:
    """Alpha (H, W) of a picture of ``shape`` with the letters ``alpha`` (h, w) turned, scaled and put on ``centre``."""
    cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    matrix = np.array([[cos, -sin + shear * cos, 0], [sin, cos + shear * sin, 0]])
    matrix[:, 2] = np.asarray(centre) - matrix[:, :2] @ [alpha.shape[1] / 2, alpha.shape[0] / 2]
    return cv2.warpAffine(alpha, matrix, (int(shape[1]), int(shape[0])), flags=cv2.INTER_LINEAR).clip(0, 1)


def place_sheet(
    shape: tuple[int, ...], sheet: np.ndarray, centre: np.ndarray, height: float, *, angle: float, sag: float = 0.0
) -> np.ndarray:
    """Alpha (H, W) of a picture of ``shape`` with a sheet ``height`` pixels high, its ends ``sag`` widths lower.

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
