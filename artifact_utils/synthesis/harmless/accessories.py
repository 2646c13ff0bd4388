"""What people wear, where and as it belongs: glasses, jewellery, scarves, straps."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.drawing import earring
from artifact_utils.synthesis.geometry import around, curve, grid, polygon, put_back, smooth_noise, stroke
from artifact_utils.synthesis.harmless.complexion import beauty_spot, freckles
from artifact_utils.synthesis.shading import hue, in_tone, light_from, lit, solid

_JEWELLERY_METALS = ((214, 178, 92), (196, 198, 204), (150, 116, 84))


def glasses(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Plain glasses."""
    unit = face.unit
    if face.is_profile or abs(face.facing) > 0.25:
        return freckles(image, rng, face)  # a frame seen from the side would itself look like a fault
    left, right = np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)
    between = float(np.hypot(*(right - left)))
    radius = np.array([0.385, 0.385 * rng.uniform(0.72, 0.95)]) * between
    power = rng.uniform(2.0, 3.6)  # 2 is round, more is squarer
    across, down = (right - left) / between, face.down
    turn = np.linspace(0, 2 * np.pi, 60)
    pen = max(rng.uniform(0.028, 0.045) * unit, 1.0)
    frame = np.zeros(image.shape[:2], np.float32)
    for eye in (left, right):
        u = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * radius[0]
        v = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * radius[1]
        rim = eye + 0.06 * unit * down + np.outer(u, across) + np.outer(v, down)
        np.maximum(frame, stroke(image.shape, rim, pen), out=frame)
    inner = (1 - 2 * radius[0] / between) / 2 * between
    middle = (left + right) / 2
    bridge = [middle - across * inner, middle - 0.06 * unit * down, middle + across * inner]
    np.maximum(frame, stroke(image.shape, curve(np.array(bridge), 20), pen), out=frame)
    for eye, way in ((left, -1), (right, 1)):
        hinge = eye + way * across * radius[0]
        temple = np.array([hinge, hinge + way * across * 0.15 * between - 0.02 * unit * down])
        np.maximum(frame, stroke(image.shape, temple, pen), out=frame)
    frame = blur(frame, 0.5)
    colours = ((25, 24, 26), (70, 45, 30), (120, 118, 115), (40, 46, 70))
    colour = np.array(colours[int(rng.integers(len(colours)))], np.float32)
    base = shadow(image, frame, (0, 0.05 * unit), 0.03 * unit, 0.35)
    shine = 1 + 0.3 * smooth_noise(rng, image.shape, 0.4 * unit)
    return add_grain(over(base, colour * shine[..., None], frame), frame, rng, like=image)


def earrings(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A pair of small earrings where the ear lobes are."""
    if face.is_profile or abs(face.facing) > 0.35:
        return beauty_spot(image, rng, face)  # there only one lobe can be seen, and where is anyone's guess
    unit = face.unit
    light = light_from(image, face)
    colour = in_tone(image, _JEWELLERY_METALS[int(rng.integers(3))])
    drop, radius = rng.uniform(0, 0.22) * unit, rng.uniform(0.045, 0.075) * unit
    for side in (-1, 1):
        lobe = face.at(side * 1.07, 0.62)
        window, part, _ = around(image, face, lobe, 0.6 * unit)
        lobe = lobe - [window[1].start, window[0].start]
        hang = np.array([lobe, lobe + np.array([0.0, drop + 0.5])])
        alpha = np.maximum(
            stroke(part.shape, hang, 1), stroke(part.shape, hang[1:] + np.array([[0, 0], [0.5, 0]]), 2 * radius)
        )
        shade = lit(alpha, light, radius)
        base = shadow(part, alpha, (0.02 * unit, 0.03 * unit), 0.02 * unit, 0.35)
        image = put_back(image, window, over(base, np.clip(colour * shade[..., None], 0, 255), blur(alpha, 0.4)))
    return image


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


def necklace(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A thin chain or a string of pearls round the neck."""
    unit = face.unit
    depth = rng.uniform(2.2, 2.6)
    line = curve(np.array([face.at(x, depth - 0.32 * x * x) for x in (-0.85, -0.45, 0, 0.45, 0.85)]), 80)
    alpha = np.zeros(image.shape[:2], np.float32)
    if rng.random() < 0.5:
        for pearl in line[::4]:
            np.maximum(alpha, stroke(image.shape, pearl + np.array([[0, 0], [0.5, 0]]), 0.09 * unit), out=alpha)
        colour = in_tone(image, (226, 220, 208))
    else:
        alpha = stroke(image.shape, line, max(0.025 * unit, 1))
        colour = in_tone(image, _JEWELLERY_METALS[int(rng.integers(3))])
    shade = lit(alpha, light_from(image, face), 0.045 * unit)
    base = shadow(image, alpha, (0.01 * unit, 0.04 * unit), 0.03 * unit, 0.35)
    alpha = blur(alpha, 0.4)
    return add_grain(over(base, np.clip(colour * shade[..., None], 0, 255), alpha), alpha, rng, like=image)


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


def shoulder_strap(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The strap of a bag over one shoulder, well below the chin."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    line = curve(np.array([face.at(side * 1.0, 2.35), face.at(side * 0.9, 3.2), face.at(side * 0.55, 5.0)]), 50)
    width = unit * rng.uniform(0.18, 0.32)
    alpha = blur(stroke(image.shape, line, width), 0.5)
    alpha = alpha * np.clip((grid(image.shape)[1] - np.float32(face.at(0, 2.25)[1])) / (0.1 * unit), 0, 1)
    if not alpha.any():
        return beauty_spot(image, rng, face)
    colour = in_tone(image, ((92, 58, 36), (30, 30, 34), (196, 174, 142), (62, 74, 102))[int(rng.integers(4))])
    shade = lit(alpha, light_from(image, face), 0.2 * width) * (1 + 0.05 * smooth_noise(rng, image.shape, 0.05 * unit))
    base = shadow(image, alpha, (0.03 * unit, 0.05 * unit), 0.05 * unit, 0.4)
    return add_grain(over(base, np.clip(colour * shade[..., None], 0, 255), alpha), alpha, rng, like=image)


def scarf(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A scarf or the collar of a hood round the neck, its folds below the chin."""
    unit = face.unit
    top = [face.at(x, 2.05 + rng.normal(0, 0.03) - 0.3 * x * x) for x in (-1.3, -0.7, 0, 0.7, 1.3)]
    low = [face.at(x, 2.75 + rng.normal(0, 0.06) - 0.2 * x * x) for x in (1.5, 0.8, 0, -0.8, -1.5)]
    outline = np.vstack([curve(np.array(top), 40), curve(np.array(low), 40)])
    alpha = blur(polygon(image.shape, outline), 0.6)
    if alpha.sum() < 4:
        return beauty_spot(image, rng, face)
    x, y = grid(image.shape)
    fold = np.sin(
        (y - 0.3 * np.abs(x - np.float32(face.mouth[0]))) / np.float32(0.09 * unit)
        + 2 * smooth_noise(rng, image.shape, 0.7 * unit)
    )
    weave = 0.05 * smooth_noise(rng, image.shape, 0.05 * unit)
    shade = lit(alpha, light_from(image, face), 0.15 * unit) * (0.92 + 0.13 * fold + weave)
    base = shadow(image, alpha, (0.0, 0.06 * unit), 0.06 * unit, 0.4)
    layer = np.clip(hue(image, rng, (20, 170), (50, 210)) * shade[..., None], 0, 255).astype(np.float32)
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)
