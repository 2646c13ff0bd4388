"""Drawn hands before the face: too many, too few, fused, bent or swollen fingers, fists, two hands in one."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.hands.hand_model import SUPERSAMPLING, Hand, Pose, add_hand, finger_joints, turned
from artifact_utils.synthesis.hands.hand_shading import render_hand


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
    """An open hand, its thumb on ``side`` (-1 or 1) or missing."""
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


def hand_on_eyes(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A malformed hand held before the eyes or the brow."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.normal(0, 0.35), rng.uniform(-0.35, 0.15))
    pose = open_pose(rng, strength, side)
    return reaching_hand(image, rng, strength, face, target, side, pose, lean=(25, 95), precision=np.float32)


def hand_on_chin(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The chin rests on a malformed hand."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.normal(0, 0.3), rng.uniform(1.45, 1.75) - 0.2 * strength)
    return reaching_hand(image, rng, strength, face, target, side, open_pose(rng, strength, side), precision=np.float32)


def extra_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An otherwise orderly hand beside or before the face with six or seven fingers."""
    side = float(rng.choice([-1, 1]))
    target = face.at(side * rng.uniform(0.2, 0.9), rng.uniform(0.4, 1.4))
    n = 5 if strength < 0.5 else int(rng.integers(5, 8))
    pose = Pose(n_fingers=n, spread=rng.uniform(20, 50), thumb=side, nails=bool(rng.random() < 0.8), chaos=0.15)
    return reaching_hand(image, rng, strength, face, target, side, pose, precision=np.float32)


def missing_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An otherwise orderly hand beside or before the face that has only two or three fingers."""
    side = float(rng.choice([-1, 1]))
    target = face.at(side * rng.uniform(0.1, 0.8), rng.uniform(0.4, 1.4))
    n = 3 if strength < 0.5 else 2
    pose = Pose(n, rng.uniform(15, 45), thumb=side * float(rng.random() < 0.7), nails=True, chaos=0.2)
    return reaching_hand(image, rng, strength, face, target, side, pose, precision=np.float32)


def bent_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Fingers that bend where and how no finger bends, across each other."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.uniform(-0.6, 0.6), rng.uniform(0.5, 1.3))
    pose = Pose(int(rng.integers(4, 6)), rng.uniform(15, 45), thumb=side, chaos=0.5, kink=35 + 45 * strength)
    return reaching_hand(image, rng, strength, face, target, side, pose, precision=np.float32)


def sausage_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A swollen hand whose fingers are as thick as sausages."""
    side = float(rng.choice([-1, 1]))
    target = face.at(rng.uniform(-0.6, 0.6), rng.uniform(0.6, 1.3))
    girth = 1.3 + 0.45 * strength
    pose = Pose(int(rng.integers(3, 5)), rng.uniform(35, 70), thumb=side, chaos=0.35, girth=girth)
    return reaching_hand(image, rng, strength, face, target, side, pose, precision=np.float32)


def merged_hands(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Two hands before mouth or chin whose fingers run into each other."""
    target = face.at(rng.normal(0, 0.15), rng.uniform(1.0, 1.5))
    length = face.unit * (1.25 + 0.4 * strength) * SUPERSAMPLING
    hand = Hand(image, np.float32)
    for side in (-1.0, 1.0):
        along = turned(-face.down, -side * rng.uniform(25, 60))
        pose = Pose(int(rng.integers(3, 6)), rng.uniform(5, 25), fused=0.5 * strength, thumb=side, chaos=0.4)
        start = target * SUPERSAMPLING - along * length * rng.uniform(0.6, 0.75)
        add_hand(hand, rng, start, along, length, pose)
    return render_hand(image, rng, face, hand, 0.062 * length)
