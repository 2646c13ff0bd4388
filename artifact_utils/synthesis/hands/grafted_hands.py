"""Malformed hands with real skin: before the face, beside it, below it, clasped, and fingers without a hand."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.geometry import around, put_back, smooth_noise
from artifact_utils.synthesis.hands.cutouts import cut_hand, n_hands
from artifact_utils.synthesis.hands.grafting import (
    HandPlace,
    add_sleeve,
    clothes_colour,
    graft_hand,
    hand_frame,
    lay_hand,
    malformed_hand,
    place_in_window,
    turned_from_upright,
)


def grafted_hand(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A malformed hand with real skin before mouth, chin, cheek or eye."""
    side = rng.choice([-1.0, 1.0])
    spots = [(0.1, 1.15), (0.35, 1.55), (0.7, 0.8), (0.5, 0.2)]
    right, down = spots[int(rng.choice(4, p=[0.3, 0.35, 0.25, 0.1]))]
    palm = face.at(side * (right + 0.15) + rng.normal(0, 0.12), down + 0.25 + rng.normal(0, 0.12))
    length = face.unit * (1.45 + 0.3 * strength) * rng.uniform(0.9, 1.15)
    place = HandPlace(palm, turned_from_upright(face, -side * rng.uniform(5, 65)), length, bool(rng.random() < 0.5))
    return graft_hand(image, rng, strength, face, place)


def hand_beside(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A malformed hand raised beside the head or at the neck."""
    side = rng.choice([-1.0, 1.0])
    palm = face.at(side * rng.uniform(1.3, 2.0), rng.uniform(-0.2, 2.3))
    length = face.unit * (1.2 + 0.3 * strength) * rng.uniform(0.85, 1.15)
    place = HandPlace(palm, turned_from_upright(face, side * rng.uniform(-45, 25)), length, bool(rng.random() < 0.5))
    return graft_hand(image, rng, strength, face, place, sleeve=0.55)


def hand_below(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A malformed hand on chest, lap or at the lower edge, its arm in a sleeve or bare."""
    height, width = image.shape[:2]
    side = rng.choice([-1.0, 1.0])
    length = min(face.unit * (1.05 + 0.3 * strength) * rng.uniform(0.8, 1.2), 0.4 * height)
    row = min(max(float(face.at(0, rng.uniform(2.4, 4.0))[1]), 0.72 * height), height - 0.2 * length)
    palm = np.array([width / 2 + side * rng.uniform(0.0, 0.4) * width, row])
    aim = turned_from_upright(face, -side * rng.uniform(35, 115))
    place = HandPlace(palm, aim, length, bool(rng.random() < 0.5))
    return graft_hand(image, rng, strength, face, place, sleeve=0.75, reach=rng.uniform(0.5, 1.1))


def clasped_hands(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Two hands folded below or before the chin whose fingers grow into each other."""
    height = image.shape[0]
    length = face.unit * (1.1 + 0.25 * strength) * rng.uniform(0.85, 1.15)
    if rng.random() < 0.65:
        row = min(max(float(face.at(0, rng.uniform(2.6, 4.0))[1]), 0.76 * height), height - 0.3 * length)
        centre = np.array([face.at(rng.normal(0, 0.5), 1)[0], row])
        turn = rng.uniform(55, 100)
    else:
        centre, turn = face.at(rng.normal(0, 0.2), rng.uniform(1.4, 1.9)), rng.uniform(15, 50)
    length = min(length, 0.4 * height)
    colour = clothes_colour(image, rng, face)
    sleeved, reach = rng.random() < 0.6, rng.uniform(0.6, 1.2)
    for side in rng.permutation([-1.0, 1.0]):
        aim = turned_from_upright(face, -side * (turn + rng.normal(0, 8)))
        palm = centre - aim * length * rng.uniform(0.05, 0.25) + rng.normal(0, 0.04, 2) * length
        place = HandPlace(palm, aim, length, bool(side > 0))
        window, part, local = around(image, face, palm - 0.6 * aim * length, 1.75 * length)
        here = place_in_window(place, window)
        u, t = hand_frame(part.shape, here)
        layer = malformed_hand(rng, cut_hand(int(rng.integers(n_hands()))), u, t, length, 0.6 * strength)
        ragged = np.clip(1.25 - 1.1 * np.clip(t - 0.45, 0, 1) + 0.5 * smooth_noise(rng, t.shape, 0.2 * length), 0, 1)
        ragged = ragged * np.clip((t + reach) / 0.3, 0, 1)
        changed = lay_hand(part, rng, local, layer.faded(ragged), length)
        if sleeved:
            changed = add_sleeve(changed, rng, local, here, colour, start=rng.uniform(-0.05, 0.15), reach=reach)
        image = put_back(image, window, changed)
    return image


def loose_fingers(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Finger ends without a hand: from a lower corner, out of hair or collar, or growing from the cheek."""
    height, width = image.shape[:2]
    side = rng.choice([-1.0, 1.0])
    length = face.unit * (1.2 + 0.5 * strength) * rng.uniform(0.8, 1.1)
    where = rng.random()
    if where < 0.5:
        tips = np.array([width / 2 + side * rng.uniform(0.28, 0.44) * width, height - rng.uniform(0.02, 0.12) * height])
        aim = turned_from_upright(face, -side * rng.uniform(-20, 80))
    else:
        tips = face.at(side * rng.uniform(0.5, 1.1), rng.uniform(0.3, 1.9))
        aim = turned_from_upright(face, -side * rng.uniform(20, 120))
    place = HandPlace(tips - 0.42 * aim * length, aim, length, bool(rng.random() < 0.5))
    window, part, local = around(image, face, place.palm, 1.1 * length)
    u, t = hand_frame(part.shape, place_in_window(place, window))
    layer = malformed_hand(rng, cut_hand(int(rng.integers(n_hands()))), u, t, length, strength)
    end = rng.uniform(0.4, 0.55)
    shown = np.clip((t - end + 0.06 * smooth_noise(rng, t.shape, 0.15 * length)) / rng.uniform(0.03, 0.15), 0, 1)
    return put_back(image, window, lay_hand(part, rng, local, layer.faded(shown), length))
