"""Irises moved inside their eyes: both aside, apart, crossed, at different heights, or one of them alone."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.drawing import iris_centre
from artifact_utils.synthesis.geometry import around, ellipse, put_back, warp

_ASIDE = 0.1
"""How far an iris moves sideways, in units of the face: about the radius of an iris."""
_UP = 0.05
"""How far it moves up or down: the lids leave less room."""


def _moved(image: np.ndarray, face: Face, eye: np.ndarray, right: float, down: float) -> np.ndarray:
    """The iris of one eye moved by so many units; the white is stretched behind it, the lids stay."""
    unit = face.unit
    centre = iris_centre(image, eye, unit)
    window, part, _ = around(image, face, centre, 0.6 * unit)
    centre = centre - [window[1].start, window[0].start]
    shift = unit * (right * face.right + down * face.down)
    # all of the iris moves, and the corners and lids do not: in between the picture stretches, never folds
    radii = (0.27 + abs(right)) * unit, (0.165 + 0.5 * abs(down)) * unit
    reach = ellipse(part.shape, centre + 0.8 * shift, radii, face.angle, feather=0.65)
    return put_back(image, window, np.clip(warp(part, -shift[0] * reach, -shift[1] * reach), 0, 255))


def _both(image: np.ndarray, face: Face, left: tuple[float, float], right: tuple[float, float]) -> np.ndarray:
    """Both irises moved by (right, down) in units; in a side view the one that is seen."""
    if face.is_profile:
        return _moved(image, face, face.eyes, *left)
    image = _moved(image, face, np.array(face.left_eye, dtype=float), *left)
    return _moved(image, face, np.array(face.right_eye, dtype=float), *right)


def _far(rng: np.random.Generator, strength: float) -> float:
    return _ASIDE * (0.75 + 0.5 * strength) * rng.uniform(0.9, 1.1)


def averted_gaze(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Both eyes look to one side, a little up or down, while the head faces the camera."""
    move = rng.choice([-1, 1]) * _far(rng, strength), float(np.clip(rng.normal(0, 0.4), -1, 1)) * _UP
    return _both(image, face, move, move)


def parted_gaze(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Each eye looks outwards."""
    far, lean = _far(rng, strength), rng.uniform(0.6, 1, 2)
    return _both(image, face, (-far * lean[0], 0.0), (far * lean[1], 0.0))


def crossed_gaze(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Each eye looks towards the nose."""
    far, lean = _far(rng, strength), rng.uniform(0.6, 1, 2)
    return _both(image, face, (far * lean[0], 0.0), (-far * lean[1], 0.0))


def uneven_gaze(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One eye looks higher than the other."""
    way, high = rng.choice([-1, 1]), _UP * (1 + 0.4 * strength)
    aside = rng.normal(0, 0.25) * _ASIDE
    return _both(image, face, (aside, way * high), (aside, -way * high * rng.uniform(0.3, 1)))


def stray_gaze(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One eye looks aside or up, the other one where it looked."""
    way, still = rng.uniform(0, 2 * np.pi), (0.0, 0.0)
    far = 1.15 * _far(rng, strength) * np.cos(way), 1.3 * _UP * np.sin(way)
    if abs(far[0]) < 0.5 * _ASIDE:
        far = float(np.copysign(0.7 * _ASIDE, far[0])), far[1]
    first = rng.random() < 0.5 or face.is_profile
    return _both(image, face, far if first else still, still if first else far)
