"""Edits without a fault, for the clean class: they keep a model from learning "was edited" instead of "is broken"."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    add_grain,
    blur,
    curve,
    ellipse,
    grey,
    grid,
    over,
    seamless,
    shadow,
    skin_mask,
    smooth_noise,
    stroke,
    to_uint8,
)
from artifact_utils.synthesis.everyday import EVERYDAY_EDITS, Edit
from artifact_utils.synthesis.plain import PLAIN_EDITS


def pasted_back(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A patch goes through the blending of the doubled features and lands where it was."""
    unit = face.unit
    centre = face.at(rng.uniform(-0.8, 0.8), rng.uniform(-0.6, 1.5))
    radii = unit * rng.uniform(0.3, 0.8), unit * rng.uniform(0.3, 0.8)
    alpha = ellipse(image.shape, centre, radii, rng.uniform(0, 180), feather=0.38)
    toned = image * rng.uniform(0.96, 1.04) + rng.normal(0, 2)
    return add_grain(seamless(image, blur(toned, 0.4), alpha, 0.35 * max(radii)), alpha, rng, like=image)


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


def glasses(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Plain glasses."""
    unit = face.unit
    if face.is_profile or abs(face.facing) > 0.25:
        return freckles(image, rng, face)  # a frame seen from the side would itself look like a fault
    left, right = np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)
    between = float(np.hypot(*(right - left)))
    radius = np.array([0.385, 0.385 * rng.uniform(0.72, 0.95)]) * between
    power = rng.uniform(2.0, 3.6)  # 2 is round, more is squarer
    across, down = (right - left) / between, face.down
    turn = np.linspace(0, 2 * np.pi, 60)
    pen = max(rng.uniform(0.028, 0.045) * unit, 1.0)
    frame = np.zeros(image.shape[:2], np.float32)
    for eye in (left, right):
        u = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * radius[0]
        v = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * radius[1]
        rim = eye + 0.06 * unit * down + np.outer(u, across) + np.outer(v, down)
        np.maximum(frame, stroke(image.shape, rim, pen), out=frame)
    inner = (1 - 2 * radius[0] / between) / 2 * between
    middle = (left + right) / 2
    bridge = [middle - across * inner, middle - 0.06 * unit * down, middle + across * inner]
    np.maximum(frame, stroke(image.shape, curve(np.array(bridge), 20), pen), out=frame)
    for eye, way in ((left, -1), (right, 1)):
        hinge = eye + way * across * radius[0]
        temple = np.array([hinge, hinge + way * across * 0.15 * between - 0.02 * unit * down])
        np.maximum(frame, stroke(image.shape, temple, pen), out=frame)
    frame = blur(frame, 0.5)
    colours = ((25, 24, 26), (70, 45, 30), (120, 118, 115), (40, 46, 70))
    colour = np.array(colours[int(rng.integers(len(colours)))], np.float32)
    base = shadow(image, frame, (0, 0.05 * unit), 0.03 * unit, 0.35)
    shine = 1 + 0.3 * smooth_noise(rng, image.shape, 0.4 * unit)
    return add_grain(over(base, colour * shine[..., None], frame), frame, rng, like=image)


def freckles(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Freckles on cheeks and nose."""
    unit = face.unit
    spots = np.zeros(image.shape[:2], np.float32)
    for _ in range(int(rng.integers(25, 70))):
        right, down = rng.normal(0, 0.5), rng.normal(0.52, 0.16)
        radius = unit * rng.uniform(0.012, 0.026)
        spot = _dot(spots.shape, face.at(right, down), radius)
        if spot is not None:
            rows, columns, alpha = spot
            np.maximum(spots[rows, columns], alpha * rng.uniform(0.3, 0.9), out=spots[rows, columns])
    spots = spots * skin_mask(image, face)
    return image * (1 - 0.3 * spots[..., None] * np.array([0.6, 0.95, 1.15], np.float32))


def _dot(shape: tuple[int, ...], centre: np.ndarray, radius: float) -> tuple[slice, slice, np.ndarray] | None:
    """Rows, columns and alpha of a small soft dot, or nothing where it lies outside the picture."""
    reach = int(radius * 2) + 2
    x, y = int(centre[0]), int(centre[1])
    if not (reach <= x < shape[1] - reach and reach <= y < shape[0] - reach):
        return None
    v, u = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(np.float32)
    alpha = np.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / (2 * max(radius, 0.45) ** 2))
    return slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1), alpha.astype(np.float32)


def dyed_clothes(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Light clothes below the chin get another colour, folds and shadows kept."""
    unit = face.unit
    _, y = grid(image.shape)
    below = (y - np.float32(face.chin[1])) / unit
    level = grey(image)
    red, green, blue = cv2.split(image)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    cloth = np.clip((level - 135) / 40, 0, 1) * np.clip((60 - spread) / 25, 0, 1) * np.clip(below / 0.3, 0, 1)
    cloth = blur(cloth, 0.7)
    pixel = np.array([[[rng.uniform(0, 180), rng.uniform(60, 190), rng.uniform(90, 240)]]], np.uint8)
    dye = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    return over(image, dye * (level / 235)[..., None], cloth)


def tinted_background(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A plain backdrop gets another tone; a busy one stays almost as it is."""
    rows = max(image.shape[0] // 12, 2)
    corners = np.concatenate([image[:rows, : 2 * rows].reshape(-1, 3), image[:rows, -2 * rows :].reshape(-1, 3)])
    backdrop = np.median(corners, axis=0)
    distance = np.abs(blur(image, 1.0) - backdrop).max(axis=2)
    away = 1 - ellipse(image.shape, face.at(0, 0.35), (1.0 * face.unit, 1.4 * face.unit), face.angle, feather=0.15)
    alpha = np.clip((60 - distance) / 30, 0, 1) * away
    tint = 1 + rng.uniform(-0.22, 0.22) + rng.normal(0, 0.1, 3)
    return over(image, image * tint.astype(np.float32), blur(alpha, 0.8))


EDITS: tuple[Edit, ...] = (
    pasted_back,
    soft_focus,
    side_light,
    glasses,
    freckles,
    dyed_clothes,
    tinted_background,
    *EVERYDAY_EDITS,
    *PLAIN_EDITS,
)
"""Every edit that :func:`harmless_edit` draws from, ``(image, rng, face) -> image`` on float32 pictures in 0..255."""


def harmless_edit(
    image: np.ndarray, rng: np.random.Generator, *, face: Face | None = None, kinds: Sequence[str] | None = None
) -> tuple[np.ndarray, str]:
    """Change a portrait in a way that nobody would call a fault.

    Args:
        image: uint8 (H, W, 3) RGB; it is not changed.
        rng: the only source of randomness.
        face: where the face is; by default a guess from the shape of the picture.
        kinds: names of the edits to draw from; by default all of :data:`EDITS`.

    Returns:
        The changed picture, uint8 (H, W, 3), and the name of the edit.

    Raises:
        ValueError: an unknown name in ``kinds``.
    """
    face = face or Face.guess(*image.shape[:2])
    known = {edit.__name__: edit for edit in EDITS}
    names = list(known if kinds is None else kinds)
    if not names or set(names) - set(known):
        raise ValueError(f"unknown harmless edit in {names}: expected some of {', '.join(known)}")
    edit = known[names[int(rng.integers(len(names)))]]
    return to_uint8(edit(image.astype(np.float32), rng, face)), edit.__name__
