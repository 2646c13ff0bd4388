"""Straps, tubes, wires and scraps of cloth across the face."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.drawing import METALS
from artifact_utils.synthesis.geometry import around, curve, dot, polygon, put_back, smooth_noise, stroke
from artifact_utils.synthesis.shading import in_tone, light_from, solid

_MATERIALS = {
    "leather": (92, 58, 36),
    "black": (28, 27, 30),
    "white": (232, 230, 226),
    "denim": (62, 84, 122),
    "olive": (88, 92, 60),
    "red": (158, 38, 36),
    "grey": (128, 130, 134),
    "beige": (196, 174, 142),
}


def _material(rng: np.random.Generator) -> np.ndarray:
    colour = np.array(list(_MATERIALS.values())[int(rng.integers(len(_MATERIALS)))], np.float32)
    return np.clip(colour * rng.uniform(0.85, 1.15) + rng.normal(0, 5, 3), 4, 250).astype(np.float32)


def _across(rng: np.random.Generator, face: Face, down: float) -> np.ndarray:
    """A line (n, 2) that crosses the face at height ``down`` and leaves it on both sides."""
    slope, bulge = rng.normal(0, 0.45), rng.normal(0.12, 0.1)
    # Far enough to leave the picture on both sides; over the head it bends, beyond it hangs straight.
    knots = [face.at(x, down + slope * x + bulge * np.cos(x)) for x in (-9, -4, -2.2, -1.1, 0, 1.1, 2.2, 4, 9)]
    return curve(np.array(knots), 160)


def _profile(shape: tuple[int, ...], line: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Alpha of a band along ``line``, and across it the signed place from -1 to 1, both (H, W)."""
    alpha = stroke(shape, line, width)
    middle = np.full(shape[:2], 255, np.uint8)
    fixed = np.round(line).astype(np.int32)[:, None]
    cv2.polylines(middle, [fixed], False, 0, 1)
    distance = cv2.distanceTransform(middle, cv2.DIST_L2, 5) / max(width / 2, 1)
    # The side: below the line or above it, by the line's height at each column.
    order = np.argsort(line[:, 0])
    height = np.interp(np.arange(shape[1]), line[order, 0], line[order, 1])
    side = np.sign(np.arange(shape[0])[:, None] - height[None])
    return alpha, (np.clip(distance, 0, 1) * side).astype(np.float32)


def strap(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A flat strap of leather, cloth or tape across the face."""
    unit = face.unit
    width = unit * (0.22 + 0.3 * strength) * rng.uniform(0.9, 1.2)
    line = _across(rng, face, float(rng.choice([-0.55, 0.0, 0.45, 0.8, 1.1])) + rng.normal(0, 0.08))
    alpha, place = _profile(image.shape, line, width)
    colour = _material(rng)
    weave = 0.06 * smooth_noise(rng, image.shape, 0.05 * unit) + 0.08 * smooth_noise(rng, image.shape, 0.6 * unit)
    light = light_from(image, face)
    shade = 1.0 - 0.28 * np.abs(place) ** 4 - 0.1 * place + weave
    layer = colour * shade[..., None]
    if rng.random() < 0.6:  # seams along both edges
        seam = np.exp(-(((np.abs(place) - 0.78) / 0.07) ** 2))
        layer = layer * (1 - 0.35 * seam[..., None])
    alpha = blur(alpha, 0.5)
    base = shadow(image, alpha, (-light[0] * 0.06 * unit, 0.07 * unit), 0.05 * unit, 0.5)
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)


def tube(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A hose or cable that runs over the face and into the skin."""
    unit = face.unit
    width = unit * (0.14 + 0.16 * strength)
    start = face.at(rng.choice([-1, 1]) * rng.uniform(1.3, 2.2), rng.uniform(-0.8, 2.2))
    end = face.at(rng.normal(0, 0.25), rng.choice([0.0, 0.5, 1.0]) + rng.normal(0, 0.12))
    middle = (start + end) / 2 + rng.normal(0, 0.35, 2) * unit
    line = curve(np.array([start, middle, end]), 64)
    steps = np.linspace(-1, 1, 9)
    light = light_from(image, face)
    colour = _material(rng)
    normal = np.gradient(line, axis=0)
    normal = np.stack([-normal[:, 1], normal[:, 0]], axis=1) / np.maximum(np.hypot(*normal.T), 1e-6)[:, None]
    alpha = blur(stroke(image.shape, line, width), 0.5)
    base = shadow(image, alpha, (-light[0] * 0.1 * unit, 0.1 * unit), 0.07 * unit, 0.5)
    layer: np.ndarray = np.broadcast_to(colour * 0.5, image.shape).astype(np.float32)
    # A round body is drawn as bands across it, each lit by its own normal.
    for place in steps:
        facing = light[2] * np.sqrt(max(1 - place**2, 0)) + place * float(light[:2] @ normal.mean(axis=0))
        band = stroke(image.shape, line + normal * place * width * 0.42, width * 0.16)
        layer = over(layer, colour * (0.35 + 0.85 * max(facing, 0)), band)
    gleam = stroke(image.shape, line + normal * np.sign(light[:2] @ normal.mean(axis=0)) * 0.18 * width, 1)
    layer = over(blur(layer, 0.06 * width), (255, 255, 255), 0.45 * blur(gleam, 0.05 * width))
    if rng.random() < 0.4:  # ribs, as on a breathing hose
        ribs = np.zeros_like(alpha)
        for middle, across in zip(line[::3], normal[::3] * width / 2, strict=True):
            np.maximum(ribs, stroke(image.shape, np.array([middle - across, middle + across]), 0.12 * width), out=ribs)
        layer = layer * (1 - 0.3 * ribs[..., None])
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)


def wires(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Thin dark cables that hang in loops over the face."""
    unit = face.unit
    colour = _material(rng) * 0.5
    alpha = np.zeros(image.shape[:2], np.float32)
    gleam = np.zeros_like(alpha)
    for _ in range(int(rng.integers(1, 2 + round(2 * strength)))):
        # In at one side of the picture, in bends over the face, out at the other.
        way = rng.uniform(0, 2 * np.pi)
        along, across = np.array([np.cos(way), np.sin(way)]), np.array([-np.sin(way), np.cos(way)])
        swing = np.r_[rng.normal(0, 1.5), rng.uniform(-0.75, 0.75, 4), rng.normal(0, 1.5)]
        steps = np.array([-5, -1.3, -0.4, 0.4, 1.3, 5])
        line = curve(face.at(0, 0.45) + unit * (np.outer(steps, along) + np.outer(swing, across)), 160)
        width = max(unit * (0.055 + 0.035 * strength), 2)
        np.maximum(alpha, stroke(image.shape, line, width), out=alpha)
        np.maximum(gleam, stroke(image.shape, line - [0.2 * width, 0.3 * width], max(0.3 * width, 1)), out=gleam)
    alpha = blur(alpha, 0.45)
    base = shadow(image, alpha, (0.03 * unit, 0.07 * unit), 0.035 * unit, 0.5)
    layer = over(np.broadcast_to(colour, image.shape).astype(np.float32), colour + 90, 0.5 * gleam)
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)


def cloth_scrap(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A piece of folded cloth that hangs over part of the face."""
    unit = face.unit
    centre = face.at(rng.uniform(-0.7, 0.7), rng.uniform(-0.2, 1.4))
    radii = unit * (0.5 + 0.35 * strength) * rng.uniform(0.9, 1.3), unit * (0.35 + 0.25 * strength)
    angle = rng.uniform(-70, 70)
    # A rag: a quadrangle with corners pulled out of place and frayed edges.
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.6, 1.25, (4, 2))
    edge = np.concatenate(
        [np.linspace(a, b, 24, endpoint=False) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )
    edge += rng.normal(0, 0.02, edge.shape) + 0.06 * np.sin(np.arange(len(edge)) / rng.uniform(3, 8))[:, None]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    outline = (edge * radii) @ np.array([[cos, sin], [-sin, cos]]) + centre
    alpha = blur(polygon(image.shape, outline), 0.6)
    # Folds are ridges of smooth noise, stretched along the cloth.
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    across = (x * -sin + y * cos) / (unit * rng.uniform(0.35, 0.6)) + 1.4 * smooth_noise(rng, image.shape, 0.9 * unit)
    folds = np.abs(np.mod(across, 2) - 1) * 2 - 1
    folds = blur(folds.astype(np.float32), 0.04 * unit) * (0.5 + 0.5 * smooth_noise(rng, image.shape, 0.8 * unit))
    shade = 0.86 + 0.24 * folds + 0.1 * smooth_noise(rng, image.shape, 0.3 * unit)
    shade += 0.05 * smooth_noise(rng, image.shape, 0.035 * unit)
    layer = _material(rng) * shade[..., None]
    rim = np.clip(blur(alpha, 0.03 * unit) * 2 - 1, 0, 1)
    layer = layer * (0.75 + 0.25 * rim[..., None])
    base = shadow(image, alpha, (0.05 * unit, 0.09 * unit), 0.07 * unit, 0.5)
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)


def face_wires(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Thin wires that sag over cheek, temple or lip, with beads and points of light at their ends."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    light = light_from(image, face)
    window, part, local = around(image, face, face.at(0.4 * side, 0.6), 1.7 * unit)
    wires, beads = np.zeros(part.shape[:2], np.float32), np.zeros(part.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 3 + round(3 * strength)))):
        start = local.at(side * rng.uniform(0.2, 1.1), rng.uniform(-0.4, 1.2))
        end = start + unit * np.array([rng.normal(0, 0.35), rng.uniform(0.25, 0.8)])
        middle = (start + end) / 2 + rng.normal(0, 0.15, 2) * unit
        line = curve(np.array([start, middle, end]), 24)
        np.maximum(wires, stroke(part.shape, line, max(0.022 * unit, 1)), out=wires)
        for point in (line[0], line[-1], line[int(rng.integers(4, 20))]):
            if rng.random() < 0.7:
                np.maximum(beads, stroke(part.shape, dot(point), unit * rng.uniform(0.03, 0.09)), out=beads)
    dark = in_tone(image, ((40, 32, 28), (150, 120, 70), (90, 92, 96))[int(rng.integers(3))])
    changed = solid(part, rng, wires * rng.uniform(0.7, 1), dark, light, roundness=0.02 * unit, gloss=80)
    metal = in_tone(image, METALS[int(rng.integers(3))])
    changed = solid(changed, rng, beads, metal, light, roundness=0.04 * unit, gloss=220)
    glints = blur(beads, 0.05 * unit) * float(rng.random() < 0.5) * rng.uniform(0.3, 0.8)
    return put_back(image, window, np.clip(changed + in_tone(image, (255, 225, 170)) * glints[..., None], 0, 255))
