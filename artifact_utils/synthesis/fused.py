"""More things on the face: armour, locks of hair, broken glasses, scars, beads, shards, stray rings, drawn lines."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    curve,
    light_from,
    over,
    polygon,
    shadow,
    smooth_noise,
    stroke,
)
from artifact_utils.synthesis.objects import _torn_outline
from artifact_utils.synthesis.shading import around, hair_colour, hue, in_tone, lit, put_back

_METALS = ((150, 152, 158), (196, 160, 84), (92, 94, 102), (150, 104, 74))


def _spot_on_face(rng: np.random.Generator, face: Face) -> np.ndarray:
    """A place on brow, cheek, temple or jaw, (2,)."""
    side = rng.choice([-1, 1])
    places = [(0.0, -0.6), (0.65 * side, 0.6), (0.85 * side, -0.2), (0.6 * side, 1.2), (0.25 * side, 0.35)]
    right, down = places[int(rng.integers(len(places)))]
    return face.at(right + rng.normal(0, 0.1), down + rng.normal(0, 0.1))


def armour_piece(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A plate of metal with rivets and a ridge that has grown onto the skin."""
    unit = face.unit
    light = light_from(image, face)
    spot = _spot_on_face(rng, face)
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
    metal = in_tone(image, np.array(_METALS[int(rng.integers(len(_METALS)))]) * rng.uniform(0.7, 1.1))
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


def hair_strands(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A lock of hair that starts nowhere, lies across eye, nose or mouth and grows into the skin."""
    unit = face.unit
    colour = np.clip(hair_colour(image, face) * rng.uniform(0.8, 1.2), 8, 235)
    side = rng.choice([-1.0, 1.0])
    start = face.at(side * rng.uniform(0.2, 0.9), rng.uniform(-0.7, 0.3))
    end = face.at(side * rng.uniform(-0.9, 0.2), rng.uniform(0.6, 1.7))
    bow = (start + end) / 2 + rng.normal(0, 0.3, 2) * unit
    window, part, _ = around(image, face, (start + end) / 2, 1.6 * unit)
    corner = np.array([window[1].start, window[0].start])
    n = int(16 + 24 * strength)
    spread = (0.16 + 0.16 * strength) * unit
    changed = part
    total = np.zeros(part.shape[:2], np.float32)
    groups: list[np.ndarray] = [np.zeros(part.shape[:2], np.float32) for _ in range(3)]
    for i in range(n):
        wild = 2.2 if rng.random() < 0.15 else 1.0
        offsets = rng.normal(0, 1, (3, 1)) * spread * wild * np.array([[0.35], [1.0], [0.6]])
        across = np.array([end[1] - start[1], start[0] - end[0]]) / max(float(np.hypot(*(end - start))), 1.0)
        line = curve(np.array([start, bow, end]) + offsets * across - corner, 32)
        width = max(unit * rng.uniform(0.01, 0.035), 1.0)
        np.maximum(groups[i % 3], stroke(part.shape, line[: int(32 * rng.uniform(0.7, 1))], width), out=groups[i % 3])
    lock = np.maximum.reduce(groups)
    changed = shadow(changed, lock, (0.02 * unit, 0.06 * unit), 0.03 * unit, 0.45)
    for group, tone in zip(groups, (0.6, 1.0, 1.35), strict=True):
        alpha = blur(group, 0.4)
        changed = over(changed, np.clip(colour * tone + 4, 0, 255), alpha * 0.92)
        np.maximum(total, alpha, out=total)
    return put_back(image, window, add_grain(changed, total, rng, like=image))


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


def beads(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Beads, pearls or dark specks scattered over the face, half sunk into the skin."""
    unit = face.unit
    light = light_from(image, face)
    window, part, _ = around(image, face, _spot_on_face(rng, face), 1.1 * unit)
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


def shards(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Splinters of glass or light stuck in the face, each showing the skin behind it displaced and brighter."""
    unit = face.unit
    window, part, _ = around(image, face, _spot_on_face(rng, face), 1.3 * unit)
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
    metal = in_tone(image, _METALS[int(rng.integers(3))])
    shade = lit(shape, light, 0.05 * unit)
    layer = np.clip(metal * shade[..., None] ** 1.5 + 170 * np.clip(shade - 0.95, 0, 1)[..., None], 0, 255)
    alpha = blur(shape, 0.4)
    base = shadow(part, alpha, (-light[0] * 0.05 * unit, 0.06 * unit), 0.03 * unit, 0.45)
    return put_back(image, window, add_grain(over(base, layer, alpha), alpha, rng, like=image))


def drawn_lines(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Coloured lines, loops and blots like a tattoo of nothing, on brow, temple or cheek."""
    unit = face.unit
    spot = _spot_on_face(rng, face)
    window, part, _ = around(image, face, spot, 1.2 * unit)
    spot = spot - [window[1].start, window[0].start]
    alpha = np.zeros(part.shape[:2], np.float32)
    for _ in range(int(rng.integers(2, 5 + round(4 * strength)))):
        knots = spot + np.cumsum(rng.normal(0, 0.24, (int(rng.integers(3, 7)), 2)), axis=0) * unit
        np.maximum(alpha, stroke(part.shape, curve(knots, 40), max(unit * rng.uniform(0.03, 0.075), 1.5)), out=alpha)
    if rng.random() < 0.5:
        size = unit * rng.uniform(0.15, 0.3)
        blot = polygon(part.shape, _torn_outline(rng, spot, (size, 0.7 * size), rng.uniform(0, 180), 0.2))
        np.maximum(alpha, blot, out=alpha)
    worn = np.clip(0.9 + 0.3 * smooth_noise(rng, part.shape, 0.1 * unit), 0.4, 1)
    alpha = (blur(alpha, 0.45) * worn).astype(np.float32)
    colour = hue(image, rng, (90, 230), (30, 150))
    shade = np.clip(part.mean(axis=2, keepdims=True) / 150, 0.3, 1.3)
    layer = np.clip(colour * (0.4 + 0.6 * shade), 0, 255).astype(np.float32)
    return put_back(image, window, over(part, layer, alpha * (0.7 + 0.25 * strength)))


ARTIFACTS: tuple[Artifact, ...] = (
    armour_piece,
    hair_strands,
    fused_glasses,
    scars,
    beads,
    shards,
    stray_jewellery,
    drawn_lines,
)
"""See ``objects`` for straps, tubes, wires, scraps, torn shapes and paint."""
