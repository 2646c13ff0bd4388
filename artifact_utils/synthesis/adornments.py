"""Small things where they do not belong: jewellery, tassels, wires, hair, microphones and parts of glasses.

Each is thin, has the light, grain and softness of the picture, and hangs, floats or sticks where nothing holds it.
"""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    curve,
    ellipse,
    light_from,
    over,
    polygon,
    shadow,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.shading import around, hair_colour, in_tone, lit, put_back

_METALS = ((186, 150, 78), (176, 178, 184), (120, 86, 56), (70, 68, 70))
_STONES = ((226, 220, 210), (40, 60, 130), (130, 26, 36), (34, 96, 70), (28, 26, 28))


def _dot(centre: np.ndarray) -> np.ndarray:
    """A line (2, 2) so short that its stroke is a disc."""
    return centre + np.array([[0.0, 0.0], [0.4, 0.0]])


def solid(
    part: np.ndarray,
    rng: np.random.Generator,
    alpha: np.ndarray,
    colour: np.ndarray,
    light: np.ndarray,
    *,
    roundness: float,
    gloss: float = 120.0,
) -> np.ndarray:
    """A small thing of one colour, with its shadow, shine and the picture's grain."""
    shade = lit(alpha, light, max(roundness, 0.8))
    layer = colour * np.clip(shade, 0.2, 1.1)[..., None] ** 1.4 + gloss * np.clip(shade - 1, 0, 0.6)[..., None]
    soft = blur(alpha, 0.45)
    base = shadow(part, soft, (-light[0] * roundness, 1.2 * roundness), roundness + 0.4, 0.45)
    worn = np.clip(layer * (1 + 0.1 * smooth_noise(rng, alpha.shape, 2 * roundness + 2))[..., None], 0, 255)
    return add_grain(over(base, worn.astype(np.float32), soft), soft, rng, like=part)


def _hanging(image: np.ndarray, face: Face, rng: np.random.Generator) -> np.ndarray:
    """A place (2,) at jaw, chin, cheek or beside the head where nothing can be fastened."""
    side = rng.choice([-1.0, 1.0])
    places = [(0.95, 1.25), (0.55, 1.65), (0.1, 1.8), (0.8, 0.95), (1.45, 1.1), (1.3, -0.2), (0.45, 0.95)]
    right, down = places[int(rng.integers(len(places)))]
    return face.at(side * right + rng.normal(0, 0.08), down + rng.normal(0, 0.1))


def earring(
    part: np.ndarray, rng: np.random.Generator, top: np.ndarray, size: float, light: np.ndarray, n_links: int
) -> np.ndarray:
    """``part`` with an earring that hangs from ``top`` (2,): ``n_links`` rings and stones of ``size`` pixels."""
    metal = in_tone(part, _METALS[int(rng.integers(3))])
    alpha = stroke(part.shape, top + np.array([[0, 0], [0.2, 2.5 * size]]), max(0.25 * size, 1))
    place, stones = top + np.array([0, 1.2 * size]), np.zeros_like(alpha)
    for i in range(n_links):
        radius = size * rng.uniform(0.55, 1.5)
        place = place + np.array([rng.normal(0, 0.12) * size, radius])
        if rng.random() < 0.4:
            turn = np.linspace(0, 2 * np.pi, 24)
            ring = place + np.stack([np.cos(turn) * rng.uniform(0.5, 1.2), np.sin(turn)], axis=1) * radius
            np.maximum(alpha, stroke(part.shape, ring, max(0.35 * size, 1)), out=alpha)
        else:
            disc = stroke(part.shape, _dot(place), 2 * radius)
            np.maximum(stones if i % 2 else alpha, disc, out=stones if i % 2 else alpha)
        place = place + np.array([0, radius])
    if rng.random() < 0.4:
        for offset in np.linspace(-0.8, 0.8, int(rng.integers(3, 6))):
            line = place + np.array([[offset * size, -0.5 * size], [1.3 * offset * size, rng.uniform(1.5, 3.5) * size]])
            np.maximum(alpha, stroke(part.shape, line, max(0.3 * size, 1)), out=alpha)
    changed = solid(part, rng, alpha, metal, light, roundness=0.5 * size, gloss=170)
    colour = in_tone(part, _STONES[int(rng.integers(5))])
    if stones.any():
        changed = solid(changed, rng, stones, colour, light, roundness=0.8 * size, gloss=200)
    return changed


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
    knot = stroke(part.shape, _dot(top + np.array([0, 0.15 * length * rng.random()])), 2.2 * wide)
    metal = in_tone(image, _METALS[int(rng.integers(4))])
    return put_back(image, window, solid(changed, rng, knot, metal, light_from(image, face), roundness=wide))


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
                np.maximum(beads, stroke(part.shape, _dot(point), unit * rng.uniform(0.03, 0.09)), out=beads)
    dark = in_tone(image, ((40, 32, 28), (150, 120, 70), (90, 92, 96))[int(rng.integers(3))])
    changed = solid(part, rng, wires * rng.uniform(0.7, 1), dark, light, roundness=0.02 * unit, gloss=80)
    metal = in_tone(image, _METALS[int(rng.integers(3))])
    changed = solid(changed, rng, beads, metal, light, roundness=0.04 * unit, gloss=220)
    glints = blur(beads, 0.05 * unit) * float(rng.random() < 0.5) * rng.uniform(0.3, 0.8)
    return put_back(image, window, np.clip(changed + in_tone(image, (255, 225, 170)) * glints[..., None], 0, 255))


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
        np.maximum(alpha, stroke(part.shape, _dot(centre + rng.normal(0, 1, 2) * spread), size), out=alpha)
    colour = in_tone(image, (*_STONES, *_METALS)[int(rng.integers(9))])
    skin = part.mean(axis=(0, 1))
    if float(np.abs(colour - skin).mean()) < 60:  # nobody would see them
        colour = in_tone(image, _STONES[0 if skin.mean() < 150 else 4])
    sunk = alpha * np.clip(0.9 + 0.5 * smooth_noise(rng, alpha.shape, 0.1 * unit), 0.45, 1)
    return put_back(
        image, window, solid(part, rng, sunk, colour, light_from(image, face), roundness=0.03 * unit, gloss=190)
    )


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


def lock(image: np.ndarray, rng: np.random.Generator, face: Face, knots: np.ndarray, wide: float, n: int) -> np.ndarray:
    """A lock of the person's hair along ``knots`` (k, 2): strands that start together and part at the end."""
    reach = float(np.ptp(knots, axis=0).max()) / 2 + 3 * wide
    window, part, _ = around(image, face, (knots.min(axis=0) + knots.max(axis=0)) / 2, reach)
    knots = knots - [window[1].start, window[0].start]
    colour = np.clip(hair_colour(image, face) * rng.uniform(0.85, 1.15), 6, 240)
    whole = np.zeros(part.shape[:2], np.float32)
    layers = [np.zeros_like(whole) for _ in range(3)]
    line = curve(knots, 40)
    way = np.gradient(line, axis=0)
    across = np.stack([-way[:, 1], way[:, 0]], axis=1) / np.maximum(np.hypot(*way.T), 1e-6)[:, None]
    t = np.linspace(0, 1, 40)
    for i in range(n):
        offset = rng.normal(0, 0.5) * wide
        place = offset * (0.25 + 1.1 * np.sin(np.pi * np.clip(0.15 + 0.75 * t, 0, 1)))
        strand = line + across * (place + rng.normal(0, 0.35) * wide * t**2)[:, None]
        for end, pen in ((rng.uniform(0.75, 1.0), 0.07), (rng.uniform(0.4, 0.7), 0.12)):  # thinner towards the tip
            thin = stroke(part.shape, strand[: int(40 * end)], max(pen * wide, 1)) * min(max(pen * wide, 0.45), 1.0)
            np.maximum(layers[i % 3], thin, out=layers[i % 3])
    for layer in layers:
        np.maximum(whole, layer, out=whole)
    changed = shadow(part, blur(whole, 0.3), (0.3 * wide, 0.6 * wide), 0.4 * wide + 0.4, 0.4)
    sheen = 1 + 0.25 * smooth_noise(rng, part.shape, 3 * wide)
    for layer, tone in zip(layers, (0.6, 0.95, 1.3), strict=True):
        shaded = np.clip(colour * tone * sheen[..., None] + 3, 0, 250).astype(np.float32)
        changed = over(changed, shaded, blur(layer, 0.4) * 0.9)
    return put_back(image, window, add_grain(changed, whole, rng, like=image))


def mouth_lock(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A lock or tuft of the person's own hair that grows before mouth, chin, nose or out of an eye."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    starts = [(0.55, 0.85), (0.15, 1.1), (0.5, 0.1), (0.3, 0.5), (0.75, 1.35)]
    right, down = starts[int(rng.integers(5))]
    start = face.at(side * right + rng.normal(0, 0.05), down + rng.normal(0, 0.08))
    way = rng.uniform(0, 2 * np.pi)
    length = unit * (0.4 + 0.5 * strength) * rng.uniform(0.8, 1.2)
    end = start + length * np.array([np.cos(way), np.sin(way)])
    bow = (start + end) / 2 + rng.normal(0, 0.3, 2) * length
    knots = np.array([start, bow, end])
    return lock(image, rng, face, knots, unit * rng.uniform(0.08, 0.17), int(18 + 16 * strength))


def hair_ring(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A curl that stands off the head in a ring, or a plait that sticks out of it."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    centre = face.at(side * rng.uniform(1.15, 1.5), rng.uniform(-1.1, 0.6))
    if rng.random() < 0.6:
        turn = np.linspace(0, 2 * np.pi * rng.uniform(0.75, 1.3), 9) + rng.uniform(0, 6)
        radius = unit * rng.uniform(0.12, 0.25) * (0.9 + 0.5 * strength)
        knots = centre + np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.7, 1.1)], axis=1) * radius
    else:
        out = face.right * side * rng.uniform(0.5, 1.0) - face.down * rng.uniform(-0.4, 0.8)
        length = unit * (0.5 + 0.5 * strength)
        knots = np.array(
            [centre - out * 0.3 * unit, centre + out * 0.5 * length, centre + out * length + face.down * 4]
        )
    return lock(image, rng, face, knots, unit * rng.uniform(0.04, 0.1), int(14 + 12 * strength))


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


ARTIFACTS: tuple[Artifact, ...] = (
    floating_earring,
    stray_tassel,
    face_wires,
    face_specks,
    half_glasses,
    mouth_lock,
    hair_ring,
    fused_microphone,
)
SMALL = tuple(ARTIFACTS)
"""What need not be large to count as visible."""
