"""Marks on skin and eyes as generators leave them: red irises, flares, drawn wrinkles, seams, glassy, leathery skin.

And things of no kind, made of the picture's own texture, grown onto jaw, chest or the side of the head.
"""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    add_grain,
    blur,
    curve,
    ellipse,
    grey,
    grid,
    light_from,
    over,
    polygon,
    shadow,
    skin_mask,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.shading import around, in_tone, lit, put_back

_RED = ((200, 26, 22), (235, 60, 30), (150, 18, 34), (255, 120, 40))


def iris_centre(image: np.ndarray, eye: np.ndarray, unit: float) -> np.ndarray:
    """The middle (2,) of the dark of an eye near ``eye``: where its iris is."""
    height, width = image.shape[:2]
    r = max(0.2 * unit, 2.0)
    x0, y0 = max(int(eye[0] - r), 0), max(int(eye[1] - 0.6 * r), 0)
    x1, y1 = min(int(eye[0] + r) + 2, width), min(int(eye[1] + 0.6 * r) + 2, height)
    if x1 <= x0 or y1 <= y0:
        return eye
    level = grey(np.ascontiguousarray(image[y0:y1, x0:x1]))
    weights = np.clip(np.percentile(level, 30) - level, 0, None) ** 2 + 1e-3
    y, x = np.mgrid[y0:y1, x0:x1]
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


def red_irises(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One iris or both red, blotchy, without a pupil or glowing; the other one, if left, is what it was."""
    unit = face.unit
    colour = in_tone(image, _RED[int(rng.integers(4))])
    eyes = [np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)]
    if rng.random() < 0.4 and not face.is_profile:
        eyes = [eyes[int(rng.integers(2))]]
    glows, blind = rng.random() < 0.4, rng.random() < 0.5
    for eye in eyes:
        window, part, _ = around(image, face, eye, 0.6 * unit)
        centre = iris_centre(image, eye, unit) - [window[1].start, window[0].start]
        radius = unit * rng.uniform(0.085, 0.115) * (0.95 + 0.25 * strength)
        wobble = (0.15 + 0.2 * strength) * smooth_noise(rng, part.shape, 0.09 * unit + 1)
        disc = ellipse(part.shape, centre, (radius, 0.9 * radius), feather=0.3, wobble=wobble)
        halo = ellipse(part.shape, centre, (2.6 * radius, 1.6 * radius), feather=0.9)
        level = grey(part)[..., None] / 255
        blotch = 0.8 + 0.5 * smooth_noise(rng, part.shape, 0.05 * unit + 1)[..., None]
        tone = np.clip(colour * (0.35 + 0.9 * level) * blotch + 30 * level, 0, 255).astype(np.float32)
        changed = over(part, part * in_tone(image, (255, 200, 195)) / 235, halo * (0.35 + 0.3 * strength))
        changed = over(changed, tone, disc * (0.75 + 0.25 * strength))
        if not blind:
            pupil = ellipse(part.shape, centre, (0.35 * radius, 0.35 * radius), feather=0.4)
            changed = over(changed, (16.0, 8.0, 8.0), 0.85 * pupil)
        if glows:
            core = ellipse(part.shape, centre, (0.75 * radius, 0.6 * radius), feather=0.7)
            shine = 0.8 * blur(disc, 0.09 * unit) * (0.4 + 0.5 * strength)
            changed = np.clip(changed + colour * shine[..., None] + 90 * core[..., None], 0, 255)
        image = put_back(image, window, changed)
    return image


def eye_flares(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Glowing patches or dots with no source: at the corners of the eyes, under them, on cheeks or lip."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.4), 1.5 * unit)
    colour = in_tone(image, ((255, 140, 30), (255, 50, 40), (255, 205, 120), (255, 250, 235))[int(rng.integers(4))])
    core = np.zeros(part.shape[:2], np.float32)
    mirrored = rng.random() < 0.5
    for _ in range(int(rng.integers(1, 3 + round(2 * strength)))):
        right, down = rng.uniform(0.15, 0.85), float(rng.choice([rng.normal(0, 0.08), rng.uniform(0.2, 1.0)]))
        radii = unit * rng.uniform(0.03, 0.12), unit * rng.uniform(0.02, 0.05)
        turn = rng.normal(0, 35)
        for side in (-1, 1) if mirrored else (rng.choice([-1, 1]),):
            wobble = 0.35 * smooth_noise(rng, part.shape, 0.08 * unit + 1)
            spot = ellipse(part.shape, local.at(side * right, down), radii, side * turn, feather=0.4, wobble=wobble)
            np.maximum(core, spot, out=core)
    halo = blur(core, 0.06 * unit)
    lit_skin = part + colour * (halo * (0.3 + 0.5 * strength))[..., None]
    return put_back(image, window, np.clip(over(lit_skin, 0.75 * colour + 60, core * (0.7 + 0.3 * strength)), 0, 255))


def drawn_wrinkles(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Wrinkles that are drawn, not folded: red, purple or brown lines along brow, cheek or round the mouth."""
    unit = face.unit
    light = light_from(image, face)
    place = int(rng.integers(3))
    side = rng.choice([-1.0, 1.0])
    window, part, local = around(image, face, face.at(0, (-0.5, 0.5, 1.1)[place]), 1.4 * unit)
    lines = np.zeros(part.shape[:2], np.float32)
    for i in range(int(rng.integers(2, 4 + round(3 * strength)))):
        if place == 0:
            down, dip = -0.38 - 0.13 * i, rng.normal(0, 0.06, 5)
            knots = [local.at(u, down + d) for u, d in zip(np.linspace(-0.65, 0.65, 5), dip, strict=True)]
        elif place == 1:
            knots = [
                local.at(side * (0.45 + 0.12 * i + 0.3 * v * v), 0.35 + 0.5 * v + rng.normal(0, 0.03))
                for v in (-0.6, 0, 1)
            ]
        else:
            knots = [local.at(side * (0.4 + 0.1 * i + rng.normal(0, 0.03)), 0.75 + 0.35 * v) for v in (0, 0.5, 1.1)]
        line = curve(np.array(knots), 40)
        begin = int(rng.integers(0, 10))
        pen = max(unit * rng.uniform(0.02, 0.045), 1)
        np.maximum(lines, stroke(part.shape, line[begin : int(rng.integers(28, 41))], pen), out=lines)
    colour = in_tone(image, ((120, 50, 120), (150, 40, 44), (96, 52, 40), (70, 44, 60))[int(rng.integers(4))])
    alpha = blur(lines, 0.012 * unit + 0.25) * np.clip(0.9 + 0.5 * smooth_noise(rng, lines.shape, 0.2 * unit), 0.2, 1)
    swollen = lit(lines, light, 0.05 * unit)
    level = grey(part)[..., None]
    layer = np.clip(colour * (0.35 + level / 190) * np.clip(swollen, 0.7, 1.15)[..., None], 0, 255).astype(np.float32)
    ridge = blur(np.roll(lines, -max(round(0.04 * unit), 1), axis=0), 0.02 * unit)
    base = part * (1 + 0.12 * strength * ridge[..., None])
    return put_back(image, window, np.clip(over(base, layer, alpha * (0.6 + 0.3 * strength)), 0, 255))


def jaw_seam(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A seam as of a mask: a fine crack along jaw, temple or cheek, the skin on one side of another tone."""
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    paths = [
        [(1.0, 0.2), (0.92, 0.9), (0.6, 1.4), (0.1, 1.62)],
        [(0.95, -0.3), (0.7, 0.3), (0.75, 0.8), (0.5, 1.3)],
        [(0.3, -0.9), (0.55, -0.5), (0.75, -0.1), (1.0, 0.1)],
    ]
    window, part, local = around(image, face, face.at(0.5 * side, 0.6), 1.7 * unit)
    path = paths[int(rng.integers(3))]
    knots = np.array([local.at(side * (u + rng.normal(0, 0.03)), v + rng.normal(0, 0.03)) for u, v in path])
    line = curve(knots, 60)
    line = line + rng.normal(0, 0.012, line.shape) * unit
    outer = np.vstack([line, [local.at(2.6 * side, knots_end) for knots_end in (2.4, -1.2)]])
    beyond = blur(polygon(part.shape, outer), 0.5)
    near = blur(stroke(part.shape, line, max(0.3 * unit, 1)), 0.12 * unit)
    tone = 1 + rng.choice([-1, 1]) * rng.uniform(0.08, 0.14) * (0.8 + strength) * np.array([1.0, 1.05, 1.1])
    changed = over(part, part * tone, beyond * np.clip(1.6 * near, 0, 1))
    crack = blur(stroke(part.shape, line, max((0.018 + 0.02 * strength) * unit, 1)), 0.3)
    crack = crack * np.clip(0.9 + 0.7 * smooth_noise(rng, part.shape, 0.15 * unit), 0.2, 1)
    edge = blur(stroke(part.shape, line - [side * 0.03 * unit, 0], max(0.02 * unit, 1)), 0.4)
    changed = over(np.clip(changed * (1 + 0.25 * edge[..., None]), 0, 255), part * [0.42, 0.34, 0.32], 0.85 * crack)
    return put_back(image, window, changed)


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


FACE_ARTIFACTS: tuple[Artifact, ...] = (red_irises, eye_flares, drawn_wrinkles, jaw_seam)
GLITCH_ARTIFACTS: tuple[Artifact, ...] = (glass_facets, leathery_skin)
OBJECT_ARTIFACTS: tuple[Artifact, ...] = (nonsense_object,)
ARTIFACTS: tuple[Artifact, ...] = FACE_ARTIFACTS + GLITCH_ARTIFACTS + OBJECT_ARTIFACTS
SMALL: tuple[Artifact, ...] = (*FACE_ARTIFACTS, *GLITCH_ARTIFACTS)
"""What need not be large to count as visible."""
