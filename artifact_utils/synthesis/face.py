"""Faces gone wrong: features melted, swirled, swollen, shifted, doubled or merged."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import Artifact, blur, ellipse, grid, seamless, smooth_noise, warp


def _random_eye(rng: np.random.Generator, face: Face) -> np.ndarray:
    if face.is_profile:
        return face.eyes
    return np.array(face.left_eye if rng.random() < 0.5 else face.right_eye, dtype=float)


def _random_feature(rng: np.random.Generator, face: Face) -> tuple[np.ndarray, float]:
    """An eye, the nose or the mouth: its centre (2,) and its radius in units."""
    which = rng.random()
    if which < 0.4:
        return _random_eye(rng, face), 0.55
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
    centre = _random_eye(rng, face) if rng.random() < 0.8 else np.array(face.mouth, dtype=float)
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
    centre = _random_eye(rng, face) if at_eye else np.array(face.mouth, dtype=float)
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


def _copied(
    image: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    radii: tuple[float, float],
    angle: float,
    *,
    turn: float = 0.0,
    scale: float = 1.0,
    mirror: bool = False,
    window: np.ndarray | None = None,
) -> np.ndarray:
    """What lies round ``source`` is shown again round ``target``, turned and scaled, without a visible border.

    The copy is seen through an ellipse with half axes ``radii`` in pixels round ``window``, by default ``target``.
    """
    cos, sin = np.cos(np.radians(turn)) / scale, np.sin(np.radians(turn)) / scale
    back = np.array([[cos, sin, 0], [-sin, cos, 0]])
    if mirror:
        back[:, 0] *= -1
    back[:, 2] = source - back[:, :2] @ target
    patch = cv2.warpAffine(
        image, back, image.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    centre = target if window is None else window
    alpha = ellipse(image.shape, centre, (radii[0] * scale, radii[1] * scale), angle + turn, feather=0.38)
    return seamless(image, patch, alpha, 0.35 * max(radii))


def doubled_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second eye above, below or beside an eye."""
    unit = face.unit
    eye = _random_eye(rng, face)
    outwards = np.sign((eye - face.eyes) @ face.right) or 1.0
    down = rng.choice([-1, 1], p=[0.4, 0.6]) * rng.uniform(0.36, 0.5)
    if face.is_profile:  # above or beside the eye there is only hair or background
        outwards, down = -face.facing, abs(down)
    target = eye + face.down * down * unit + face.right * outwards * rng.uniform(-0.05, 0.2) * unit
    scale = 0.75 + 0.3 * strength
    return _copied(image, eye, target, (0.48 * unit, 0.3 * unit), face.angle, turn=rng.normal(0, 10), scale=scale)


def third_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An eye on the forehead, the cheek or the chin."""
    unit = face.unit
    eye = _random_eye(rng, face)
    places = [(rng.normal(0, 0.15), -0.6), (rng.choice([-1, 1]) * 0.62, 0.68), (0.0, 1.4)]
    target = face.at(*places[int(rng.choice(3, p=[0.5, 0.4, 0.1]))])
    if face.is_profile:
        target = face.at(rng.normal(0, 0.1), rng.uniform(0.5, 0.9))
    scale = 0.7 + 0.5 * strength
    turn = rng.normal(0, 15 + 30 * strength)
    mirror = bool(rng.random() < 0.3)
    return _copied(image, eye, target, (0.45 * unit, 0.28 * unit), face.angle, turn=turn, scale=scale, mirror=mirror)


def doubled_mouth(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second mouth on the chin, the cheek or the forehead."""
    unit = face.unit
    side = rng.choice([-1, 1])
    places = [(rng.normal(0, 0.08), 1.45), (side * 0.68, 0.72), (0.0, -0.6), (side * 0.35, 1.25)]
    target = face.at(*places[int(rng.choice(4, p=[0.15, 0.4, 0.3, 0.15]))])
    if face.is_profile:
        target = face.at(rng.normal(-0.2 * face.facing, 0.1), rng.uniform(0.3, 0.6))
    scale = 0.85 + 0.3 * strength
    mouth = np.array(face.mouth, dtype=float)
    return _copied(image, mouth, target, (0.62 * unit, 0.32 * unit), face.angle, turn=rng.normal(0, 12), scale=scale)


def merged_faces(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Two copies of the face grown into each other: four eyes, two noses."""
    unit = face.unit
    centre = face.at(0, 0.45)
    side = -np.sign(face.facing) if face.is_profile else rng.choice([-1, 1])
    move = face.right * side * (0.45 + 0.3 * strength) * unit + face.down * rng.normal(0, 0.15) * unit
    # The second face shows through one half of the first and stays inside its outline.
    window = centre + face.right * side * 0.45 * unit
    radii = (0.62 * unit, 1.05 * unit)
    return _copied(image, centre, centre + move, radii, face.angle, turn=rng.normal(0, 8), window=window)


ARTIFACTS: tuple[Artifact, ...] = (
    melted_face,
    swirled_feature,
    swollen_feature,
    shifted_feature,
    crumpled_face,
    doubled_eye,
    third_eye,
    doubled_mouth,
    merged_faces,
)
