"""How a portrait is framed: close-ups, low resolution, bars beside it. Drawn for both classes alike.

A close-up is cut before an artifact is made, which then has the size that it has in a real one; resolution and bars
come after it, as they do to a whole picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.transforms.looks import PAD_COLOUR

SMALLEST = 0.45
"""Share of the side that a close-up shows at least."""
LOWEST = 64
"""Pixels of the side that a portrait of low resolution has at least."""
WIDEST_RATIO = 1.6
"""Of the sides of a picture that is padded to a square."""
_KEPT = 0.6
"""Share of an artifact that bars must leave, or there are none."""


@dataclass(frozen=True)
class Frame:
    """One draw: the share of the side that is shown and where (0 to 1, of what is left over), the share of its pixels
    that are left a side, and the share of the width (or the height) that is not a bar."""

    share: float = 1.0
    across: float = 0.5
    down: float = 0.5
    resolution: float = 1.0
    visible: float = 1.0
    upright: bool = True


def draw_frame(rng: np.random.Generator, face: Face | None, side: int) -> Frame:
    """Draw a frame for a square picture of that side; the face, where it is known, stays in it."""
    share = rng.uniform(SMALLEST, 1.0) if rng.random() < 0.7 else 1.0
    across, down = rng.random(2)
    if face is not None and share < 1:  # somewhere between the eyes and the mouth is near the middle
        middle = face.at(0, 0.5) / side + rng.normal(0, 0.08, 2)
        across, down = np.clip((middle - share / 2) / (1 - share), 0, 1)
    resolution = max(rng.uniform(0.3, 0.8), LOWEST / side) if rng.random() < 0.3 else 1.0
    visible = 1 / rng.uniform(1.0, WIDEST_RATIO) if rng.random() < 0.2 else 1.0
    return Frame(share, float(across), float(down), min(resolution, 1.0), visible, bool(rng.random() < 0.7))


def close_up(frame: Frame, square: np.ndarray, face: Face | None) -> tuple[np.ndarray, Face | None]:
    """The part of a square picture (S, S, 3) uint8 that a frame shows, as large as the whole, and the face in it."""
    if frame.share >= 1:
        return square, face
    side = square.shape[0]
    shown = frame.share * side
    left, top = frame.across * (side - shown), frame.down * (side - shown)
    matrix = np.array([[1, 0, -left], [0, 1, -top]]) * (side / shown)
    matrix[:, 2] += 0.5 * (side / shown) - 0.5  # pixels have their middle at whole numbers
    part = cv2.warpAffine(square, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return part, None if face is None else face.moved(matrix)


def finish(frame: Frame, square: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Resolution and bars on a square picture (S, S, 3) uint8 and on where its artifact is (S, S), if that is known."""
    side = square.shape[0]
    if frame.resolution < 1:
        small = (round(frame.resolution * side),) * 2
        shrunk = cv2.resize(square, small, interpolation=cv2.INTER_AREA)
        square = cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_CUBIC)
    bar = round((1 - frame.visible) / 2 * side)
    if not bar:
        return square, mask
    inside = np.zeros((side, side), bool)
    inside[(slice(None), slice(bar, side - bar)) if frame.upright else (slice(bar, side - bar), slice(None))] = True
    if mask is not None and (mask[inside] > 0).sum() < _KEPT * (mask > 0).sum():
        return square, mask
    barred = np.where(inside[..., None], square, np.array(PAD_COLOUR, np.uint8))
    return barred, None if mask is None else np.where(inside, mask, 0).astype(mask.dtype)
