"""Places, lines and shapes: the windows that are worked in, curves, and the alphas of strokes and outlines.

Points are ``(x, y)`` in pixels, alphas float32 (H, W) in 0..1. Nothing here changes its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from artifact_utils.faces import Face

Window = tuple[slice, slice]
"""Rows and columns of a part of a picture."""


def grid(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates ``x`` and ``y`` of a picture, both float32 (H, W)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x, y


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], cell: float) -> np.ndarray:
    """Noise (H, W) about -1..1 whose blobs are ``cell`` pixels wide."""
    rows = max(round(shape[0] / cell) + 3, 4)
    columns = max(round(shape[1] / cell) + 3, 4)
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (int(shape[1]), int(shape[0])), interpolation=cv2.INTER_CUBIC)


def curve(points: Sequence[Sequence[float]] | np.ndarray, n: int = 48) -> np.ndarray:
    """A smooth line (n, 2) through ``points`` (k, 2), a Catmull-Rom spline."""
    p = np.asarray(points, dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    s = np.linspace(0, len(p) - 3 - 1e-6, n)
    i = s.astype(int)
    t = (s - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def dot(centre: np.ndarray) -> np.ndarray:
    """A line (2, 2) so short that its stroke is a disc."""
    return centre + np.array([[0.0, 0.0], [0.4, 0.0]])


def stroke(shape: Sequence[int], line: np.ndarray, width: float) -> np.ndarray:
    """Alpha of a line (n, 2) drawn ``width`` pixels wide with smooth edges."""
    alpha = np.zeros((int(shape[0]), int(shape[1])), np.uint8)
    fixed = np.round(line * 16).astype(np.int32)
    cv2.polylines(alpha, [fixed[:, None]], False, 255, max(round(width), 1), cv2.LINE_AA, 4)
    return alpha.astype(np.float32) / 255


def polygon(shape: Sequence[int], corners: np.ndarray) -> np.ndarray:
    """Alpha of a filled polygon (n, 2) with smooth edges."""
    alpha = np.zeros((int(shape[0]), int(shape[1])), np.uint8)
    cv2.fillPoly(alpha, [np.round(corners * 16).astype(np.int32)[:, None]], 255, cv2.LINE_AA, 4)
    return alpha.astype(np.float32) / 255


def ellipse(
    shape: Sequence[int],
    centre: Sequence[float] | np.ndarray,
    radii: tuple[float, float],
    angle: float = 0.0,
    *,
    feather: float = 0.3,
    wobble: np.ndarray | None = None,
) -> np.ndarray:
    """Alpha of an ellipse: 1 inside, falling to 0 over the outer ``feather`` share of its radius.

    Args:
        shape: picture shape.
        centre: ``(x, y)`` in pixels.
        radii: half axes in pixels, before turning by ``angle`` degrees clockwise.
        angle: in degrees.
        feather: width of the soft edge as a share of the radius.
        wobble: noise (H, W) added to the normalised radius, to make the outline irregular.
    """
    reach = max(radii) * (1 if wobble is None else 1 - float(wobble.min())) + 2
    rows = slice(max(int(centre[1] - reach), 0), int(np.clip(centre[1] + reach + 1, 0, shape[0])))
    columns = slice(max(int(centre[0] - reach), 0), int(np.clip(centre[0] + reach + 1, 0, shape[1])))
    alpha = np.zeros((int(shape[0]), int(shape[1])), np.float32)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return alpha
    y, x = np.mgrid[rows, columns].astype(np.float32)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    cos, sin = np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
    u, v = (x * cos + y * sin) / max(radii[0], 0.5), (y * cos - x * sin) / max(radii[1], 0.5)
    radius = np.sqrt(u * u + v * v)
    if wobble is not None:
        radius = radius + wobble[rows, columns]
    t = np.clip((1 - radius) / max(feather, 1e-3), 0, 1)
    alpha[rows, columns] = t * t * (3 - 2 * t)
    return alpha


def torn_outline(
    rng: np.random.Generator, centre: np.ndarray, radii: tuple[float, float], angle: float, roughness: float
) -> np.ndarray:
    """A closed outline (n, 2) with edges ragged at every scale."""
    n = 96
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = np.ones(n)
    for octave in range(1, 6):
        k = 2**octave
        phase = rng.uniform(0, 2 * np.pi, 2)
        wave = np.sin(k * turn + phase[0]) + 0.7 * np.sin((k + 1) * turn + phase[1])
        radius += roughness * wave * rng.uniform(0.5, 1) / octave
    shape = np.stack([np.cos(turn) * radius * radii[0], np.sin(turn) * radius * radii[1]], axis=1)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return shape @ np.array([[cos, sin], [-sin, cos]]) + centre


def extent(alpha: np.ndarray, margin: int = 0) -> Window:
    """Rows and columns of the smallest box round all of ``alpha`` (H, W) that is not 0, ``margin`` pixels wider."""
    x, y, width, height = cv2.boundingRect((alpha != 0).view(np.uint8))
    return slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)


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


def oriented(points: Sequence[Sequence[float]] | np.ndarray, origin: np.ndarray, along: np.ndarray) -> np.ndarray:
    """``points`` (n, 2), given as (along, across), in pixels of the picture."""
    across = np.array([-along[1], along[0]])
    p = np.asarray(points, dtype=float)
    return origin + np.outer(p[:, 0], along) + np.outer(p[:, 1], across)


def warp(image: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The picture whose pixel (x, y) shows what was at (x + dx, y + dy); ``dx`` and ``dy`` are (H, W) in pixels."""
    x, y = grid(image.shape)
    return cv2.remap(
        image, x + dx.astype(np.float32), y + dy.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def spot_on_face(rng: np.random.Generator, face: Face) -> np.ndarray:
    """A place on brow, cheek, temple or jaw, (2,)."""
    side = rng.choice([-1, 1])
    places = [(0.0, -0.6), (0.65 * side, 0.6), (0.85 * side, -0.2), (0.6 * side, 1.2), (0.25 * side, 0.35)]
    right, down = places[int(rng.integers(len(places)))]
    return face.at(right + rng.normal(0, 0.1), down + rng.normal(0, 0.1))
