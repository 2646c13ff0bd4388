"""Torn white shapes, paint, drawn lines and scars on the skin."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over, shadow
from artifact_utils.synthesis.geometry import (
    around,
    curve,
    ellipse,
    extent,
    polygon,
    put_back,
    smooth_noise,
    spot_on_face,
    stroke,
    torn_outline,
)
from artifact_utils.synthesis.shading import hue, in_tone, light_from, lit, skin_mask


def torn_shape(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A ragged white shape like torn paper or missing picture, on the face."""
    unit = face.unit
    centre = face.at(rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 1.4))
    size = unit * (0.32 + 0.4 * strength)
    radii = size * rng.uniform(0.7, 1.5), size * rng.uniform(0.5, 0.9)
    outline = torn_outline(rng, centre, radii, rng.uniform(0, 180), 0.16)
    alpha = blur(polygon(image.shape, outline), 0.5)
    paper = np.array([238, 236, 230], np.float32) * rng.uniform(0.88, 1.05)
    fibre = 1 + 0.02 * smooth_noise(rng, image.shape, 2) + 0.05 * smooth_noise(rng, image.shape, 0.5 * unit)
    layer = np.minimum(paper * fibre[..., None], 255)
    core = polygon(image.shape, (outline - centre) * 0.9 + centre)
    layer = layer * (0.9 + 0.1 * blur(core, 0.02 * unit))[..., None]
    base = shadow(image, alpha, (0.03 * unit, 0.05 * unit), 0.04 * unit, 0.45)
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)


PAINTS = ((214, 32, 38), (24, 92, 190), (240, 240, 236), (20, 20, 22), (240, 196, 30), (30, 140, 70), (226, 110, 24))


def painted(image: np.ndarray, face: Face, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Paint on skin: the colour times the skin's own light and shadow, with its highlights on top."""
    skin = image[skin_mask(image, face) > 0.5]
    typical = max(float(np.median(skin.mean(axis=1))) if len(skin) else 128.0, 30.0)
    shade = (grey(image) / typical).clip(0.2, 1.5)[..., None]
    box = extent(alpha)
    shade = shade[box]
    layer = np.empty_like(image)
    layer[box] = np.clip(colour * (0.25 + 0.75 * shade) + np.clip(shade - 1.1, 0, 1) * 70, 0, 255)
    return over(image, layer, alpha)


def paint_stripes(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Stripes of paint on cheeks, nose or brow."""
    unit = face.unit
    alpha: np.ndarray = np.zeros(image.shape[:2], np.float32)
    side = rng.choice([-1, 1])
    n = int(rng.integers(2, 4 + round(2 * strength)))
    width = unit * (0.1 + 0.08 * strength)
    vertical = rng.random() < 0.4
    for i in range(n):
        if vertical:
            x = side * (0.25 + 0.26 * i)
            ends = [(x, rng.uniform(-0.7, 0.2)), (x + rng.normal(0, 0.1), rng.uniform(0.7, 1.3))]
        else:
            y = 0.2 + 0.24 * i
            ends = [
                (side * 0.15 + rng.normal(0, 0.1), y),
                (side * (0.8 + rng.normal(0, 0.06)), y + rng.normal(-0.05, 0.08)),
            ]
        start, end = face.at(*ends[0]), face.at(*ends[1])
        line = curve(np.array([start, (start + end) / 2 + face.down * 0.06 * unit, end]), 32)
        np.maximum(alpha, stroke(image.shape, line, width * rng.uniform(0.8, 1.2)), out=alpha)
    dry = 0.75 + 0.4 * smooth_noise(rng, image.shape, 0.06 * unit) + 0.3 * smooth_noise(rng, image.shape, 0.3 * unit)
    alpha = blur(alpha, 0.02 * unit) * np.clip(dry, 0.25, 1) * (0.72 + 0.28 * strength)
    return painted(image, face, np.array(PAINTS[int(rng.integers(len(PAINTS)))], np.float32), alpha)


def paint_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A large stain or half a painted mask with a ragged border."""
    unit = face.unit
    wobble = 0.35 * smooth_noise(rng, image.shape, 0.4 * unit) + 0.15 * smooth_noise(rng, image.shape, 0.12 * unit)
    centre = face.at(rng.choice([-1, 1]) * rng.uniform(0.2, 0.65), rng.uniform(-0.4, 1.0))
    radii = unit * (0.5 + 0.3 * strength), unit * (0.5 + 0.5 * strength)
    alpha = ellipse(image.shape, centre, radii, rng.uniform(0, 180), feather=0.12, wobble=wobble)
    alpha = alpha * (0.7 + 0.3 * strength) * np.clip(0.85 + 0.3 * smooth_noise(rng, image.shape, 0.1 * unit), 0.4, 1)
    return painted(image, face, np.array(PAINTS[int(rng.integers(len(PAINTS)))], np.float32), alpha)


def drawn_lines(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Coloured lines, loops and blots like a tattoo of nothing, on brow, temple or cheek."""
    unit = face.unit
    spot = spot_on_face(rng, face)
    window, part, _ = around(image, face, spot, 1.2 * unit)
    spot = spot - [window[1].start, window[0].start]
    alpha = np.zeros(part.shape[:2], np.float32)
    for _ in range(int(rng.integers(2, 5 + round(4 * strength)))):
        knots = spot + np.cumsum(rng.normal(0, 0.24, (int(rng.integers(3, 7)), 2)), axis=0) * unit
        np.maximum(alpha, stroke(part.shape, curve(knots, 40), max(unit * rng.uniform(0.03, 0.075), 1.5)), out=alpha)
    if rng.random() < 0.5:
        size = unit * rng.uniform(0.15, 0.3)
        blot = polygon(part.shape, torn_outline(rng, spot, (size, 0.7 * size), rng.uniform(0, 180), 0.2))
        np.maximum(alpha, blot, out=alpha)
    worn = np.clip(0.9 + 0.3 * smooth_noise(rng, part.shape, 0.1 * unit), 0.4, 1)
    alpha = (blur(alpha, 0.45) * worn).astype(np.float32)
    colour = hue(image, rng, (90, 230), (30, 150))
    shade = np.clip(part.mean(axis=2, keepdims=True) / 150, 0.3, 1.3)
    layer = np.clip(colour * (0.4 + 0.6 * shade), 0, 255).astype(np.float32)
    return put_back(image, window, over(part, layer, alpha * (0.7 + 0.25 * strength)))


def scars(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Raised reddish scars, some with stitches that hold nothing together."""
    unit = face.unit
    light = light_from(image, face)
    window, part, local = around(image, face, face.at(0, 0.5), 1.8 * unit)
    line_alpha, stitches = np.zeros(part.shape[:2], np.float32), np.zeros(part.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 2 + round(2 * strength)))):
        middle = local.at(rng.uniform(-0.75, 0.75), rng.uniform(-0.5, 1.3))
        way = rng.uniform(0, np.pi)
        along, across = np.array([np.cos(way), np.sin(way)]), np.array([-np.sin(way), np.cos(way)])
        places = np.linspace(-1, 1, 5) * (0.4 + 0.35 * strength) * unit
        line = curve(middle + np.outer(places, along) + np.outer(rng.normal(0, 0.06, 5) * unit, across), 40)
        np.maximum(line_alpha, stroke(part.shape, line, max((0.06 + 0.05 * strength) * unit, 1.5)), out=line_alpha)
        if rng.random() < 0.6:
            for point in line[3:-3:5]:
                ends = point + np.outer([-0.12, 0.12], across + rng.normal(0, 0.2, 2)) * unit
                np.maximum(stitches, stroke(part.shape, ends, max(0.025 * unit, 1)), out=stitches)
    alpha = blur(line_alpha, 0.025 * unit + 0.3)
    shade = lit(line_alpha, light, 0.05 * unit) / lit(np.ones((3, 3), np.float32), light, 1.0).mean()
    flush = in_tone(image, np.array([1.0, 0.62, 0.6]) * 255) / 255
    layer = np.clip(part * flush * np.clip(shade, 0.6, 1.25)[..., None] * 0.95, 0, 255)
    swollen = blur(alpha, 0.07 * unit)
    changed = over(part * (1 - 0.12 * swollen[..., None]), layer, alpha * (0.7 + 0.3 * strength))
    return put_back(image, window, over(changed, in_tone(image, (48, 26, 26)), 0.85 * blur(stitches, 0.35)))
