"""What cameras, weather and files do to a whole picture."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, over, to_uint8
from artifact_utils.synthesis.geometry import ellipse, grid, smooth_noise, stroke


def soft_focus(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """What lies away from the face is a little out of focus."""
    unit = face.unit
    near = ellipse(image.shape, face.at(0, 0.4), (2.2 * unit, 2.6 * unit), face.angle, feather=0.45)
    return over(image, blur(image, 0.008 * min(image.shape[:2]) * rng.uniform(0.5, 1.2)), 1 - near)


def side_light(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Light falls off to one side."""
    x, y = grid(image.shape)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x / image.shape[1] - 0.5) * np.cos(angle) + (y / image.shape[0] - 0.5) * np.sin(angle)
    warmth = 1 + rng.normal(0, 0.02, 3)
    return image * (1 + rng.uniform(0.2, 0.5) * ramp)[..., None] * warmth


def closer_crop(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The picture cropped by a few percent and enlarged again: so little that the face stays where it was."""
    height, width = image.shape[:2]
    forth = cv2.getRotationMatrix2D(tuple(map(float, face.at(0, 0.5))), rng.normal(0, 0.8), rng.uniform(1.015, 1.05))
    return cv2.warpAffine(image, forth, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def resized_and_back(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The picture made smaller or larger and brought back to its size."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.55, 1.6)
    size = (max(int(width * factor), 8), max(int(height * factor), 8))
    there = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return cv2.resize(there, (width, height), interpolation=[cv2.INTER_LINEAR, cv2.INTER_CUBIC][int(rng.integers(2))])


def recoded(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The picture saved once more as JPEG, on a grid that is not its own."""
    dy, dx = (int(v) for v in rng.integers(0, 8, 2))
    moved = np.ascontiguousarray(np.roll(to_uint8(image), (dy, dx), axis=(0, 1))[..., ::-1])
    _, coded = cv2.imencode(".jpg", moved, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 93))])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return np.roll(decoded, (-dy, -dx), axis=(0, 1)).astype(np.float32)


def sharpened(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The whole picture sharpened a little, as cameras do."""
    soft = blur(image, rng.uniform(0.004, 0.012) * min(image.shape[:2]))
    return np.clip(image + rng.uniform(0.3, 1.0) * (image - soft), 0, 255)


def film_grain(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Even grain over the whole picture."""
    noise = smooth_noise(rng, image.shape, rng.uniform(1.0, 2.0))
    return np.clip(image + (rng.uniform(4, 11) * noise)[..., None], 0, 255)


def rain(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Rain or snow in front of the whole picture."""
    height, width = image.shape[:2]
    falls = rng.random() < 0.6
    way = np.array([rng.normal(0, 0.12), 1.0]) * (rng.uniform(0.04, 0.09) * height if falls else 0.6)
    drops = np.zeros((height, width), np.float32)
    pen = 1 if falls else max(0.008 * height, 1)
    for start in rng.random((int(rng.integers(50, 130)), 2)) * [width, height]:
        np.maximum(drops, _drop(drops.shape, start, way * rng.uniform(0.5, 1.3), pen), out=drops)
    return over(image, np.full(3, 225.0), blur(drops, 0.5) * rng.uniform(0.3, 0.6))


def _drop(shape: tuple[int, ...], start: np.ndarray, way: np.ndarray, pen: float) -> np.ndarray:
    return stroke(shape, np.array([start, start + way]), pen)
