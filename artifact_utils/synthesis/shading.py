"""Small solid things in a picture: the window they are drawn in, the light on them, colours in the picture's tone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import Window, blur

_MONOCHROME = 7.0
"""Mean spread of the channels in grey levels below which a picture counts as black and white."""


def around(
    image: np.ndarray, face: Face, centre: Sequence[float] | np.ndarray, reach: float
) -> tuple[Window, np.ndarray, Face]:
    """The window within ``reach`` pixels of ``centre``, the picture in it, and the face as seen from its corner.

    A centre outside the picture is moved to its border, so that the window is never empty.
    """
    height, width = image.shape[:2]
    x, y = float(np.clip(centre[0], 0, width - 1)), float(np.clip(centre[1], 0, height - 1))
    rows = slice(max(int(y - reach), 0), min(int(y + reach) + 2, height))
    columns = slice(max(int(x - reach), 0), min(int(x + reach) + 2, width))
    moved = face.moved(np.array([[1.0, 0, -columns.start], [0, 1.0, -rows.start]]))
    return (rows, columns), np.ascontiguousarray(image[rows, columns]), moved


def put_back(image: np.ndarray, window: Window, part: np.ndarray) -> np.ndarray:
    """A copy of ``image`` with ``part`` in its window."""
    changed = image.copy()
    changed[window] = part
    return changed


def lit(alpha: np.ndarray, light: np.ndarray, roundness: float, bumps: np.ndarray | None = None) -> np.ndarray:
    """How bright a rounded thing of shape ``alpha`` is under ``light``: float32 (H, W), about 0.3 to 1, shine above 1.

    Args:
        alpha: its shape (H, W).
        light: unit vector (3,) towards the light, see ``compositing.light_from``.
        roundness: how far from its edge, in pixels, the thing curves.
        bumps: height (H, W) in pixels on top of that.
    """
    inside = (alpha > 0.5).astype(np.uint8)
    depth = np.minimum(cv2.distanceTransform(inside, cv2.DIST_L2, 5), np.float32(roundness))
    height = blur(np.sqrt(np.maximum(2 * roundness * depth - depth * depth, 0)), max(0.18 * roundness, 0.5))
    if bumps is not None:
        height = height + bumps
    x, y, z = (np.float32(v) for v in light)
    dx, dy = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    normal_z = 1 / np.sqrt(dx * dx + dy * dy + 1)
    diffuse = np.clip((z - dx * x - dy * y) * normal_z, 0, 1)
    halfway = np.array([x, y, z + 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    shine = np.clip((halfway[2] - dx * halfway[0] - dy * halfway[1]) * normal_z, 0, 1) ** 2
    shine = shine * shine
    shine = shine * shine
    return 0.3 + 0.7 * diffuse + 0.5 * shine * shine


def is_monochrome(image: np.ndarray) -> bool:
    """Whether a picture is black and white, or toned so little that a colour would look pasted in."""
    sample = image[::8, ::8].reshape(-1, 3)
    return float((sample.max(axis=1) - sample.min(axis=1)).mean()) <= _MONOCHROME


def in_tone(image: np.ndarray, colour: np.ndarray | Sequence[float]) -> np.ndarray:
    """``colour`` (3,), float32, as this picture would show it: grey or toned where the picture is black and white."""
    colour = np.asarray(colour, np.float32)
    if not is_monochrome(image):
        return colour
    mean = image[::8, ::8].reshape(-1, 3).mean(axis=0)
    return np.asarray(colour.mean() * mean / max(float(mean.mean()), 1.0), np.float32)


def hue(image: np.ndarray, rng: np.random.Generator, saturation: tuple[int, int], value: tuple[int, int]) -> np.ndarray:
    """A random colour (3,) in the picture's tone; saturation and value as ranges in 0..255."""
    pixel = np.array([[[rng.integers(180), rng.integers(*saturation), rng.integers(*value)]]], np.uint8)
    return in_tone(image, cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0])


def own_colours(image: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """The skin's highlight and the dark of the eyes, both (3,), read from the picture."""
    _, part, _ = around(image, face, face.at(0, 0.4), 0.9 * face.unit)
    pixels = part[::2, ::2].reshape(-1, 3)
    order = np.argsort(pixels.sum(axis=1))
    return np.median(pixels[order[int(0.85 * len(order)) :]], axis=0), np.median(
        pixels[order[: max(len(order) // 20, 1)]], axis=0
    )


def hair_colour(image: np.ndarray, face: Face) -> np.ndarray:
    """Of what frames the face above and beside the brow, the darker half: mostly hair, (3,)."""
    spots = [face.at(right, down) for right, down in ((0, -1.15), (-0.8, -0.9), (0.8, -0.9), (0, -1.35))]
    height, width = image.shape[:2]
    pixels = np.array([image[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))] for x, y in spots])
    return np.asarray(pixels[np.argsort(pixels.sum(axis=1))[:2]].mean(axis=0), np.float32)


def oriented(points: Sequence[Sequence[float]] | np.ndarray, origin: np.ndarray, along: np.ndarray) -> np.ndarray:
    """``points`` (n, 2), given as (along, across), in pixels of the picture."""
    across = np.array([-along[1], along[0]])
    p = np.asarray(points, dtype=float)
    return origin + np.outer(p[:, 0], along) + np.outer(p[:, 1], across)
