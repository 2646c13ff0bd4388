"""Whole hands where hands belong: beside the head, under the chin, at the collar, waving, and holding something.

They are the photographed hands of the malformed ones, left as they are; none reaches mouth, cheek or eyes.
"""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.hands.grafting import HandPlace, graft_hand, turned_from_upright
from artifact_utils.synthesis.hands.held_things import draw_thing, pen, phone, syringe
from artifact_utils.synthesis.shading import light_from

_TIPS = 0.58
"""Of a hand's length, how far its finger tips lie from the middle of its palm."""


def _laid(
    image: np.ndarray,
    rng: np.random.Generator,
    face: Face,
    palm: np.ndarray,
    degrees: float,
    length: float,
    *,
    sleeve: float = 0.6,
    reach: float = 3.4,
) -> np.ndarray:
    place = HandPlace(palm, turned_from_upright(face, degrees), length, bool(rng.random() < 0.5))
    return graft_hand(image, rng, 0.0, face, place, sleeve=sleeve, reach=reach, malformed=False)


def hand_beside_head(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A hand raised beside the head, clear of the cheek."""
    side, length = rng.choice([-1.0, 1.0]), face.unit * rng.uniform(1.1, 1.4)
    palm = face.at(side * rng.uniform(1.75, 2.3), rng.uniform(0.3, 1.6))
    return _laid(image, rng, face, palm, side * rng.uniform(-8, 25), length)


def waving_hand(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """An open hand that waves from the side, the arm bare or in a sleeve."""
    side, length = rng.choice([-1.0, 1.0]), face.unit * rng.uniform(1.2, 1.6)
    palm = face.at(side * rng.uniform(1.9, 2.4), rng.uniform(-0.2, 1.2))
    return _laid(image, rng, face, palm, side * rng.uniform(0, 35), length, sleeve=0.8)


def hand_under_chin(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A hand below the chin whose finger tips end before it."""
    side, length = rng.choice([-1.0, 1.0]), face.unit * rng.uniform(1.1, 1.4)
    lean = rng.uniform(5, 45)
    tips = face.at(side * rng.uniform(0.0, 0.4), rng.uniform(2.05, 2.4))
    palm = tips - _TIPS * length * turned_from_upright(face, -side * lean)
    return _laid(image, rng, face, palm, -side * lean, length)


def hand_at_collar(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A hand at collar, tie or necklace, coming from below the side."""
    side, length = rng.choice([-1.0, 1.0]), face.unit * rng.uniform(1.0, 1.3)
    lean = rng.uniform(40, 85)
    tips = face.at(side * rng.uniform(0.1, 0.6), rng.uniform(2.3, 2.8))
    palm = tips - _TIPS * length * turned_from_upright(face, -side * lean)
    return _laid(image, rng, face, palm, -side * lean, length, sleeve=0.8)


def thing_held_away(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A pen, a syringe or a telephone that a hand holds beside the face; it ends in the air."""
    unit, side = face.unit, float(rng.choice([-1.0, 1.0]))
    draw = (pen, syringe, syringe, phone)[int(rng.integers(4))]
    length = unit * rng.uniform(0.8, 1.1)
    tip = face.at(side * rng.uniform(1.5, 1.9), rng.uniform(0.0, 1.0))
    along = -turned_from_upright(face, -side * rng.uniform(5, 30))
    image = draw_thing(image, rng, face, draw, tip, along, length, light_from(image, face))
    hand = unit * rng.uniform(1.1, 1.35)
    lean = -side * rng.uniform(15, 50)
    palm = tip + along * length - 0.15 * hand * turned_from_upright(face, lean)
    return _laid(image, rng, face, palm, lean, hand, sleeve=0.7)
