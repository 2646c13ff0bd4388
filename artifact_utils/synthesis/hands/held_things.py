"""A pen, a syringe or a telephone that runs into the face, and the drawn fist that holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.geometry import around, oriented, polygon, put_back, smooth_noise
from artifact_utils.synthesis.hands.hand_model import SUPERSAMPLING, Hand, Pose, add_hand, turned
from artifact_utils.synthesis.hands.hand_shading import render_hand
from artifact_utils.synthesis.shading import hue, in_tone, light_from, lit


@dataclass(frozen=True)
class _Axis:
    """How a held thing lies in its window: from its ``tip`` on, ``along`` to the hand, ``length`` in pixels."""

    tip: np.ndarray
    along: np.ndarray
    length: float
    unit: float
    light: np.ndarray

    def outline(self, points: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
        return oriented(points, self.tip, self.along)

    def bar(self, start: float, end: float, half: float) -> np.ndarray:
        """The outline of a straight piece, ``start`` and ``end`` as shares of the length, ``half`` its half width."""
        start, end = start * self.length, end * self.length
        return self.outline([(start, -half), (end, -half), (end, half), (start, half)])


Drawing = Callable[[np.ndarray, np.random.Generator, _Axis], np.ndarray]


def _rounded(
    part: np.ndarray,
    light: np.ndarray,
    outline: np.ndarray,
    colour: np.ndarray,
    roundness: float,
    fade: np.ndarray | None = None,
) -> np.ndarray:
    """A rounded thing of one colour with its shadow; ``fade`` (H, W) lets it sink into what is behind."""
    alpha = blur(polygon(part.shape, outline), 0.45)
    shade = lit(alpha, light, max(roundness, 1.0))
    if fade is not None:
        alpha = alpha * fade
    layer = np.clip(colour * shade[..., None] + 60 * np.clip(shade - 1, 0, 1)[..., None], 0, 255)
    base = shadow(part, alpha, (-light[0] * 0.8 * roundness, 0.8 * roundness), 0.5 * roundness + 0.5, 0.4)
    return over(base, layer.astype(np.float32), alpha)


def _sunk(part: np.ndarray, rng: np.random.Generator, tip: np.ndarray, unit: float) -> np.ndarray:
    """Alpha (H, W) that rises from 0 to 1 away from ``tip``, raggedly: what ends there grows into the skin."""
    y, x = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float32)
    distance = np.hypot(x - np.float32(tip[0]), y - np.float32(tip[1])) / np.float32(unit)
    return np.clip(distance / 0.3 + 0.5 * smooth_noise(rng, part.shape, 0.12 * unit), 0, 1)


def pen(part: np.ndarray, rng: np.random.Generator, axis: _Axis) -> np.ndarray:
    w, length = rng.uniform(0.05, 0.085) * axis.unit, axis.length
    barrel = axis.outline([(0, -0.25 * w), (2.5 * w, -w), (length, -w), (length, w), (2.5 * w, w), (0, 0.25 * w)])
    colour, fade = hue(part, rng, (20, 220), (40, 240)), _sunk(part, rng, axis.tip, axis.unit)
    part = _rounded(part, axis.light, barrel, colour, w, fade)
    if rng.random() < 0.6:
        part = _rounded(part, axis.light, axis.bar(0.45, 0.55, w), in_tone(part, (205, 190, 150)), w)
    return part


def syringe(part: np.ndarray, rng: np.random.Generator, axis: _Axis) -> np.ndarray:
    w, end = rng.uniform(0.09, 0.13) * axis.unit, 0.35 * axis.length
    needle = axis.outline([(0, -0.12 * w), (end, -0.2 * w), (end, 0.2 * w), (0, 0.12 * w)])
    part = _rounded(part, axis.light, needle, in_tone(part, (190, 194, 198)), 0.3 * w)
    glass, filled = axis.bar(0.32, 1.0, w), axis.bar(0.36, 0.8, 0.75 * w)
    part = _rounded(part, axis.light, glass, 0.5 * in_tone(part, (225, 232, 236)) + 0.4 * part.mean(axis=(0, 1)), w)
    part = _rounded(part, axis.light, filled, hue(part, rng, (60, 200), (120, 240)), w)
    for mark in np.linspace(0.42, 0.85, 7):
        start = mark * axis.length
        tick = axis.outline([(start, -w), (start + 1, -w), (start + 1, 0), (start, 0)])
        part = over(part, (40, 42, 46), 0.7 * polygon(part.shape, tick))
    return part


def phone(part: np.ndarray, rng: np.random.Generator, axis: _Axis) -> np.ndarray:
    w, tall = rng.uniform(0.3, 0.4) * axis.unit, min(axis.length, 1.5 * axis.unit)
    r = 0.12 * w
    corners = [(0, -w + r), (r, -w), (tall - r, -w), (tall, -w + r), (tall, w - r), (tall - r, w), (r, w), (0, w - r)]
    fade = _sunk(part, rng, axis.tip, 1.4 * axis.unit)
    part = _rounded(part, axis.light, axis.outline(corners), hue(part, rng, (0, 120), (25, 90)), 0.14 * w, fade)
    lenses = [(0.2 * tall, -0.5 * w), (0.2 * tall, -0.05 * w), (0.42 * tall, -0.5 * w), (0.3 * tall, 0.4 * w)]
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for centre in lenses[: int(rng.integers(1, 5))]:
        ring = axis.outline(np.array(centre) + 0.15 * w * np.stack([np.cos(turn), np.sin(turn)], axis=1))
        part = _rounded(part, axis.light, ring, in_tone(part, (70, 74, 82)), 0.08 * w, fade)
    return part


def _held(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face, draw: Drawing) -> np.ndarray:
    """Draw a thing whose one end runs into the face, and the malformed fist that holds the other."""
    unit = face.unit
    side = float(rng.choice([-1, 1]))
    light = light_from(image, face)
    tip = face.at(side * rng.uniform(0.0, 0.6), rng.uniform(0.1, 1.1))
    along = turned(face.down, -side * rng.uniform(20, 75))
    length = unit * (0.95 + 0.45 * strength) * rng.uniform(0.9, 1.15)
    image = draw_thing(image, rng, face, draw, tip, along, length, light)
    grip = tip + along * length
    reach = unit * (1.2 + 0.3 * strength) * SUPERSAMPLING
    aim = turned(-face.down, -side * rng.uniform(0, 50))
    pose = Pose(int(rng.choice([3, 4, 5, 6])), 6.0, fused=0.3 * strength, thumb=-side, chaos=0.4, closed=True)
    hand = Hand(image, np.float32)
    add_hand(hand, rng, grip * SUPERSAMPLING - aim * reach * 0.48, aim, reach, pose)
    return render_hand(image, rng, face, hand, 0.062 * reach)


def draw_thing(
    image: np.ndarray,
    rng: np.random.Generator,
    face: Face,
    draw: Drawing,
    tip: np.ndarray,
    along: np.ndarray,
    length: float,
    light: np.ndarray,
) -> np.ndarray:
    """Draw a thing from its ``tip`` on, ``along`` towards the hand that will hold it ``length`` pixels away."""
    unit = face.unit
    window, part, _ = around(image, face, tip + along * 0.5 * length, 0.75 * length + 0.5 * unit)
    place = tip - [window[1].start, window[0].start]
    drawn = draw(part, rng, _Axis(place, along, 1.25 * length, unit, light))
    changed = np.abs(drawn - part).max(axis=2) > 1
    return put_back(image, window, add_grain(drawn, changed.astype(np.float32), rng, like=image))


def held_pen(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A pen or brush in a fist that runs into the face."""
    return _held(image, rng, strength, face, pen)


def held_syringe(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A syringe in a fist whose needle ends in the face."""
    return _held(image, rng, strength, face, syringe)


def held_phone(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A telephone in a fist that grows into cheek or mouth."""
    return _held(image, rng, strength, face, phone)
