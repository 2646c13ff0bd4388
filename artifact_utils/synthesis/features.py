"""Single features gone wrong: mouths, teeth, tongues, noses, jaws, ears, the two halves of a face, folds of skin."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    curve,
    ellipse,
    grid,
    light_from,
    over,
    polygon,
    shadow,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.face import _copied
from artifact_utils.synthesis.shading import around, in_tone, lit, own_colours, put_back


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


def doubled_nose(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second nose beside, above or below the nose."""
    unit = face.unit
    side = rng.choice([-1, 1]) if not face.is_profile else -np.sign(face.facing)
    places = [
        (side * rng.uniform(0.42, 0.6), rng.normal(0, 0.08)),
        (rng.normal(0, 0.1), 0.85),
        (rng.normal(0, 0.1), -1.0),
    ]
    right, down = places[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    nose = np.array(face.nose, dtype=float)
    target = nose + unit * (face.right * right + face.down * down)
    radii = ((0.32 + 0.06 * strength) * unit, (0.36 + 0.1 * strength) * unit)
    return _copied(
        image, nose, target, radii, face.angle, turn=rng.normal(0, 8 + 14 * strength), scale=rng.uniform(0.85, 1.15)
    )


def shifted_nose(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The nose sits askew: slid to one side, turned and swollen."""
    unit = face.unit
    window, part, local = around(image, face, face.nose, 1.2 * unit)
    side = rng.choice([-1.0, 1.0])
    move = local.right * side * (0.3 + 0.2 * strength) * unit + local.down * rng.normal(0, 0.06) * unit
    centre = np.array(local.nose) + move * 0.6
    core = ellipse(part.shape, centre, (0.75 * unit, 0.72 * unit), face.angle, feather=0.8)
    zoom = 1 + rng.uniform(0.0, 0.35) * strength
    turn = np.radians(rng.normal(0, 12 + 14 * strength))
    x, y = grid(part.shape)
    x, y = x - np.float32(local.nose[0] + move[0]), y - np.float32(local.nose[1] + move[1])
    cos, sin = np.float32(np.cos(turn) / zoom), np.float32(np.sin(turn) / zoom)
    dx, dy = x * cos - y * sin - x - np.float32(move[0]), x * sin + y * cos - y - np.float32(move[1])
    # The nose throws a shadow where there was none.
    beside = np.array(local.nose) + move + local.right * side * 0.26 * unit - local.down * 0.15 * unit
    dark = ellipse(part.shape, beside, (0.16 * unit, 0.42 * unit), face.angle - side * 14, feather=0.8)
    dark = dark * (0.22 + 0.14 * strength)
    return put_back(image, window, warp(part, dx * core, dy * core) * (1 - dark[..., None]))


def broken_jaw(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Mouth and chin are wrenched to one side, the jaw dented or grown out."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 1.35), 1.75 * unit)
    side = rng.choice([-1.0, 1.0])
    area = ellipse(part.shape, local.at(0.1 * side, 1.4), (1.25 * unit, 0.95 * unit), face.angle, feather=0.85)
    shift = side * (0.35 + 0.4 * strength) * unit
    droop = rng.uniform(-0.25, 0.35) * strength * unit
    dent = ellipse(part.shape, local.at(-0.75 * side, 1.3), (0.55 * unit, 0.5 * unit), face.angle, feather=0.9)
    bite = side * rng.uniform(-0.4, 0.4) * strength * unit
    along = area * shift + dent * bite
    dx = -(along * local.right[0] + area * droop * local.down[0])
    dy = -(along * local.right[1] + area * droop * local.down[1])
    return put_back(image, window, warp(part, dx, dy))


def broken_ear(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An ear torn long, folded or crumpled, or the side of the head where it should be."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0]) if not face.is_profile else -float(np.sign(face.facing))
    centre = face.at(side * rng.uniform(1.1, 1.25), rng.uniform(0.2, 0.5))
    window, part, local = around(image, face, centre, 1.3 * unit)
    centre = centre - [window[1].start, window[0].start]
    area = ellipse(
        part.shape, centre, ((0.42 + 0.1 * strength) * unit, (0.62 + 0.1 * strength) * unit), face.angle, feather=0.7
    )
    x, y = grid(part.shape)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    turn = area * np.float32(rng.choice([-1, 1]) * np.radians(30 + 70 * strength))
    cos, sin = np.cos(turn), np.sin(turn)
    crumple = area * (0.1 + 0.16 * strength) * unit
    stretch = area * (0.2 + 0.4 * strength) * unit * side
    dx = x * cos - y * sin - x - stretch * local.right[0] + crumple * smooth_noise(rng, part.shape, 0.3 * unit)
    dy = x * sin + y * cos - y - stretch * local.right[1] + crumple * smooth_noise(rng, part.shape, 0.3 * unit)
    return put_back(image, window, warp(part, dx, dy))


def uneven_halves(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The two halves of the face do not fit: one is higher, larger or turned against the other along the nose."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 1.9 * unit)
    side = rng.choice([-1.0, 1.0])
    x, y = grid(part.shape)
    middle = local.at(rng.normal(0, 0.06), 0.5)
    u = side * (
        (x - np.float32(middle[0])) * np.float32(local.right[0])
        + (y - np.float32(middle[1])) * np.float32(local.right[1])
    )
    half = np.clip(u / (rng.uniform(0.05, 0.2) * unit) + 0.5, 0, 1)
    area = ellipse(part.shape, local.at(0.3 * side, 0.5), (1.2 * unit, 1.4 * unit), face.angle, feather=0.6) * half
    move = rng.choice([-1, 1]) * (0.16 + 0.24 * strength) * unit
    zoom = rng.uniform(-0.12, 0.16)
    dx = -area * move * local.down[0] + area * zoom * (x - np.float32(middle[0]))
    dy = -area * move * local.down[1] + area * zoom * (y - np.float32(middle[1]))
    return put_back(image, window, warp(part, dx, dy))


def folded_skin(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Deep knotted folds run over brow, cheek or nose, where skin does not fold."""
    unit = face.unit
    centre = face.at(*[(0.0, -0.5), (0.55, 0.55), (-0.55, 0.55), (0.0, 0.4), (0.0, 1.4)][int(rng.integers(5))])
    light = light_from(image, face)
    window, part, _ = around(image, face, centre, 1.1 * unit)
    centre = centre - [window[1].start, window[0].start]
    wobble = 0.25 * smooth_noise(rng, part.shape, 0.3 * unit)
    radii = (0.62 + 0.2 * strength) * unit, (0.42 + 0.2 * strength) * unit
    area = ellipse(part.shape, centre, radii, rng.uniform(-40, 40), feather=0.5, wobble=wobble)
    x, y = grid(part.shape)
    way = rng.uniform(0, np.pi)
    phase = (x * np.float32(np.cos(way)) + y * np.float32(np.sin(way))) / np.float32(unit * rng.uniform(0.09, 0.14))
    phase = phase + np.float32(2.2) * smooth_noise(rng, part.shape, 0.45 * unit)
    depth = np.clip(0.75 + 0.5 * smooth_noise(rng, part.shape, 0.3 * unit), 0.1, 1)
    folds = blur((1 - np.abs(np.sin(phase))) ** 2, 0.02 * unit) * depth
    height = -folds * (0.035 + 0.035 * strength) * unit * area
    dx, dy = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    slope = np.clip(-dx * np.float32(light[0]) - dy * np.float32(light[1] - 0.15), -1, 1)
    shade = 1 + 0.6 * slope - (0.25 + 0.2 * strength) * folds * area
    warm = np.array([1.0, 1.06, 1.08], np.float32)
    bent = warp(part, 0.6 * dx * unit * 0.1, 0.6 * dy * unit * 0.1)
    return put_back(image, window, np.clip(bent * np.clip(shade, 0.25, 1.5)[..., None] ** warm, 0, 255))


ARTIFACTS: tuple[Artifact, ...] = (
    smeared_mouth,
    bad_teeth,
    overlong_tongue,
    doubled_nose,
    shifted_nose,
    broken_jaw,
    broken_ear,
    uneven_halves,
    folded_skin,
)
