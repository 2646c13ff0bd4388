"""Edits without a fault that mirror what generators get wrong: the same drawing, where and as it belongs.

A pair of earrings at the lobes for one in the air, a pattern on cloth for garbled letters, hair beside the face for
hair before the mouth, two eyes of one new colour for a red one, soft shine for glassy skin.
"""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.adornments import earring, lock, solid
from artifact_utils.synthesis.compositing import (
    blur,
    ellipse,
    grey,
    grid,
    light_from,
    over,
    skin_mask,
    smooth_noise,
    stroke,
)
from artifact_utils.synthesis.everyday import Edit, beauty_spot
from artifact_utils.synthesis.marks import iris_centre
from artifact_utils.synthesis.shading import around, hue, in_tone, put_back


def drop_earrings(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The same hanging earring at both lobes."""
    if face.is_profile or abs(face.facing) > 0.3:
        return beauty_spot(image, rng, face)  # there only one lobe can be seen, and where is anyone's guess
    unit = face.unit
    seed, n_links = int(rng.integers(2**32)), int(rng.integers(2, 5))
    size, light = unit * rng.uniform(0.04, 0.07), light_from(image, face)
    for side in (-1, 1):
        lobe = face.at(side * 1.08, 0.6)
        window, part, _ = around(image, face, lobe + np.array([0, 0.4 * unit]), 1.0 * unit)
        lobe = lobe - [window[1].start, window[0].start]
        part = earring(part, np.random.default_rng(seed), lobe, size, light, n_links)
        image = put_back(image, window, part)
    return image


def patterned_cloth(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Stripes, checks or dots on plain clothes below the chin, in their folds and light."""
    unit, (height, width) = face.unit, image.shape[:2]
    at = np.clip(face.at(float(rng.choice([-0.8, 0.8])), 2.8), 3, [width - 4, height - 4]).astype(int)
    sample = np.median(image[at[1] - 3 : at[1] + 4, at[0] - 3 : at[0] + 4].reshape(-1, 3), axis=0)
    x, y = grid(image.shape)
    below = np.clip((y - np.float32(face.at(0, 2.05)[1])) / np.float32(0.2 * unit), 0, 1)
    share = image / np.maximum(grey(image)[..., None], 12)
    alike = np.abs(share - sample / max(float(sample.mean()), 12.0)).max(axis=2)
    alike = np.clip((0.3 - alike) / 0.15, 0, 1) * np.clip((90 - np.abs(grey(image) - sample.mean())) / 30, 0, 1)
    cloth = blur(below * alike, 0.8)
    skin = np.median(image[skin_mask(image, face) > 0.5], axis=0)
    rows = max(height // 4, 2)
    backdrop = [np.median(image[:rows, c].reshape(-1, 3), axis=0) for c in (slice(0, rows), slice(-rows, None))]
    backdrop += [np.median(image[-rows:, c].reshape(-1, 3), axis=0) for c in (slice(0, 4), slice(-4, None))]
    # Where the sample may be skin or what is behind the person, the pattern would not be on cloth.
    nearest = min(float(np.abs(sample - other).max()) for other in (*backdrop[:2], skin))
    behind = sum(float(np.abs(sample - other).max()) < 25 for other in backdrop[2:])
    if nearest < 40 or behind == 2 or cloth.mean() < 0.004:
        return beauty_spot(image, rng, face)
    bend = 0.12 * unit * smooth_noise(rng, image.shape, 0.9 * unit)
    step, angle = unit * rng.uniform(0.12, 0.35), rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    u = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + bend) * np.float32(2 * np.pi / step)
    v = (y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle)) + bend) * np.float32(2 * np.pi / step)
    edge = np.float32(max(step / 5, 1.0))
    first, second = (np.clip(0.5 + edge * np.cos(w) * 0.5, 0, 1) for w in (u, v))
    pattern = (first, np.maximum(first, second) * 0.8, first * second)[int(rng.integers(3))]
    ink = hue(image, rng, (0, 200), (20, 240))
    folds = np.clip(grey(image) / max(float(sample.mean()), 20.0), 0.3, 1.3)[..., None]
    light = float(np.clip(sample.mean() / 140, 0.45, 1.1))
    return over(image, np.clip(ink * folds * light, 0, 255), cloth * pattern * rng.uniform(0.35, 0.85))


def brooch(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A button, pin or brooch without signs at the collar or on one breast."""
    unit, (height, width) = face.unit, image.shape[:2]
    spot = face.at(*[(0.0, 2.35), (float(rng.choice([-0.9, 0.9])), 2.9), (0.0, 3.0)][int(rng.integers(3))])
    radius = unit * rng.uniform(0.06, 0.13)
    if not (radius < spot[0] < width - radius and radius < spot[1] < height - radius):
        return beauty_spot(image, rng, face)
    window, part, _ = around(image, face, spot, 5 * radius)
    spot = spot - [window[1].start, window[0].start]
    light, metal = (
        light_from(image, face),
        in_tone(image, ((196, 160, 84), (186, 188, 194), (60, 56, 58))[rng.integers(3)]),
    )
    rim = stroke(part.shape, spot + np.array([[0, 0], [0.4, 0]]), 2 * radius)
    changed = solid(part, rng, rim, metal, light, roundness=0.5 * radius, gloss=140)
    stone = stroke(part.shape, spot + np.array([[0, 0], [0.4, 0]]), 1.2 * radius)
    colour = hue(image, rng, (40, 220), (40, 230))
    return put_back(image, window, solid(changed, rng, stone, colour, light, roundness=0.8 * radius, gloss=170))


def loose_hair(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A strand of the person's own hair that falls beside the face."""
    if face.is_profile or abs(face.facing) > 0.3:
        return beauty_spot(image, rng, face)  # the far side of the head is not where it is in a frontal view
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    out = rng.uniform(1.0, 1.15)
    knots = [(0.75 * out, -0.95), (out, -0.2), (out + rng.normal(0, 0.05), 0.6), (0.95 * out, rng.uniform(1.0, 1.8))]
    line = np.array([face.at(side * u, v) for u, v in knots])
    return lock(image, rng, face, line, unit * rng.uniform(0.04, 0.09), int(rng.integers(8, 20)))


def other_eye_colour(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Both irises of the same other colour, pupils and gleams kept."""
    unit = face.unit
    tints = ((70, 110, 160), (80, 120, 90), (120, 82, 50), (110, 120, 125), (120, 110, 60))
    tint = in_tone(image, np.array(tints[int(rng.integers(5))], np.float32))
    radius, strength = unit * rng.uniform(0.085, 0.105), rng.uniform(0.35, 0.7)
    for eye in (np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)):
        window, part, _ = around(image, face, eye, 0.4 * unit)
        centre = iris_centre(image, eye, unit) - [window[1].start, window[0].start]
        disc = ellipse(part.shape, centre, (radius, 0.9 * radius), feather=0.4)
        level = grey(part)[..., None]
        image = put_back(image, window, over(part, np.clip(tint * (level + 12) / 90, 0, 255), disc * strength))
    return image


def skin_shine(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Soft shine on brow, nose and cheekbones, as on warm skin under a lamp."""
    unit = face.unit
    side = float(rng.choice([-1.0, 1.0]))
    spots = [
        (0.15 * side, -0.55, 0.4, 0.2),
        (0.0, 0.4, 0.1, 0.2),
        (0.6 * side, 0.4, 0.25, 0.16),
        (0.0, 1.45, 0.18, 0.1),
    ]
    glow = np.zeros(image.shape[:2], np.float32)
    for right, down, wide, tall in spots:
        spot = ellipse(image.shape, face.at(right, down), (wide * unit, tall * unit), face.angle, feather=0.98)
        np.maximum(glow, spot * rng.uniform(0.2, 1), out=glow)
    glow = glow * blur(skin_mask(image, face), 0.06 * unit) * rng.uniform(0.15, 0.4)
    return over(image, np.minimum(image * 1.4 + 40, 252), glow)


PLAIN_EDITS: tuple[Edit, ...] = (
    drop_earrings,
    patterned_cloth,
    brooch,
    loose_hair,
    other_eye_colour,
    skin_shine,
)
"""Part of ``harmless.EDITS``."""
