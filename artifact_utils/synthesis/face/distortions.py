"""The face out of shape: melted, swirled, swollen, shifted, crumpled, merged, with uneven halves or a broken jaw."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, copy_patch
from artifact_utils.synthesis.face.eyes import random_eye
from artifact_utils.synthesis.geometry import around, ellipse, grid, put_back, smooth_noise, warp


def _random_feature(rng: np.random.Generator, face: Face) -> tuple[np.ndarray, float]:
    """An eye, the nose or the mouth: its centre (2,) and its radius in units."""
    which = rng.random()
    if which < 0.4:
        return random_eye(rng, face), 0.55
    if which < 0.8:
        return np.array(face.mouth, dtype=float), 0.68
    return np.array(face.nose, dtype=float), 0.5


def _amplified(strength: float, face: Face) -> float:
    """In a side view there is no second eye to compare with: the same fault has to be larger to be seen."""
    return 0.6 + 0.4 * strength if face.is_profile else strength


def melted_face(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The face runs down like wax below the brow, on one side or both."""
    unit = face.unit
    side = rng.choice([-1, 0, 1])
    area = ellipse(image.shape, face.at(0.45 * side, 0.65), (0.95 * unit, 1.15 * unit), face.angle, feather=0.7)
    # Columns sink by different amounts, so that drops and runs form.
    runs = smooth_noise(rng, (1, image.shape[1]), 0.32 * unit)
    runs = np.repeat(np.abs(runs), image.shape[0], axis=0) + 0.35
    amount = (0.25 + 0.5 * strength) * unit * area
    wave = smooth_noise(rng, image.shape, 0.5 * unit) * (0.1 + 0.2 * strength) * unit * area
    melted = warp(image, wave * 0.6, -amount * runs + 0.3 * wave)
    smeared = cv2.blur(melted, (1, max(int(0.12 * unit), 1)))
    return melted + (smeared - melted) * (0.5 * area)[..., None]


def swirled_feature(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An eye, the nose or the mouth is turned round like cream in coffee."""
    centre, reach = _random_feature(rng, face)
    radius = reach * face.unit * (1.15 + 0.5 * strength)
    x, y = grid(image.shape)
    dx, dy = x - centre[0], y - centre[1]
    distance = np.hypot(dx, dy) / radius
    turn = np.radians(rng.choice([-1, 1]) * (55 + 110 * strength)) * np.clip(1 - distance, 0, 1) ** 1.5
    cos, sin = np.cos(turn), np.sin(turn)
    return warp(image, dx * cos - dy * sin - dx, dx * sin + dy * cos - dy)


def swollen_feature(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One eye, or the mouth, is much larger or smaller than the face around it."""
    strength = _amplified(strength, face)
    centre = random_eye(rng, face) if rng.random() < 0.8 else np.array(face.mouth, dtype=float)
    radius = face.unit * (0.65 + 0.25 * strength)
    x, y = grid(image.shape)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    distance = np.clip(np.hypot(dx, dy) / radius, 0, 1)
    falloff = (1 - distance**2) ** 2
    grows = rng.random() < 0.65
    zoom = -(0.34 + 0.3 * strength) * falloff if grows else (0.55 + 0.9 * strength) * falloff
    return warp(image, dx * zoom, dy * zoom)


def shifted_feature(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An eye or the mouth sits in the wrong place: too high, too low, or slid to the side."""
    unit = face.unit
    strength = _amplified(strength, face)
    at_eye = rng.random() < 0.65
    centre = random_eye(rng, face) if at_eye else np.array(face.mouth, dtype=float)
    distance = (0.26 + 0.26 * strength) * unit
    along = face.down if at_eye else face.right
    move = along * distance * rng.choice([-1, 1])
    turned = np.radians(rng.normal(0, 14))
    core = ellipse(image.shape, centre + move / 2, (0.95 * unit, 0.85 * unit), face.angle, feather=0.75)
    x, y = grid(image.shape)
    x, y = x - np.float32(centre[0] + move[0]), y - np.float32(centre[1] + move[1])
    cos, sin = np.cos(turned), np.sin(turned)
    dx, dy = x * cos - y * sin - x - move[0], x * sin + y * cos - y - move[1]
    return warp(image, dx * core, dy * core)


def crumpled_face(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Nothing in the face is quite where it belongs: the half-formed face of a small figure in a generated crowd."""
    unit = face.unit
    area = ellipse(image.shape, face.at(0, 0.5), (1.05 * unit, 1.35 * unit), face.angle, feather=0.5)
    amount = (0.22 + 0.2 * strength) * unit * area
    cell = rng.uniform(0.4, 0.65) * unit
    crumpled = warp(image, smooth_noise(rng, image.shape, cell) * amount, smooth_noise(rng, image.shape, cell) * amount)
    soft = blur(crumpled, 0.02 * unit * (0.5 + strength))
    return crumpled + (soft - crumpled) * area[..., None]


def merged_faces(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Two copies of the face grown into each other: four eyes, two noses."""
    unit = face.unit
    centre = face.at(0, 0.45)
    side = -np.sign(face.facing) if face.is_profile else rng.choice([-1, 1])
    move = face.right * side * (0.45 + 0.3 * strength) * unit + face.down * rng.normal(0, 0.15) * unit
    # The second face shows through one half of the first and stays inside its outline.
    window = centre + face.right * side * 0.45 * unit
    radii = (0.62 * unit, 1.05 * unit)
    return copy_patch(image, centre, centre + move, radii, face.angle, turn=rng.normal(0, 8), window=window)


def broken_jaw(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Mouth and chin are wrenched to one side, the jaw dented or grown out."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 1.35), 1.75 * unit)
    side = rng.choice([-1.0, 1.0])
    area = ellipse(part.shape, local.at(0.1 * side, 1.4), (1.25 * unit, 0.95 * unit), face.angle, feather=0.85)
    shift = side * (0.35 + 0.4 * strength) * unit
    droop = rng.uniform(-0.25, 0.35) * strength * unit
    dent = ellipse(part.shape, local.at(-0.75 * side, 1.3), (0.55 * unit, 0.5 * unit), face.angle, feather=0.9)
    bite = side * rng.uniform(-0.4, 0.4) * strength * unit
    along = area * shift + dent * bite
    dx = -(along * local.right[0] + area * droop * local.down[0])
    dy = -(along * local.right[1] + area * droop * local.down[1])
    return put_back(image, window, warp(part, dx, dy))


def uneven_halves(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The two halves of the face do not fit: one is higher, larger or turned against the other along the nose."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 1.9 * unit)
    side = rng.choice([-1.0, 1.0])
    x, y = grid(part.shape)
    middle = local.at(rng.normal(0, 0.06), 0.5)
    u = side * (
        (x - np.float32(middle[0])) * np.float32(local.right[0])
        + (y - np.float32(middle[1])) * np.float32(local.right[1])
    )
    half = np.clip(u / (rng.uniform(0.05, 0.2) * unit) + 0.5, 0, 1)
    area = ellipse(part.shape, local.at(0.3 * side, 0.5), (1.2 * unit, 1.4 * unit), face.angle, feather=0.6) * half
    move = rng.choice([-1, 1]) * (0.16 + 0.24 * strength) * unit
    zoom = rng.uniform(-0.12, 0.16)
    dx = -area * move * local.down[0] + area * zoom * (x - np.float32(middle[0]))
    dy = -area * move * local.down[1] + area * zoom * (y - np.float32(middle[1]))
    return put_back(image, window, warp(part, dx, dy))
