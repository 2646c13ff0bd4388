"""Skin with the surface of something else: melted glass, cut facets, leather, hard streaks of light."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over
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
from artifact_utils.synthesis.glitch.areas import cut_patch
from artifact_utils.synthesis.shading import in_tone, light_from, skin_mask


def glassy_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face as if under melted glass or wet plastic: bent, ridged and shining."""
    window, part, alpha = cut_patch(image, rng, strength, face, feather=0.45)
    unit = face.unit
    light = light_from(image, face)
    coarse = smooth_noise(rng, part.shape, 0.34 * unit) + 0.2 * smooth_noise(rng, part.shape, 0.16 * unit)
    height = blur(coarse, 0.03 * unit) * (0.05 + 0.06 * strength) * unit * alpha
    dx, dy = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    reach = np.float32(0.45 * unit)
    bent = warp(part, -dx * reach, -dy * reach)
    normal_z = 1 / np.sqrt(dx * dx + dy * dy + 1)
    half = light + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    shine = np.clip((half[2] - dx * half[0] - dy * half[1]) * normal_z, 0, 1)
    flat = half[2]
    spot = np.clip((shine - flat) / (1 - flat + 1e-3), 0, 1) ** 4
    shade = 1 - 0.5 * np.clip(dx * np.float32(light[0]) + dy * np.float32(light[1]), -1, 1)
    return put_back(image, window, np.clip(bent * shade[..., None] + (170 * spot * alpha)[..., None], 0, 255))


def light_streaks(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Hard streaks and blown-out flecks of light on the skin that no lamp makes."""
    unit = face.unit
    spot = face.at(rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 1.1))
    window, part, _ = around(image, face, spot, 1.4 * unit)
    spot = spot - [window[1].start, window[0].start]
    tints = ((255, 252, 240), (255, 214, 150), (190, 230, 255), (255, 150, 90))
    colour = in_tone(image, tints[int(rng.integers(4))])
    alpha = np.zeros(part.shape[:2], np.float32)
    way = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(2, 4 + round(4 * strength)))):
        start = spot + rng.normal(0, 0.35, 2) * unit
        along = np.array([np.cos(way), np.sin(way)]) + rng.normal(0, 0.15, 2)
        end = start + along * unit * rng.uniform(0.3, 0.7 + 0.5 * strength)
        line = curve(np.array([start, (start + end) / 2 + rng.normal(0, 0.06, 2) * unit, end]), 24)
        for share in (1.0, 0.6):
            width = max(unit * rng.uniform(0.04, 0.1) * share, 1.5)
            np.maximum(alpha, stroke(part.shape, line[: int(24 * share)], width), out=alpha)
    glow = np.clip(blur(alpha, 0.09 * unit) * 0.8, 0, 1) * (0.4 + 0.4 * strength)
    changed = over(part, np.clip(part + 0.5 * colour, 0, 255), glow)
    return put_back(image, window, over(changed, colour, blur(alpha, 0.5) * (0.75 + 0.25 * strength)))


def _bare_spot(rng: np.random.Generator, face: Face) -> np.ndarray:
    """A place (2,) of much skin: temple, forehead, cheekbone, jaw or nose."""
    side = rng.choice([-1.0, 1.0])
    places = [(0.75, -0.35), (0.3, -0.6), (0.65, 0.45), (0.7, 1.0), (0.0, 0.4), (0.35, 1.4)]
    right, down = places[int(rng.integers(len(places)))]
    return face.at(side * right + rng.normal(0, 0.1), down + rng.normal(0, 0.1))


def glass_facets(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Skin that shines like cut glass: hard-edged blown-out facets with a bright rim, on temple, cheek or brow."""
    unit = face.unit
    spot = _bare_spot(rng, face)
    window, part, local = around(image, face, spot, 1.1 * unit)
    spot = spot - [window[1].start, window[0].start]
    warm = in_tone(image, np.clip(part[skin_mask(part, local) > 0.5].mean(axis=0) * 1.5 + 30, 0, 255))
    size = unit * (0.16 + 0.16 * strength)
    changed = part
    way = rng.uniform(0, np.pi)
    x, y = grid(part.shape)
    for _ in range(int(rng.integers(3, 6) + 4 * strength)):
        centre = spot + rng.normal(0, 0.8, 2) * size
        turn = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 6))))
        reach = size * rng.uniform(0.35, 1.2, len(turn))
        corners = centre + np.stack([np.cos(turn) * reach, np.sin(turn) * reach * 0.6], axis=1) @ np.array(
            [[np.cos(way), np.sin(way)], [-np.sin(way), np.cos(way)]]
        )
        facet = blur(polygon(part.shape, corners), 0.4)
        fall = (x - np.float32(centre[0])) * np.float32(np.cos(turn[0])) + (y - np.float32(centre[1])) * np.float32(
            np.sin(turn[0])
        )
        fall = np.clip(0.5 + fall / np.float32(1.6 * size), 0, 1)
        bright = rng.random() < 0.7
        target = np.minimum(warm * rng.uniform(0.9, 1.3), 252) if bright else 0.55 * blur(part, 0.1 * size)
        changed = over(changed, target, facet * fall * rng.uniform(0.35, 0.8) * (0.6 + 0.5 * strength))
        rim = stroke(part.shape, corners[[0, 1]], max(0.018 * unit, 1)) * rng.uniform(0.3, 0.9)
        changed = over(changed, np.minimum(warm * 1.25, 255), blur(rim, 0.3))
    skin = np.clip(blur(skin_mask(part, local), 0.08 * unit) * 1.6, 0, 1)
    return put_back(image, window, over(part, changed, skin))


def leathery_skin(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A patch of skin like old leather or bark: cells, cracks and a brown cast, with a soft border."""
    unit = face.unit
    spot = _bare_spot(rng, face)
    light = light_from(image, face)
    window, part, local = around(image, face, spot, 1.2 * unit)
    spot = spot - [window[1].start, window[0].start]
    wobble = 0.4 * smooth_noise(rng, part.shape, 0.25 * unit)
    radii = (
        unit * rng.uniform(0.3, 0.5) * (0.8 + 0.5 * strength),
        unit * rng.uniform(0.2, 0.35) * (0.8 + 0.5 * strength),
    )
    area = ellipse(part.shape, spot, radii, rng.uniform(0, 180), feather=0.5, wobble=wobble)
    area = area * np.clip(blur(skin_mask(part, local), 0.06 * unit) * 1.5, 0, 1)
    cell = max(unit * rng.uniform(0.05, 0.1), 2.0)
    coarse, fine = smooth_noise(rng, part.shape, cell), smooth_noise(rng, part.shape, 0.45 * cell)
    cracks = np.exp(-((coarse / 0.22) ** 2)) * 0.7 + np.exp(-((fine / 0.2) ** 2)) * 0.3
    relief = -cracks * 0.5 * cell * (0.5 + 0.7 * strength)
    dx, dy = cv2.Sobel(relief, -1, 1, 0, scale=0.125), cv2.Sobel(relief, -1, 0, 1, scale=0.125)
    slope = np.clip(-dx * np.float32(light[0]) - dy * np.float32(light[1]), -1, 1)
    shade = np.clip(1 + 0.5 * slope - (0.22 + 0.2 * strength) * cracks, 0.3, 1.4)
    cast = in_tone(image, np.array([1.0, 0.86, 0.74]) * 200) / 200
    smooth = 0.5 * part + 0.5 * blur(part, 0.06 * unit)
    layer = np.clip(smooth * shade[..., None] * (1 + (cast - 1) * rng.uniform(0.2, 0.9)), 0, 255).astype(np.float32)
    return put_back(image, window, add_grain(over(part, layer, area), area, rng, like=part))
