"""Cutting portraits out of OpenPeople: where the faces are, how they are framed and exposed.

OpenPeople (pip package ``openpeople``, MIT) holds ten generated people, each with a sheet of 16 expressions, a sheet of
views from all sides and four photographs. ``openpeople_faces.csv`` beside this file lists 217 places where a portrait
can be cut, and five points of each face. The boxes lie inside the sheets' white frames, clear of their captions; views
from behind and pictures with a hand near the face are left out. The points were measured once with MediaPipe's face
mesh, in side views by eye, and looked at one by one.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from threading import Lock

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.images import load_image


@dataclass(frozen=True)
class Base:
    """A place where a portrait can be cut: ``box`` is (left, top, right, bottom), all in pixels of the asset."""

    person: str
    asset: str
    box: tuple[int, int, int, int]
    face: Face


@lru_cache(maxsize=1)
def bases() -> dict[str, list[Base]]:
    """All places where a portrait can be cut, by person."""
    found: dict[str, list[Base]] = {}
    table = resources.files("artifact_utils").joinpath("demo", "openpeople_faces.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        box = int(row["left"]), int(row["top"]), int(row["right"]), int(row["bottom"])
        points = {
            name: (float(row[f"{name}_x"]), float(row[f"{name}_y"]))
            for name in ("left_eye", "right_eye", "nose", "mouth", "chin")
        }
        found.setdefault(row["person"], []).append(Base(row["person"], row["asset"], box, Face(**points)))
    return found


_decoding = Lock()
"""Threads that need the same sheet wait for the first to decode it, instead of each decoding their own."""


@lru_cache(maxsize=6)
def load_asset(person: str, asset: str) -> np.ndarray:
    """A sheet or photograph of OpenPeople, uint8 (H, W, 3) RGB; the last six are kept."""
    path = resources.files("openpeople").joinpath("data", "curated", person, "assets", f"{asset}.jpg")
    with resources.as_file(path) as file:
        return np.asarray(load_image(file))


def cut_portrait(base: Base, rng: np.random.Generator, size: int) -> tuple[np.ndarray, Face]:
    """Cut a portrait with varied framing and exposure.

    Args:
        base: where.
        rng: the only source of randomness.
        size: side of the picture in pixels.

    Returns:
        The portrait, uint8 (size, size, 3) RGB, and where its face is.

    Raises:
        ModuleNotFoundError: OpenPeople is not installed.
        ImageError: its pictures cannot be read.
    """
    with _decoding:
        asset = load_asset(base.person, base.asset)
    left, top, right, bottom = base.box
    matrix, face = frame_portrait(base, rng, size)
    # Where the picture shrinks, drawing at twice the size and averaging keeps hair from turning into jagged lines.
    factor = 2 if np.hypot(*matrix[0, :2]) < 0.9 else 1
    image = cv2.warpAffine(
        asset[top:bottom, left:right],
        matrix * factor,
        (size * factor, size * factor),
        flags=cv2.INTER_LINEAR if factor == 2 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if factor == 2:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return _exposed(image, rng), face


def frame_portrait(base: Base, rng: np.random.Generator, size: int) -> tuple[np.ndarray, Face]:
    """The first step of ``cut_portrait``: the map (2, 3) from the base's box to the picture, and the face in it."""
    left, top, right, bottom = base.box
    face = base.face.moved(np.array([[1.0, 0, -left], [0, 1.0, -top]]))
    matrix, mirrored = _framing(face, (right - left, bottom - top), rng, size)
    return matrix, face.moved(matrix, mirrored=mirrored)


def _framing(face: Face, box: tuple[int, int], rng: np.random.Generator, size: int) -> tuple[np.ndarray, bool]:
    """An affine map (2, 3) from the box to the picture that keeps the whole face in view, and whether it mirrors.

    The face, from hairline to chin, takes 38 to 72% of the height where the box is large enough for it.
    """
    face_height = 2.65 * face.unit
    widest = min(box) / face_height
    side = face_height * min(1 / rng.uniform(0.38, 0.72), widest * rng.uniform(0.93, 1.0))
    angle = np.radians(np.clip(rng.normal(0, 4), -9, 9))
    # A turned square needs more room; where there is none, it turns less.
    room = min(box) / side
    angle = np.clip(angle, -(room - 1), room - 1)
    half = side / 2 * (np.cos(angle) + abs(np.sin(angle)))
    centre = face.at(0, 0.42) + np.array([rng.normal(0, 0.07), rng.normal(0.04, 0.05)]) * side
    # The face may lie off centre, but its hairline, chin and ears stay inside.
    slack = np.maximum(side / 2 - np.array([1.3, 1.5]) * face.unit, 0)
    centre = np.clip(centre, face.at(0, 0.38) - slack, face.at(0, 0.38) + slack)
    low, high = np.minimum(half, np.array(box) / 2), np.maximum(np.array(box) - half, np.array(box) / 2)
    centre = np.clip(centre, low, high)
    zoom = size / side
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[cos, sin], [-sin, cos]])
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        linear[0] *= -1
    return np.hstack([linear, (size / 2 - linear @ centre)[:, None]]), mirrored


def _exposed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary exposure, contrast, white balance, saturation, sharpness and grain as cameras and generators do."""
    x = np.linspace(0, 1, 256)
    x = x ** rng.uniform(0.8, 1.22)
    x = np.clip(0.5 + (x - 0.5) * rng.uniform(0.88, 1.12), 0, 1) * rng.uniform(0.86, 1.1)
    warmth, green = rng.normal(0, 0.035), rng.normal(0, 0.015)
    gains = np.array([1 + warmth, 1 + green, 1 - warmth])
    table = np.clip(x[:, None] * gains * 255, 0, 255).astype(np.uint8)
    toned: np.ndarray = cv2.LUT(image, np.ascontiguousarray(table[None])).astype(np.float32)
    level = cv2.transform(toned, np.full((1, 3), 1 / 3, np.float32))[..., None]
    toned = level + (toned - level) * np.float32(rng.uniform(0.78, 1.18))
    if rng.random() < 0.3:
        toned = cv2.GaussianBlur(toned, (0, 0), float(rng.uniform(0.3, 0.8)) * image.shape[0] / 256)
    if rng.random() < 0.5:
        toned += rng.normal(0, rng.uniform(0.5, 3.0), (*image.shape[:2], 1)).astype(np.float32)
    return np.clip(np.rint(toned), 0, 255).astype(np.uint8)
