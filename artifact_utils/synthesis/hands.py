"""Hands and fingers in front of the face, with too many, too few, fused or bent fingers, drawn with ``hand_model``."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.hand_model import (
    SUPERSAMPLING,
    Hand,
    Pose,
    add_hand,
    finger_joints,
    render_hand,
    turned,
)


def _odd_count(rng: np.random.Generator, strength: float) -> int:
    """Fingers without the thumb: wrong more often and more grossly with strength."""
    return int(rng.choice([3, 4, 5] if strength < 0.5 else [2, 3, 5, 6, 7]))


def reaching_hand(
    image: np.ndarray,
    rng: np.random.Generator,
    strength: float,
    face: Face,
    target: np.ndarray,
    side: float,
    pose: Pose,
    lean: tuple[float, float] = (5, 70),
    precision: type[np.floating] = np.float64,
) -> np.ndarray:
    """A hand from below on one ``side``, -1 or 1, that lies on ``target`` (2,), ``lean`` degrees from upright."""
    length = face.unit * (1.45 + 0.5 * strength) * rng.uniform(0.92, 1.12) * SUPERSAMPLING
    along = turned(-face.down, -side * rng.uniform(*lean))
    hand = Hand(image, precision)
    add_hand(hand, rng, target * SUPERSAMPLING - along * length * 0.62, along, length, pose)
    return render_hand(image, rng, face, hand, 0.062 * length)


def open_pose(rng: np.random.Generator, strength: float, side: float) -> Pose:
    return Pose(
        n_fingers=_odd_count(rng, strength),
        spread=rng.uniform(8, 40),
        thumb=side * float(rng.random() < 0.75),
        nails=bool(rng.random() < 0.7),
        chaos=0.2 + 0.6 * strength * rng.random(),
    )


def hand_on_mouth(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A hand with a wrong number of fingers in front of mouth and chin."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.normal(0, 0.15), rng.uniform(0.8, 1.25) - 0.15 * strength)
    return reaching_hand(image, rng, strength, face, target, side, open_pose(rng, strength, side))


def hand_on_cheek(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A hand laid over a cheek or an eye."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.choice([-1, 1]) * rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.8) - 0.2 * strength)
    return reaching_hand(image, rng, strength, face, target, side, open_pose(rng, strength, side))


def fused_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A hand whose fingers have grown together into a mitten of flesh."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.uniform(-0.6, 0.6), rng.uniform(0.5, 1.2))
    pose = Pose(
        n_fingers=int(rng.integers(3, 6)),
        spread=rng.uniform(0, 12),
        fused=0.4 + 0.6 * strength,
        thumb=side * float(rng.random() < 0.5),
        chaos=0.3 + 0.7 * strength,
    )
    return reaching_hand(image, rng, strength, face, target, side, pose)


def fist(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A fist before the mouth or under the chin, its knuckles running into each other."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.normal(0, 0.3), rng.uniform(0.9, 1.3) - 0.2 * strength)
    pose = Pose(
        n_fingers=_odd_count(rng, strength), spread=6.0, fused=0.25 * strength, thumb=side, chaos=0.5, closed=True
    )
    return reaching_hand(image, rng, strength, face, target, side, pose)


def stray_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Fingers that belong to no hand, growing from the edge of the face across it."""
    side = float(rng.choice([-1, 1]))
    radius = face.unit * (0.12 + 0.05 * strength) * rng.uniform(0.9, 1.15) * SUPERSAMPLING
    length = face.unit * (0.9 + 0.5 * strength) * SUPERSAMPLING
    origin = face.at(side * rng.uniform(1.1, 1.4), rng.uniform(0.5, 1.5)) * SUPERSAMPLING
    aim = turned(-face.right * side, side * rng.uniform(5, 55))
    across = np.array([-aim[1], aim[0]])
    hand = Hand(image)
    n = int(rng.integers(2, 4 + round(3 * strength)))
    for i in range(n):
        root = origin + across * (i - (n - 1) / 2) * radius * 2.05
        reach = length * rng.uniform(0.75, 1.15)
        joints = finger_joints(rng, root, turned(aim, rng.normal(0, 5)), reach, rng.normal(0, 4 + 12 * strength))
        radii = radius * np.array([1.1, 1.05, 0.95, 0.78])
        hand.finger(joints, radii, lift=0.0, blend=0.1 * radius, nail=bool(rng.random() < 0.8))
    return render_hand(image, rng, face, hand, radius)


ARTIFACTS: tuple[Artifact, ...] = (
    hand_on_mouth,
    hand_on_cheek,
    fused_fingers,
    fist,
    stray_fingers,
)
