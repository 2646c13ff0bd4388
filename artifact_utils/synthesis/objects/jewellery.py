"""Jewellery, beads and pieces of metal that hang, float or stick where nothing holds them."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.drawing import METALS, STONES, earring
from artifact_utils.synthesis.geometry import around, curve, dot, polygon, put_back, smooth_noise, spot_on_face, stroke
from artifact_utils.synthesis.shading import hair_colour, in_tone, light_from, lit, solid

_PLATE_METALS = ((150, 152, 158), (196, 160, 84), (92, 94, 102), (150, 104, 74))


def _hanging(image: np.ndarray, face: Face, rng: np.random.Generator) -> np.ndarray:
    """A place (2,) at jaw, chin, cheek or beside the head where nothing can be fastened."""
    side = rng.choice([-1.0, 1.0])
    places = [(0.95, 1.25), (0.55, 1.65), (0.1, 1.8), (0.8, 0.95), (1.45, 1.1), (1.3, -0.2), (0.45, 0.95)]
    right, down = places[int(rng.integers(len(places)))]
    return face.at(side * right + rng.normal(0, 0.08), down + rng.normal(0, 0.1))


def floating_earring(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An earring that hangs below the jaw, on the cheek or in the air."""
    unit = face.unit
    top = _hanging(image, face, rng)
    window, part, _ = around(image, face, top + np.array([0, 0.4 * unit]), 1.1 * unit)
    top = top - [window[1].start, window[0].start]
    size = unit * (0.05 + 0.035 * strength) * rng.uniform(0.8, 1.3)
    n_links = int(rng.integers(2, 5 + round(2 * strength)))
    return put_back(image, window, earring(part, rng, top, size, light_from(image, face), n_links))


def stray_tassel(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A tassel, plait or string that hangs from jaw or chin, out of nothing."""
    unit = face.unit
    top = _hanging(image, face, rng)
    length = unit * (0.35 + 0.5 * strength) * rng.uniform(0.8, 1.3)
    window, part, _ = around(image, face, top + np.array([0, 0.5 * length]), 0.8 * length + 0.3 * unit)
    top = top - [window[1].start, window[0].start]
    wide = unit * rng.uniform(0.03, 0.09)
    sway = rng.normal(0, 0.12) * length
    colours = [hair_colour(image, face), *(in_tone(image, c) for c in ((30, 26, 26), (120, 60, 34), (110, 24, 30)))]
    colour = colours[int(rng.integers(4))]
    changed = part
    for tone in (0.6, 1.0, 1.25):
        alpha = np.zeros(part.shape[:2], np.float32)
        for _ in range(4):
            ends = [
                top + np.array([rng.normal(0, 0.3) * wide, 0]),
                top + np.array([0.5 * sway + rng.normal(0, wide), 0.5 * length]),
            ]
            ends.append(top + np.array([sway + rng.normal(0, 1.3 * wide), length * rng.uniform(0.8, 1.05)]))
            np.maximum(alpha, stroke(part.shape, curve(np.array(ends), 20), max(0.4 * wide, 1)), out=alpha)
        changed = over(
            shadow(changed, alpha, (1, 1.5), 1.0, 0.3), np.clip(colour * tone + 3, 0, 250), blur(alpha, 0.45)
        )
    knot = stroke(part.shape, dot(top + np.array([0, 0.15 * length * rng.random()])), 2.2 * wide)
    metal = in_tone(image, METALS[int(rng.integers(4))])
    return put_back(image, window, solid(changed, rng, knot, metal, light_from(image, face), roundness=wide))


def stray_jewellery(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A ring, a hoop or a pendant that hangs from chin, cheek or lip, fastened to nothing."""
    unit = face.unit
    light = light_from(image, face)
    places = [(0.0, 1.75), (0.7, 0.9), (-0.7, 0.9), (0.2, 1.15), (0.0, -0.45), (1.0, 1.2), (-1.0, 1.2)]
    spot = face.at(*places[int(rng.integers(len(places)))])
    window, part, _ = around(image, face, spot, 1.1 * unit)
    spot = spot - [window[1].start, window[0].start]
    shape = np.zeros(part.shape[:2], np.float32)
    turn = np.linspace(0, 2 * np.pi, 36)
    radius = unit * (0.16 + 0.14 * strength)
    stretch = rng.uniform(0.6, 1.1)
    ring = spot + radius * np.stack([np.cos(turn) * stretch, np.sin(turn)], axis=1)
    np.maximum(shape, stroke(part.shape, ring, max(0.07 * unit, 2)), out=shape)
    for i in range(int(rng.integers(1, 4 + round(3 * strength)))):
        bead = spot + np.array([rng.normal(0, 0.04) * unit, radius + (0.1 + 0.14 * i) * unit])
        dot = stroke(part.shape, bead + np.array([[0.0, 0], [0.5, 0]]), unit * rng.uniform(0.1, 0.2))
        np.maximum(shape, dot, out=shape)
    metal = in_tone(image, _PLATE_METALS[int(rng.integers(3))])
    shade = lit(shape, light, 0.05 * unit)
    layer = np.clip(metal * shade[..., None] ** 1.5 + 170 * np.clip(shade - 0.95, 0, 1)[..., None], 0, 255)
    alpha = blur(shape, 0.4)
    base = shadow(part, alpha, (-light[0] * 0.05 * unit, 0.06 * unit), 0.03 * unit, 0.45)
    return put_back(image, window, add_grain(over(base, layer, alpha), alpha, rng, like=image))


def beads(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Beads, pearls or dark specks scattered over the face, half sunk into the skin."""
    unit = face.unit
    light = light_from(image, face)
    window, part, _ = around(image, face, spot_on_face(rng, face), 1.1 * unit)
    centre = np.array(part.shape[1::-1]) / 2
    alpha = np.zeros(part.shape[:2], np.float32)
    for _ in range(int(14 + 26 * strength)):
        place = centre + rng.normal(0, 0.42, 2) * unit
        radius = unit * rng.uniform(0.06, 0.12)
        np.maximum(alpha, stroke(part.shape, place + np.array([[0.0, 0], [0.5, 0]]), radius), out=alpha)
    tones = ((225, 220, 210), (200, 150, 60), (40, 30, 34), (150, 40, 40), (60, 110, 150))
    colour = in_tone(image, tones[int(rng.integers(len(tones)))])
    shade = lit(alpha, light, 0.05 * unit)
    layer = np.clip(colour * shade[..., None] ** 1.3 + 110 * np.clip(shade - 1, 0, 1)[..., None], 0, 255)
    alpha = blur(alpha, 0.4)
    base = shadow(part, alpha, (-light[0] * 0.04 * unit, 0.05 * unit), 0.03 * unit, 0.5)
    return put_back(image, window, add_grain(over(base, layer, alpha * 0.95), alpha, rng, like=image))


def face_specks(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Tiny beads, droplets or flakes sown over cheek, brow or nose, sunk into the skin."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    centre = face.at(*[(0.6 * side, 0.5), (0.0, -0.5), (0.5 * side, 1.1), (0.2 * side, 0.4)][int(rng.integers(4))])
    window, part, _ = around(image, face, centre, 1.0 * unit)
    centre = centre - [window[1].start, window[0].start]
    alpha = np.zeros(part.shape[:2], np.float32)
    spread = rng.uniform(0.2, 0.42, 2) * unit
    for _ in range(int(rng.integers(8, 16) + 16 * strength)):
        size = max(unit * rng.uniform(0.025, 0.06), 2.0)
        np.maximum(alpha, stroke(part.shape, dot(centre + rng.normal(0, 1, 2) * spread), size), out=alpha)
    colour = in_tone(image, (*STONES, *METALS)[int(rng.integers(9))])
    skin = part.mean(axis=(0, 1))
    if float(np.abs(colour - skin).mean()) < 60:  # nobody would see them
        colour = in_tone(image, STONES[0 if skin.mean() < 150 else 4])
    sunk = alpha * np.clip(0.9 + 0.5 * smooth_noise(rng, alpha.shape, 0.1 * unit), 0.45, 1)
    return put_back(
        image, window, solid(part, rng, sunk, colour, light_from(image, face), roundness=0.03 * unit, gloss=190)
    )


def armour_piece(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A plate of metal with rivets and a ridge that has grown onto the skin."""
    unit = face.unit
    light = light_from(image, face)
    spot = spot_on_face(rng, face)
    window, part, _ = around(image, face, spot, 1.5 * unit)
    spot = spot - [window[1].start, window[0].start]
    size = (0.38 + 0.3 * strength) * unit
    n = int(rng.integers(4, 7))
    turn = np.sort(np.linspace(0, 2 * np.pi, n, endpoint=False) + rng.normal(0, 0.25, n))
    reach = size * rng.uniform(0.65, 1.35, n)
    corners = spot + np.stack([np.cos(turn) * reach, np.sin(turn) * reach], axis=1)
    outline = curve(np.vstack([corners, corners[:1]]), 60)
    alpha = blur(polygon(part.shape, 0.5 * outline + 0.5 * _resampled(corners, 60)), 0.5)
    ridge = curve(np.array([corners[0], spot + rng.normal(0, 0.08, 2) * unit, corners[n // 2]]), 30)
    bumps = 0.13 * unit * blur(stroke(part.shape, ridge, 0.12 * unit), 0.05 * unit)
    bumps = bumps + 0.003 * unit * smooth_noise(rng, part.shape, 0.1 * unit)
    for corner in corners:
        rivet = spot + 0.78 * (corner - spot)
        bumps += (
            0.08 * unit * blur(stroke(part.shape, rivet + np.array([[0.0, 0], [0.5, 0]]), 0.08 * unit), 0.02 * unit)
        )
    shade = lit(alpha, light, 0.12 * unit, bumps.astype(np.float32))
    metal = in_tone(image, np.array(_PLATE_METALS[int(rng.integers(len(_PLATE_METALS)))]) * rng.uniform(0.7, 1.1))
    worn = 1 + 0.16 * smooth_noise(rng, part.shape, 0.25 * unit) + 0.07 * smooth_noise(rng, part.shape, 0.05 * unit)
    level = np.clip(shade, 0, 1.2) ** 1.6 * worn
    layer = np.clip(metal * level[..., None] + 150 * np.clip(shade - 0.95, 0, 1)[..., None], 0, 255)
    base = shadow(part, alpha, (-light[0] * 0.05 * unit, 0.05 * unit), 0.04 * unit, 0.5)
    return put_back(image, window, add_grain(over(base, layer, alpha), alpha, rng, like=image))


def _resampled(corners: np.ndarray, n: int) -> np.ndarray:
    """``n`` points (n, 2) along the straight sides of a closed outline."""
    closed = np.vstack([corners, corners[:1]])
    at = np.linspace(0, len(corners), n)
    return np.stack([np.interp(at, np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)], axis=1)
