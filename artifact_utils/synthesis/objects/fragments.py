"""Splinters of glass in the face, and things of no kind made of the picture's own texture."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.geometry import (
    around,
    curve,
    grid,
    polygon,
    put_back,
    smooth_noise,
    spot_on_face,
    stroke,
    warp,
)
from artifact_utils.synthesis.shading import in_tone, light_from, lit


def shards(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Splinters of glass or light stuck in the face, each showing the skin behind it displaced and brighter."""
    unit = face.unit
    window, part, _ = around(image, face, spot_on_face(rng, face), 1.3 * unit)
    centre = np.array(part.shape[1::-1]) / 2
    changed = part
    tint = in_tone(image, (225, 240, 255))
    for _ in range(int(rng.integers(2, 4 + round(4 * strength)))):
        middle = centre + rng.normal(0, 0.4, 2) * unit
        way = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(way), np.sin(way)]) * unit * rng.uniform(0.35, 0.8) * (0.6 + 0.5 * strength)
        across = np.array([-along[1], along[0]]) * rng.uniform(0.12, 0.35)
        corners = np.array([middle - along * 0.5, middle + across, middle + along * 0.8, middle - across * 0.6])
        alpha = blur(polygon(part.shape, corners), 0.35)
        shift = np.round(rng.normal(0, 0.3, 2) * unit).astype(int)
        behind = np.roll(part, (int(shift[1]), int(shift[0])), axis=(0, 1))
        glass = np.clip(behind * rng.uniform(0.75, 1.3) + (tint - 128) * 0.35, 0, 255)
        changed = over(changed, glass, alpha * (0.6 + 0.35 * strength))
        edge = stroke(part.shape, corners[[1, 2, 3]], max(0.02 * unit, 1))
        changed = over(changed, tint, edge * rng.uniform(0.5, 0.95))
        changed = over(changed, tint * 0.25, stroke(part.shape, corners[[3, 0, 1]], 1) * 0.5)
    return put_back(image, window, changed)


def nonsense_object(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A thing of no kind, of the picture's own cloth, hair or background, that grows on jaw, chest or head."""
    unit, (height, width) = face.unit, image.shape[:2]
    side = rng.choice([-1.0, 1.0])
    places = [(0.7, 1.4), (1.2, 0.9), (0.2, 1.9), (0.8, 2.4), (1.3, -0.4), (0.3, 2.9), (0.1, -1.2)]
    right, down = places[int(rng.integers(len(places)))]
    size = unit * (0.3 + 0.3 * strength) * rng.uniform(0.8, 1.3)
    spot = np.clip(
        face.at(side * right, down) + rng.normal(0, 0.15, 2) * unit, size, [width - size, height - 0.6 * size]
    )
    window, part, _ = around(image, face, spot, 1.9 * size)
    spot = spot - [window[1].start, window[0].start]
    shape = np.zeros(part.shape[:2], np.float32)
    knots = spot + np.cumsum(rng.normal(0, 0.45, (5, 2)), axis=0) * size * 0.6
    line = curve(knots - knots.mean(axis=0) + spot, 24)
    for point, radius in zip(line, size * rng.uniform(0.14, 0.42) * (0.6 + rng.random(24)), strict=True):
        np.maximum(shape, stroke(shape.shape, point + np.array([[0, 0], [0.4, 0]]), 1.5 * radius), out=shape)
    for _ in range(int(rng.integers(0, 3))):
        end = line[int(rng.integers(24))]
        spike = np.array([end, end + rng.normal(0, 0.9, 2) * size])
        np.maximum(shape, stroke(shape.shape, spike, max(0.1 * size, 1)), out=shape)
    reach = 0.12 * size
    dx, dy = (smooth_noise(rng, shape.shape, 0.4 * size) * reach for _ in range(2))
    shape = np.clip(warp(shape, dx, dy), 0, 1)
    # Its stuff: a place away from the face, stretched and lit anew.
    from_below = face.at(rng.uniform(-1.6, 1.6), rng.uniform(2.1, 3.4))
    from_side = face.at(rng.choice([-1, 1]) * rng.uniform(1.0, 2.0), rng.uniform(-1.0, 1.5))
    source = np.clip(from_below if rng.random() < 0.6 else from_side, 2, [width - 3, height - 3])
    turn, zoom = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.8)
    x, y = grid(part.shape)
    x, y = (x - np.float32(spot[0])) / np.float32(zoom), (y - np.float32(spot[1])) / np.float32(zoom)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    stuff = cv2.remap(
        image,
        (x * cos - y * sin).astype(np.float32) + np.float32(source[0]),
        (x * sin + y * cos).astype(np.float32) + np.float32(source[1]),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    ridge = blur(stroke(shape.shape, line, max(0.12 * size, 1)), 0.05 * size) * 0.2 * size
    bumps = ridge + 0.04 * size * smooth_noise(rng, shape.shape, 0.15 * size + 1)
    shade = lit(shape, light_from(image, face), 0.3 * size, bumps.astype(np.float32))
    level = np.clip(shade, 0.2, 1.25)[..., None]
    tint = 0.75 + 0.5 * rng.random()
    layer = np.clip(stuff * level * tint + 70 * np.clip(shade - 1, 0, 0.5)[..., None], 0, 255).astype(np.float32)
    sunk = blur(shape, 0.5) * np.clip(1.15 + 0.9 * smooth_noise(rng, shape.shape, 0.5 * size), 0, 1)
    base = shadow(part, sunk, (0.0, 0.08 * size), 0.08 * size, 0.4)
    return put_back(image, window, add_grain(over(base, layer, sunk), sunk, rng, like=part))
