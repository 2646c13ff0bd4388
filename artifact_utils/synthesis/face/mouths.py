"""Mouths gone wrong: doubled, smeared, with irregular teeth or a tongue on a closed mouth."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, copy_patch, over, shadow
from artifact_utils.synthesis.geometry import (
    around,
    curve,
    ellipse,
    grid,
    polygon,
    put_back,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.shading import in_tone, light_from, lit, own_colours


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
    return copy_patch(image, mouth, target, (0.62 * unit, 0.32 * unit), face.angle, turn=rng.normal(0, 12), scale=scale)


def smeared_mouth(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The mouth is wiped sideways into the cheek, lips and teeth drawn out into streaks."""
    unit = face.unit
    window, part, local = around(image, face, face.mouth, 1.3 * unit)
    side = rng.choice([-1.0, 1.0])
    way = local.right * side + local.down * rng.normal(0, 0.35)
    centre = np.array(local.mouth) + way * 0.28 * unit
    area = ellipse(part.shape, centre, (0.85 * unit, 0.42 * unit), face.angle, feather=0.6)
    x, y = grid(part.shape)
    ahead = (x - np.float32(local.mouth[0])) * np.float32(way[0]) + (y - np.float32(local.mouth[1])) * np.float32(
        way[1]
    )
    ragged = 0.75 + 0.45 * smooth_noise(rng, part.shape, 0.16 * unit)
    pull = area * (0.35 + 0.55 * strength) * np.clip(ahead + 0.25 * unit, 0, None) * ragged
    smeared = warp(part, -pull * way[0], -pull * way[1])
    n = max(int(0.22 * unit * (0.5 + strength)), 2)
    kernel = np.zeros((n, n), np.float32)
    middle, end = np.array([n / 2, n / 2]), way * n / 2
    cv2.line(kernel, np.round(middle - end).astype(int).tolist(), np.round(middle + end).astype(int).tolist(), 1.0)
    dragged = cv2.filter2D(smeared, -1, kernel / max(float(kernel.sum()), 1.0))
    return put_back(image, window, smeared + (dragged - smeared) * (0.85 * area)[..., None])


def bad_teeth(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A mouth full of irregular teeth: too many, crooked, of all sizes, in rows that do not meet."""
    unit = face.unit
    bright, dark = own_colours(image, face)
    window, part, local = around(image, face, face.mouth, 0.8 * unit)
    wide, tall = (0.34 + 0.08 * strength) * unit, (0.13 + 0.09 * strength) * unit
    if face.is_profile:
        wide *= 0.7
    wobble = 0.1 * smooth_noise(rng, part.shape, 0.15 * unit)
    mouth = np.array(local.mouth)
    opening = ellipse(part.shape, mouth, (wide, tall), face.angle, feather=0.12, wobble=wobble)
    lips = ellipse(part.shape, mouth, (1.22 * wide, 1.6 * tall), face.angle, feather=0.3, wobble=wobble)
    lip = in_tone(image, bright * [0.82, 0.5, 0.5])
    base = over(part, (0.55 * lip + 0.45 * blur(part, 0.03 * unit)).astype(np.float32), 0.8 * lips)
    cavity = in_tone(image, dark * 0.4 + np.array([34, 8, 10]))
    enamel = in_tone(image, np.minimum(0.5 * bright + 0.5 * bright.mean(), 250) * [1.0, 0.96, 0.86])
    layer: np.ndarray = np.broadcast_to(cavity, part.shape).astype(np.float32)
    for row in (-1, 1):
        n = int(rng.integers(5, 9 + round(5 * strength)))
        edges = np.sort(np.linspace(-1.05, 1.05, n + 1) + rng.normal(0, (0.05 + 0.14 * strength) * 2 / n, n + 1))
        for left, right in pairwise(edges):
            if rng.random() < 0.12 * strength:
                continue
            reach = tall * rng.uniform(0.1, 0.35 + 0.3 * strength)
            lean = rng.normal(0, 0.05 + 0.1 * strength) * unit * 0.3
            corners = [(left * wide, 1.3 * tall), (right * wide, 1.3 * tall), (right * wide * 0.96 + lean, reach)]
            corners += [((left + right) / 2 * wide + lean, reach - 0.08 * tall), (left * wide * 0.96 + lean, reach)]
            at = np.array([mouth + local.right * u + local.down * row * v for u, v in corners])
            shape = blur(polygon(part.shape, at), 0.4)
            layer = over(layer, enamel * rng.uniform(0.72, 1.0), shape * 0.95)
    x, y = grid(part.shape)
    sideways = (
        (x - np.float32(mouth[0])) * np.float32(local.right[0])
        + (y - np.float32(mouth[1])) * np.float32(local.right[1])
    ) / wide
    layer = layer * (1 - 0.45 * np.clip(sideways, -1, 1) ** 2)[..., None]
    changed = over(base, blur(layer, 0.35), opening)
    return put_back(image, window, add_grain(changed, lips, rng, like=image))


def overlong_tongue(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A tongue that is far too long, grooved, or split in two, hangs from the mouth over the chin."""
    unit = face.unit
    bright, dark = own_colours(image, face)
    light = light_from(image, face)
    window, part, local = around(image, face, face.at(0, 1.5), 1.6 * unit)
    mouth, aim = np.array(local.mouth), local.right * rng.normal(0, 0.3) + local.down
    length = (0.55 + 0.6 * strength) * unit * rng.uniform(0.85, 1.15)
    width = (0.24 + 0.08 * strength) * unit
    split = rng.random() < 0.35
    alpha = np.zeros(part.shape[:2], np.float32)
    groove = np.zeros_like(alpha)
    for side in (-1, 1) if split else (0,):
        sway = local.right * (side * 0.22 * unit + rng.normal(0, 0.1) * unit)
        spine = curve(np.array([mouth, mouth + aim * 0.45 * length, mouth + aim * length + sway]), 24)
        for i, share in enumerate(np.linspace(0, 1, 24)):
            girth = width * (0.8 if split else 1.0) * (0.85 + 0.3 * np.sin(np.pi * share))
            cv2.circle(alpha, np.round(spine[i]).astype(int).tolist(), max(int(girth), 1), 1.0, -1, cv2.LINE_AA)
        np.maximum(groove, stroke(part.shape, spine[2:-2], max(0.05 * unit, 1)), out=groove)
    alpha = blur(alpha, 0.6)
    bumps = 0.012 * unit * smooth_noise(rng, part.shape, 0.07 * unit + 1) * (0.3 + strength)
    bumps = bumps - 0.07 * unit * blur(groove, 0.035 * unit)
    shade = lit(alpha, light, 0.9 * width, bumps.astype(np.float32))
    flesh = in_tone(image, np.array([0.92, 0.62, 0.6]) * bright)
    layer = np.clip(flesh * shade[..., None], 0, 255)
    hole = ellipse(part.shape, mouth, (1.35 * width, 0.55 * width), face.angle, feather=0.5)
    base = over(part, in_tone(image, dark * 0.5 + np.array([28, 6, 8])), 0.85 * hole)
    base = shadow(base, alpha, (-light[0] * 0.08 * unit, 0.07 * unit), 0.06 * unit, 0.4)
    return put_back(image, window, add_grain(over(base, layer, alpha), alpha, rng, like=image))
