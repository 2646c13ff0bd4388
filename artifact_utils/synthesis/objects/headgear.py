"""Glasses that are broken, half there or grown onto the face, and headset microphones."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.geometry import around, curve, ellipse, polygon, put_back, smooth_noise, stroke, warp
from artifact_utils.synthesis.shading import in_tone, light_from, lit, solid


def fused_glasses(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Glasses that are not: rims of two sizes, melted into skin and brow, an arm without a lens."""
    unit = face.unit
    colour = in_tone(image, ((30, 28, 30), (88, 58, 34), (176, 150, 90), (120, 122, 128))[int(rng.integers(4))])
    window, part, local = around(image, face, face.at(0, 0.1), 1.6 * unit)
    frame = np.zeros(part.shape[:2], np.float32)
    pen = max(rng.uniform(0.05, 0.085) * unit, 1.5)
    melt = 0.05 + 0.14 * strength
    left, right = np.array(local.left_eye), np.array(local.right_eye)
    eyes = [left, right] if not face.is_profile else [left]
    kept = rng.random(len(eyes)) < 0.85
    kept[int(rng.integers(len(eyes)))] = True
    for eye, whole in zip(eyes, kept, strict=True):
        radius = unit * rng.uniform(0.3, 0.46)
        turn = np.linspace(0, 2 * np.pi, 40) + rng.uniform(0, 6)
        ripple = 1 + melt * np.sin(turn * rng.integers(2, 5) + rng.uniform(0, 6)) + melt * np.sin(3.3 * turn)
        ring = eye + np.stack(
            [np.cos(turn) * radius * ripple, np.sin(turn) * radius * ripple * rng.uniform(0.6, 1)], axis=1
        )
        ring = ring + local.down * rng.normal(0.05, 0.1 + 0.1 * strength) * unit
        stop = 40 if whole and rng.random() < 0.6 else int(rng.integers(20, 34))
        np.maximum(frame, stroke(part.shape, ring[:stop], pen * rng.uniform(0.7, 1.3)), out=frame)
    for _ in range(int(rng.integers(1, 3 + round(2 * strength)))):  # bridges and arms that lead nowhere
        a = eyes[int(rng.integers(len(eyes)))] + rng.normal(0, 0.3, 2) * unit
        b = (
            a
            + local.right * rng.choice([-1, 1]) * rng.uniform(0.5, 1.0) * unit
            + local.down * rng.normal(0, 0.3) * unit
        )
        line = curve(np.array([a, (a + b) / 2 + rng.normal(0, 0.1, 2) * unit, b]), 24)
        np.maximum(frame, stroke(part.shape, line, pen), out=frame)
    gone = np.clip(0.9 + 0.9 * smooth_noise(rng, part.shape, 0.3 * unit), 0.15, 1)
    alpha = blur(frame, 0.5) * gone
    shade = lit(frame, light_from(image, face), 0.6 * pen)
    layer = np.clip(colour * shade[..., None] + 90 * np.clip(shade - 1, 0, 1)[..., None], 0, 255)
    base = shadow(part, alpha, (0.01 * unit, 0.06 * unit), 0.03 * unit, 0.45)
    return put_back(image, window, add_grain(over(base, layer, alpha), alpha, rng, like=image))


def half_glasses(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Fine glasses that do not add up: one lens, a doubled rim, an arm without a lens, a bridge to nowhere."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.15), 1.7 * unit)
    left, right = np.array(local.left_eye), np.array(local.right_eye)
    pen = max(unit * rng.uniform(0.025, 0.05), 1.0)
    frame = np.zeros(part.shape[:2], np.float32)
    side = rng.choice([-1.0, 1.0])
    eye = right if side > 0 else left
    whole = rng.random() < 0.65
    size = unit * rng.uniform(0.3, 0.4) * np.array([1.0, rng.uniform(0.65, 0.95)])
    turn = np.linspace(0, 2 * np.pi, 48)
    rim = 1 + 0.05 * strength * np.sin(3 * turn + rng.uniform(0, 6))
    ring = np.outer(np.cos(turn) * size[0] * rim, local.right) + np.outer(np.sin(turn) * size[1] * rim, local.down)
    shown = 48 if whole else int(rng.integers(14, 34))
    begin = int(rng.integers(48))
    np.maximum(frame, stroke(part.shape, eye + np.roll(ring[:-1], begin, axis=0)[:shown], pen), out=frame)
    if rng.random() < 0.5:  # a second rim beside the first, or a bit of one at the other eye
        other = eye + rng.normal(0, 0.08, 2) * unit if rng.random() < 0.6 else (left if side > 0 else right)
        piece = other + ring[: int(rng.integers(12, 30))] * rng.uniform(0.8, 1.1)
        np.maximum(frame, stroke(part.shape, piece, 0.8 * pen), out=frame)
    arm = eye + side * local.right * size[0]
    end = local.at(side * rng.uniform(1.0, 1.35), rng.normal(-0.02, 0.12))
    for i in range(1 + int(rng.random() < 0.3 + 0.3 * strength)):
        line = curve(
            np.array([arm, (arm + end) / 2 + rng.normal(0, 0.05, 2) * unit, end + np.array([0, i * 0.12 * unit])]), 20
        )
        np.maximum(frame, stroke(part.shape, line, pen), out=frame)
    if rng.random() < 0.6:
        bridge = [eye - side * local.right * size[0], local.at(0, -0.02), local.at(-0.3 * side, rng.normal(0.15, 0.15))]
        np.maximum(frame, stroke(part.shape, curve(np.array(bridge), 20), pen), out=frame)
    melted = 0.03 + 0.05 * strength
    dx, dy = (smooth_noise(rng, part.shape, 0.35 * unit) * melted * unit for _ in range(2))
    frame = np.clip(warp(frame, dx, dy), 0, 1) * np.clip(1.1 + 0.7 * smooth_noise(rng, part.shape, 0.25 * unit), 0.2, 1)
    colour = in_tone(image, ((28, 26, 28), (96, 62, 36), (182, 146, 74), (150, 152, 156))[int(rng.integers(4))])
    return put_back(image, window, solid(part, rng, frame, colour, light_from(image, face), roundness=0.5 * pen))


def fused_microphone(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A headset's boom, earpiece or rod that runs from ear to mouth, twice over or into beard and jaw."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0]) if not face.is_profile else -float(np.sign(face.facing))
    window, part, local = around(image, face, face.at(0.5 * side, 0.8), 1.7 * unit)
    pen = unit * rng.uniform(0.05, 0.1) * (0.8 + 0.4 * strength)
    shape = np.zeros(part.shape[:2], np.float32)
    ear = local.at(side * rng.uniform(0.95, 1.15), rng.uniform(0.15, 0.5))
    for _ in range(1 + int(rng.random() < 0.35 + 0.3 * strength)):
        end = local.at(side * rng.uniform(0.1, 0.6), rng.uniform(0.9, 1.55))
        bend = local.at(side * rng.uniform(0.7, 1.0), rng.uniform(0.9, 1.3))
        line = curve(np.array([ear + rng.normal(0, 0.05, 2) * unit, bend, end]), 30)
        np.maximum(shape, stroke(part.shape, line[: int(rng.integers(18, 31))], pen), out=shape)
        if rng.random() < 0.65:
            radii = (unit * rng.uniform(0.09, 0.17), unit * rng.uniform(0.07, 0.12))
            head = ellipse(part.shape, end, radii, rng.uniform(0, 180), feather=0.2)
            np.maximum(shape, head, out=shape)
    if rng.random() < 0.5:
        corners = ear + rng.normal(0, 0.14, (6, 2)) * unit
        hull = corners[np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T))]
        np.maximum(shape, polygon(part.shape, hull), out=shape)
    gone = np.clip(1.0 + 0.8 * smooth_noise(rng, part.shape, 0.25 * unit), 0.1, 1)
    colour = in_tone(image, ((26, 26, 28), (52, 50, 52), (120, 118, 116))[int(rng.integers(3))])
    changed = solid(part, rng, shape * gone, colour, light_from(image, face), roundness=0.5 * pen, gloss=90)
    return put_back(image, window, changed)
