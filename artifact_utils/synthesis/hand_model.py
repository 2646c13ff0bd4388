"""The model that drawn hands are made with: a height field of tubes, lit by the light of the picture.

Metacarpals and phalanges are tapered tubes, joined smoothly. The normals of the field are lit by the light of the
picture, and the shade picks the colour from the skin of the person in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Window,
    add_grain,
    blur,
    light_from,
    over,
    shadow,
    skin_mask,
    skin_ramp,
    smooth_noise,
)

SUPERSAMPLING = 2


@dataclass(frozen=True)
class _Mark:
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
        self.nails: list[_Mark] = []
        self.creases: list[_Mark] = []

    def tube(self, joints: np.ndarray, radii: np.ndarray, *, lift: float = 0.0, blend: float = 0.0) -> None:
        """Add a chain of tapered tubes through ``joints`` (n, 2), joined to what is there over ``blend`` pixels."""
        window = _window(self.height.shape, joints, float(np.max(radii)) + 1)
        height = self.height[window]
        if height.size == 0:
            return
        tubes = np.zeros_like(height)
        joints, radii = joints.astype(self.precision), radii.astype(self.precision)
        for p, q, r, s in zip(joints[:-1], joints[1:], radii[:-1], radii[1:], strict=True):
            part = _window(self.height.shape, np.array([p, q]), float(max(r, s)) + 1)
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
            self.nails.append(_Mark(joints[-1] + 0.1 * radii[-1] * tip, tip, float(radii[-1])))
        for before, joint, after, radius in zip(joints[:-2], joints[1:-1], joints[2:], radii[1:-1], strict=True):
            self.creases.append(_Mark(joint, _unit(after - before), float(radius)))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.hypot(*vector)), 1e-6)


def turned(vector: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([vector[0] * cos - vector[1] * sin, vector[0] * sin + vector[1] * cos])


def _window(shape: tuple[int, ...], points: np.ndarray, reach: float) -> Window:
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


def render_hand(image: np.ndarray, rng: np.random.Generator, face: Face, hand: Hand, radius: float) -> np.ndarray:
    """Light the hand, colour it with the person's skin and lay it into the picture with its shadow.

    Args:
        image: picture.
        rng: randomness.
        face: where the face is, for skin and light.
        hand: on a canvas ``SUPERSAMPLING`` times as large as the picture.
        radius: of a finger in canvas pixels: the scale of the relief.
    """
    rows, columns = np.flatnonzero(hand.height.any(axis=1)), np.flatnonzero(hand.height.any(axis=0))
    if len(rows) == 0:
        return image
    # Only the part of the canvas that the hand and its shadow take is drawn, in whole pixels of the picture.
    margin, step = int(3 * radius), SUPERSAMPLING
    corners = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], dtype=float)
    window = _window(hand.height.shape, corners, margin)
    y0, x0 = window[0].start // step * step, window[1].start // step * step
    y1, x1 = -(-window[0].stop // step) * step, -(-window[1].stop // step) * step
    height = hand.height[y0:y1, x0:x1]
    small = slice(y0 // step, y1 // step), slice(x0 // step, x1 // step)
    corner = np.array([x0, y0], dtype=float)

    light, ramp = light_from(image, face).astype(hand.precision), skin_ramp(image, skin_mask(image, face))
    colour = _lit_skin(height, rng, light, ramp, radius, _shifted(hand.creases, corner))
    for nail in _shifted(hand.nails, corner):
        _paint_nail(colour, nail)
    part = image[small]
    size = part.shape[1::-1]
    softness = 0.0022 * min(image.shape[:2])
    layer = blur(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), softness)
    alpha = blur(cv2.resize((height > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA), softness)
    reach = radius / step
    base = shadow(part, alpha, (-light[0] * reach, 0.6 * reach), 0.7 * reach, 0.42)
    changed = image.copy()
    changed[small] = add_grain(over(base, layer, alpha), alpha, rng, like=image, floor=1.2)
    return changed


def _shifted(marks: list[_Mark], corner: np.ndarray) -> Iterator[_Mark]:
    for mark in marks:
        yield _Mark(mark.centre - corner, mark.along, mark.radius)


def _lit_skin(
    height: np.ndarray,
    rng: np.random.Generator,
    light: np.ndarray,
    ramp: np.ndarray,
    radius: float,
    creases: Iterator[_Mark],
) -> np.ndarray:
    """The colours (H, W, 3) of a relief of skin under a light."""
    pores = smooth_noise(rng, height.shape, max(0.16 * radius, 2.0))
    relief = blur(height, 0.12 * radius) + smooth_noise(rng, height.shape, 0.9 * radius) * 0.03 * radius
    relief += 0.012 * radius * pores
    dx, dy = cv2.Sobel(relief, -1, 1, 0, scale=0.125), cv2.Sobel(relief, -1, 0, 1, scale=0.125)
    # Only the pixels of the hand, and those that blurring mixes into them, are lit: (n,) from here on.
    reach = np.ones((4 * SUPERSAMPLING + 9, 4 * SUPERSAMPLING + 9), np.uint8)
    seen = cv2.dilate((height > 0).view(np.uint8), reach).astype(bool)
    dx, dy = dx[seen], dy[seen]
    normal_z = 1 / np.sqrt(dx**2 + dy**2 + 1)
    diffuse = np.clip((-dx * light[0] - dy * light[1] + light[2]) * normal_z, 0, 1)
    # Where the surface lies lower than its surroundings, less light arrives: gaps between fingers.
    quarter = cv2.resize(height, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = cv2.resize(blur(quarter, 0.22 * radius), height.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    hidden = np.clip((around[seen] - height[seen]) / radius, 0, 1)
    blotches = smooth_noise(rng, height.shape, 2.5 * radius)[seen]
    lit = 0.2 + 0.66 * diffuse - 0.5 * hidden + 0.035 * blotches + 0.012 * pores[seen]
    shade = np.zeros(height.shape, lit.dtype)
    shade[seen] = lit
    for crease in creases:
        _wrinkle(shade, rng, crease)
    colour = np.zeros((*height.shape, 3), np.float32)
    skin = ramp[np.clip(shade[seen] * 255, 0, 255).astype(np.uint8)]
    # Skin shines where the mirrored light meets the eye.
    halfway = light + np.array([0.0, 0.0, 1.0], light.dtype)
    halfway /= np.linalg.norm(halfway)
    shine = np.clip((-dx * halfway[0] - dy * halfway[1] + halfway[2]) * normal_z, 0, 1) ** 2
    shine *= shine
    shine *= shine
    shine *= shine * shine  # to the power of 24, several times faster than asking for it
    shine *= 16
    for channel, flush in enumerate(np.array([0.02, -0.025, -0.03], np.float32)):
        colour[..., channel][seen] = skin[:, channel] * (1 + blotches * flush) + shine
    return colour


def _wrinkle(shade: np.ndarray, rng: np.random.Generator, crease: _Mark) -> None:
    """Darken two or three short lines across a finger, in place."""
    offsets = rng.normal(0, 0.22, int(rng.integers(2, 4)))
    bends = rng.normal(0, 0.12, len(offsets))
    window = _window(shade.shape, crease.centre[None], 1.6 * crease.radius)
    part = shade[window]
    if part.size == 0:
        return
    lines = np.zeros(part.shape, np.uint8)
    across = np.array([-crease.along[1], crease.along[0]])
    corner = crease.centre - [window[1].start, window[0].start]
    for offset, bend in zip(offsets, bends, strict=True):
        ends = corner + crease.along * offset * crease.radius + np.outer([-0.6, 0, 0.6], across) * crease.radius
        ends[1] += crease.along * bend * crease.radius
        fixed = np.round(ends * 16).astype(np.int32)[:, None]
        cv2.polylines(lines, [fixed], False, 255, max(int(0.1 * crease.radius), 1), cv2.LINE_AA, 4)
    part -= 0.15 * blur(lines.astype(np.float32) / 255, 0.06 * crease.radius)


def _paint_nail(colour: np.ndarray, nail: _Mark) -> None:
    """Paint a nail in place: paler and pinker than the skin, with a darker rim and a soft highlight."""
    window = _window(colour.shape, nail.centre[None], 1.2 * nail.radius + 2)
    part = colour[window]
    if part.size == 0:
        return
    y, x = np.mgrid[window].astype(np.float32)
    x, y = x - np.float32(nail.centre[0]), y - np.float32(nail.centre[1])
    u = (x * nail.along[0] + y * nail.along[1]) / (0.72 * nail.radius)
    v = (-x * nail.along[1] + y * nail.along[0]) / (0.55 * nail.radius)
    distance = np.sqrt(np.sqrt(u**4 + v**4))
    plate = np.clip((1 - distance) / 0.25, 0, 1)
    rim = np.clip(1 - np.abs(distance - 1) / 0.18, 0, 1)
    shine = np.exp(-(((u - 0.1) / 0.5) ** 2 + ((v + 0.25) / 0.22) ** 2)) * plate
    pale = part * np.array([1.06, 1.01, 1.02], np.float32) + np.array([10, 5, 6], np.float32)
    painted = over(part, pale, 0.85 * plate) * (1 - 0.22 * rim[..., None]) + (26 * shine)[..., None]
    colour[window] = painted
