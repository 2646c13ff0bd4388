"""A drawn hand: a height field of tubes, and the poses and faults it can have.

Metacarpals and phalanges are tapered tubes, joined smoothly. ``hand_shading`` lights the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from artifact_utils.synthesis.geometry import Window

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Mark:
    """A nail or a crease: where on the canvas, along which unit vector, on a finger of which radius."""

    centre: np.ndarray
    along: np.ndarray
    radius: float


class Hand:
    """The height field (H, W) of a hand in pixels of a canvas, and the marks on its skin."""

    def __init__(self, image: np.ndarray, precision: type[np.floating] = np.float64) -> None:
        """The demo set's kinds are drawn in float64, as they always were; float32 is less work."""
        self.precision = precision
        self.height = np.zeros((image.shape[0] * SUPERSAMPLING, image.shape[1] * SUPERSAMPLING), np.float32)
        self.nails: list[Mark] = []
        self.creases: list[Mark] = []

    def tube(self, joints: np.ndarray, radii: np.ndarray, *, lift: float = 0.0, blend: float = 0.0) -> None:
        """Add a chain of tapered tubes through ``joints`` (n, 2), joined to what is there over ``blend`` pixels."""
        window = window_around(self.height.shape, joints, float(np.max(radii)) + 1)
        height = self.height[window]
        if height.size == 0:
            return
        tubes = np.zeros_like(height)
        joints, radii = joints.astype(self.precision), radii.astype(self.precision)
        for p, q, r, s in zip(joints[:-1], joints[1:], radii[:-1], radii[1:], strict=True):
            part = window_around(self.height.shape, np.array([p, q]), float(max(r, s)) + 1)
            if part[0].start >= part[0].stop or part[1].start >= part[1].stop:
                continue
            axis = q - p
            y, x = (axis.astype(self.precision) for axis in np.ogrid[part])
            x, y = x - p[0], y - p[1]
            t = np.clip((x * axis[0] + y * axis[1]) / max(float(axis @ axis), 1e-6), 0, 1)
            below = (r + (s - r) * t) ** 2 - ((x - t * axis[0]) ** 2 + (y - t * axis[1]) ** 2)
            inner = tubes[_within(part, window)]
            np.maximum(inner, np.sqrt(np.maximum(below, 0, out=below)), out=inner)
        tubes[tubes > 0] += lift
        joined = np.maximum(height, tubes)
        if blend > 0:
            t = np.clip(1 - np.abs(tubes - height) / blend, 0, 1) * ((tubes > 0) & (height > 0))
            joined += 0.25 * blend * t * t
        self.height[window] = joined

    def finger(self, joints: np.ndarray, radii: np.ndarray, *, lift: float, blend: float, nail: bool) -> None:
        """Add a finger from its knuckle to its tip, with a nail and creases over the joints."""
        self.tube(joints, radii, lift=lift, blend=blend)
        if nail:
            tip = _unit(joints[-1] - joints[-2])
            self.nails.append(Mark(joints[-1] + 0.1 * radii[-1] * tip, tip, float(radii[-1])))
        for before, joint, after, radius in zip(joints[:-2], joints[1:-1], joints[2:], radii[1:-1], strict=True):
            self.creases.append(Mark(joint, _unit(after - before), float(radius)))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.hypot(*vector)), 1e-6)


def turned(vector: np.ndarray, degrees: float) -> np.ndarray:
    """The vector (2,) turned clockwise on the screen."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([vector[0] * cos - vector[1] * sin, vector[0] * sin + vector[1] * cos])


def window_around(shape: tuple[int, ...], points: np.ndarray, reach: float) -> Window:
    """Rows and columns within ``reach`` pixels of ``points`` (n, 2)."""
    x0, y0 = np.floor(points.min(axis=0) - reach).astype(int)
    x1, y1 = np.ceil(points.max(axis=0) + reach).astype(int) + 1
    return slice(max(y0, 0), max(min(y1, shape[0]), 0)), slice(max(x0, 0), max(min(x1, shape[1]), 0))


def _within(inner: Window, outer: Window) -> Window:
    """``inner`` as rows and columns of ``outer``."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return rows, columns


def finger_joints(
    rng: np.random.Generator, root: np.ndarray, direction: np.ndarray, length: float, bend: float
) -> np.ndarray:
    """Four joints (4, 2) of a finger whose two outer phalanges each turn by about ``bend`` degrees."""
    joints = [root]
    for share in (0.42, 0.32, 0.26):
        joints.append(joints[-1] + direction * length * share)
        direction = turned(direction, bend + rng.normal(0, 4))
    return np.array(joints)


@dataclass(frozen=True)
class Pose:
    """How a hand is held and what is wrong with it."""

    n_fingers: int
    """Without the thumb; four in a healthy hand."""
    spread: float
    """Angle between the outermost fingers in degrees."""
    fused: float = 0.0
    """0 separate fingers, 1 fingers grown together."""
    thumb: float = 0.0
    """On which side, -1 or 1; 0 for none."""
    nails: bool = True
    """Whether the back of the hand is seen."""
    chaos: float = 0.3
    """0 orderly, 1 every finger as it likes."""
    closed: bool = False
    """A fist: the fingers end at their middle joints, the thumb lies across them."""
    kink: float = 0.0
    """Degrees by which the joints of a finger bend the way joints do not."""
    girth: float = 1.0
    """How thick the fingers are; 1 is healthy."""


def add_hand(
    hand: Hand, rng: np.random.Generator, wrist: np.ndarray, along: np.ndarray, length: float, pose: Pose
) -> None:
    """Add a hand of ``length`` pixels, from ``wrist`` (2,) in the direction ``along`` (2,)."""
    across = np.array([-along[1], along[0]])
    n = pose.n_fingers
    width = length * 0.42 * (1 + 0.06 * (n - 4))
    radius = min(0.064 * length, 0.54 * width / n) * pose.girth
    forearm = np.array([wrist - along * length * 3, wrist - along * 0.05 * length])  # leads out of the picture
    hand.tube(forearm, np.array([0.24, 0.165]) * length, blend=0.1 * length)
    places = np.linspace(-0.5, 0.5, n)
    knuckles = [wrist + along * length * (0.52 - 0.16 * p**2) + across * p * width * 0.82 for p in places]
    palm = max(0.105 * length, 0.6 * width / n)
    for place, knuckle in zip(places, knuckles, strict=True):
        start = wrist + across * place * width * 0.45
        hand.tube(np.array([start, knuckle]), np.array([1.25, 1.0]) * palm, blend=0.14 * length)
    blend = (0.04 + 0.3 * pose.fused) * radius * 4
    for place, knuckle in zip(places, knuckles, strict=True):
        aim = turned(along, pose.spread * place + pose.chaos * rng.normal(0, 14))
        size = 1 + pose.chaos * rng.normal(0, 0.1)
        if pose.closed:
            start = knuckle + aim * 0.06 * length
            joints = np.array([start, start - aim * 0.11 * length, start - aim * 0.2 * length])
            hand.finger(joints, radius * size * np.array([1.25, 1.2, 1.05]), lift=0.1 * length, blend=blend, nail=False)
            continue
        reach = length * (0.5 - 0.24 * (place - 0.08) ** 2) * (1 + pose.chaos * rng.normal(0, 0.16))
        bend = pose.chaos * rng.normal(0, 16)
        if pose.kink:
            bend += pose.kink * rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1)
        joints = finger_joints(rng, knuckle - aim * 0.04 * length, aim, reach, bend)
        radii = radius * size * np.array([1.12, 1.02, 0.95, 0.8])
        hand.finger(joints, radii, lift=0.05 * length, blend=blend, nail=pose.nails)
    if pose.thumb:
        root = wrist + along * 0.14 * length + across * pose.thumb * 0.2 * length
        aim = turned(along, pose.thumb * rng.uniform(28, 50))
        joints = np.array([root, root + aim * 0.2 * length, root + turned(aim, -pose.thumb * 18) * 0.4 * length])
        lift = 0.03 * length
        if pose.closed:
            tip = knuckles[len(knuckles) // 2] - along * 0.13 * length
            joints, lift = np.array([root, root + along * 0.17 * length, tip]), 0.16 * length
        hand.finger(joints, radius * np.array([1.7, 1.3, 1.0]), lift=lift, blend=0.12 * length, nail=pose.nails)
