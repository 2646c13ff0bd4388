"""Open mouths: tongues too long, two of them, carved or split, and rows of teeth that no mouth has.

The lower lip and the chin of the picture itself are drawn down, so that what hangs out hangs out of a mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, over, shadow
from artifact_utils.synthesis.geometry import Window, around, curve, grid, polygon, put_back, smooth_noise, stroke, warp
from artifact_utils.synthesis.shading import in_tone, light_from, lit, own_colours


@dataclass(frozen=True)
class _Mouth:
    """A mouth drawn open in a window: the picture, the hole (H, W) and where each pixel lies from its middle, in units.

    ``u`` runs along the lips, ``v`` from the upper lip to the chin, ``wide`` and ``drop`` are the hole's half width and
    its height in units.
    """

    part: np.ndarray
    hole: np.ndarray
    u: np.ndarray
    v: np.ndarray
    wide: float
    drop: float


def _opened(
    image: np.ndarray, part: np.ndarray, rng: np.random.Generator, face: Face, local: Face, drop: float
) -> _Mouth:
    """Draw the jaw down by ``drop`` units and fill the gap with the dark of a mouth."""
    unit = face.unit
    wide = rng.uniform(0.3, 0.42) * (0.75 if face.is_profile else 1.0)
    x, y = grid(part.shape)
    x, y = (x - np.float32(local.mouth[0])) / np.float32(unit), (y - np.float32(local.mouth[1])) / np.float32(unit)
    u = x * np.float32(face.right[0]) + y * np.float32(face.right[1])
    v = x * np.float32(face.down[0]) + y * np.float32(face.down[1])
    bow = 0.05 * np.cos(6 * u).astype(np.float32)  # the upper lip dips in the middle
    v = v - bow

    def move(below: np.ndarray) -> np.ndarray:
        """How far down what lay ``below`` the lips is drawn."""
        span = wide * (1 + 1.1 * np.clip(below, 0, None))
        return drop * np.clip(1 - (u / span) ** 2, 0, 1) * np.clip(1 - below / 1.25, 0, 1)

    source = v
    for _ in range(4):
        source = v - move(np.clip(source, 0, None))
    shift = np.where(v > 0, np.maximum(source, 0) - v, 0).astype(np.float32) * np.float32(unit)
    drawn = warp(part, shift * face.down[0], shift * face.down[1])
    edge = np.float32(1.2 / unit)
    gap = drop * np.clip(1 - (u / wide) ** 2, 0, 1)
    hole = np.clip(v / edge + 0.5, 0, 1) * np.clip((gap - v) / edge + 0.5, 0, 1) * (gap > edge)
    _, dark = own_colours(image, face)
    flesh = in_tone(image, 0.45 * dark + np.array([34, 9, 10]))
    depth = 0.55 + 0.5 * np.clip(v / max(drop, 0.01), 0, 1)
    return _Mouth(over(drawn, flesh * depth[..., None], blur(hole, 0.4)), hole, u, v, wide, drop)


def _flesh(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The colour of a tongue in this light: pink, red or livid, (3,)."""
    bright, _ = own_colours(image, face)
    level = float(np.clip(bright.mean() * rng.uniform(0.85, 1.1), 35, 225))
    tint = np.array([[1.32, 0.78, 0.82], [1.38, 0.72, 0.7], [1.2, 0.85, 0.88]][int(rng.integers(3))])
    cast = bright / max(float(bright.mean()), 1.0)
    return in_tone(image, np.clip(level * tint * (0.6 + 0.4 * cast), 0, 245))


def _spine(rng: np.random.Generator, face: Face, local: Face, length: float, lean: float, start: float) -> np.ndarray:
    """The middle line (28, 2) of a tongue of ``length`` units that begins ``start`` units below the upper lip."""
    unit = face.unit
    ahead = face.facing * (1.1 if face.is_profile else 0.35)
    aim = face.down + face.right * (ahead + lean)
    aim = aim / np.hypot(*aim)
    root = np.array(local.mouth) + face.down * start * unit
    sag = face.down * 0.15 * length * unit * abs(ahead)
    side = face.right * rng.normal(0, 0.08) * length * unit
    return curve(np.array([root, root + aim * 0.5 * length * unit + side - sag, root + aim * length * unit]), 28)


def _tongue(
    mouth: _Mouth,
    rng: np.random.Generator,
    face: Face,
    spine: np.ndarray,
    *,
    girth: float,
    tip: float,
    relief: np.ndarray,
    colour: np.ndarray,
    light: np.ndarray,
) -> np.ndarray:
    """Lay a wet tongue over the lower lip.

    ``girth`` is half its width in units, ``tip`` how much wider its end is, ``relief`` (H, W) bumps in pixels.
    """
    unit, part = face.unit, mouth.part
    shape = np.zeros(part.shape[:2], np.uint8)
    for share, point in zip(np.linspace(0, 1, len(spine)), spine, strict=True):
        radius = girth * unit * (1 + (tip - 1) * share**2) * np.sqrt(max(1 - max(share - 0.86, 0) ** 2 * 12, 0.2))
        centre = np.round(point * 16).astype(int).tolist()
        cv2.circle(shape, centre, max(round(radius * 16), 8), 255, -1, cv2.LINE_AA, 4)
    alpha = blur(shape.astype(np.float32) / 255, 0.5) * np.clip(mouth.v * unit / 1.5, 0, 1)
    groove = blur(stroke(part.shape, spine[3:-4], max(0.035 * unit, 1)), 0.03 * unit)
    papillae = smooth_noise(rng, part.shape, max(0.04 * unit, 1.5)) * 0.0022 * unit
    bumps = relief + papillae - (0.035 * unit) * groove
    above = light * np.array([1, 1, 1.0]) + np.array([0, -0.25, 0])
    shade = lit(alpha, above / np.linalg.norm(above), 0.85 * girth * unit, bumps.astype(np.float32))
    inside = np.clip(0.35 + mouth.v / max(0.9 * mouth.drop, 0.05), 0.35, 1)  # in the shadow of the upper teeth
    blotch = 1 + 0.08 * smooth_noise(rng, part.shape, 0.25 * girth * unit + 2)
    body = colour * (np.clip(shade, 0.25, 1.05) * inside * blotch * (1 - 0.18 * groove))[..., None]
    wet = np.clip(shade - 1.06 + 0.1 * smooth_noise(rng, part.shape, 0.09 * unit + 1.5), 0, 0.5)
    gleam = in_tone(part, np.minimum(colour + 110, 250))
    layer = np.clip(body + (gleam - body) * np.clip(1.3 * wet, 0, 0.6)[..., None], 0, 255).astype(np.float32)
    outside = alpha * (1 - 0.9 * mouth.hole)
    base = shadow(part, outside, (-light[0] * 0.06 * unit, 0.07 * unit), 0.05 * unit, 0.45)
    return add_grain(over(base, layer, alpha), alpha, rng, like=part)


def _window(image: np.ndarray, rng: np.random.Generator, face: Face, drop: float) -> tuple[Window, Face, _Mouth]:
    window, part, local = around(image, face, face.at(0.3 * face.facing, 1.4), 1.75 * face.unit)
    return window, local, _opened(image, part, rng, face, local, drop)


def _with_part(mouth: _Mouth, part: np.ndarray) -> _Mouth:
    return _Mouth(part, mouth.hole, mouth.u, mouth.v, mouth.wide, mouth.drop)


def long_tongue(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A wet tongue that hangs far out of the opened mouth, too long, too thick, or with a bulb at its end."""
    drop = rng.uniform(0.16, 0.34) + 0.1 * strength
    window, local, mouth = _window(image, rng, face, drop)
    spine = _spine(rng, face, local, drop + 0.2 + 0.65 * strength * rng.uniform(0.7, 1.2), rng.normal(0, 0.12), 0.05)
    tip = rng.uniform(0.75, 1.0) if rng.random() < 0.7 else 1.2 + 0.4 * strength
    girth = mouth.wide * rng.uniform(0.5, 0.72) * (1 + 0.15 * strength)
    relief = np.zeros(mouth.part.shape[:2], np.float32)
    colour, light = _flesh(image, rng, face), light_from(image, face)
    return put_back(
        image,
        window,
        _tongue(mouth, rng, face, spine, girth=girth, tip=tip, relief=relief, colour=colour, light=light),
    )


def double_tongue(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Two tongues in one mouth, one beside or upon the other, or one tongue split at its end."""
    drop = rng.uniform(0.2, 0.34) + 0.08 * strength
    window, local, mouth = _window(image, rng, face, drop)
    colour, light = _flesh(image, rng, face), light_from(image, face)
    relief = np.zeros(mouth.part.shape[:2], np.float32)
    upon = rng.random() < 0.5
    for i, side in enumerate(rng.permutation([-1.0, 1.0])):
        lean = (0.12 if upon else 0.3) * side + rng.normal(0, 0.06)
        length = drop + (0.12 + 0.35 * strength) * (1 - 0.35 * i * upon) * rng.uniform(0.8, 1.2)
        spine = _spine(rng, face, local, length, lean, 0.04 - 0.02 * i)
        spine = spine + face.right * (0.04 if upon else 0.16) * side * mouth.wide * face.unit
        girth = mouth.wide * rng.uniform(0.42, 0.55) * (1 - 0.25 * i * upon)
        tone = colour * rng.uniform(0.85, 1.05)
        part = _tongue(mouth, rng, face, spine, girth=girth, tip=0.85, relief=relief, colour=tone, light=light)
        mouth = _with_part(mouth, part)
    return put_back(image, window, mouth.part)


def carved_tongue(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A tongue with deep grooves, ridges or folds like carved wood or a second lip."""
    drop = rng.uniform(0.18, 0.32) + 0.08 * strength
    window, local, mouth = _window(image, rng, face, drop)
    unit = face.unit
    spine = _spine(rng, face, local, drop + 0.15 + 0.4 * strength, rng.normal(0, 0.1), 0.05)
    girth = mouth.wide * rng.uniform(0.55, 0.75)
    lines = np.zeros(mouth.part.shape[:2], np.float32)
    aim = spine[-1] - spine[0]
    across = np.array([-aim[1], aim[0]]) / max(float(np.hypot(*aim)), 1.0)
    if rng.random() < 0.6:
        for offset in rng.uniform(-0.8, 0.8, int(3 + 4 * strength)):
            line = spine[4:-1] + np.outer(offset * (1 + 0.2 * np.sin(np.linspace(0, 6, 23))), across) * girth * unit
            np.maximum(lines, stroke(lines.shape, line, max(0.035 * unit, 1)), out=lines)
    else:
        for point in spine[4 : -3 : max(int(5 - 2 * strength), 2)]:
            bend = rng.normal(0.12, 0.08) * aim
            ends = curve(np.array([point - across * girth * unit, point + bend, point + across * girth * unit]), 12)
            np.maximum(lines, stroke(lines.shape, ends, max(0.04 * unit, 1)), out=lines)
    relief = -(0.09 + 0.09 * strength) * unit * blur(lines, 0.022 * unit)
    colour, light = _flesh(image, rng, face), light_from(image, face)
    part = _tongue(mouth, rng, face, spine, girth=girth, tip=0.95, relief=relief, colour=colour, light=light)
    return put_back(image, window, part)


def _row_of_teeth(
    mouth: _Mouth, rng: np.random.Generator, face: Face, local: Face, enamel: np.ndarray, place: tuple[float, float]
) -> np.ndarray:
    """A row of uneven teeth from ``place[0]`` to ``place[1]``, shares of the hole's height where each tooth stands."""
    n = int(rng.integers(7, 12))
    edges = np.linspace(-0.97, 0.97, n + 1) + rng.normal(0, 0.25 / n, n + 1)
    layer, total = mouth.part, np.zeros(mouth.hole.shape, np.float32)
    origin = np.array(local.mouth)
    for left, right in pairwise(edges):
        middle = (left + right) / 2 * mouth.wide
        gap = mouth.drop * max(1 - (middle / mouth.wide) ** 2, 0)
        start, end = place[0] * gap, place[1] * gap * rng.uniform(0.75, 1.15)
        corners = [(left, start), (right, start), (right * 0.98, end), ((left + right) / 2, end * 1.06), (left, end)]
        bow = [0.05 * np.cos(6 * u * mouth.wide) for u, _ in corners]
        outline = np.array(
            [
                origin + face.unit * (face.right * u * mouth.wide + face.down * (v + b))
                for (u, v), b in zip(corners, bow, strict=True)
            ]
        )
        alpha = blur(polygon(mouth.hole.shape, outline), 0.5)
        tone = enamel * rng.uniform(0.75, 1.0) * (1 - 0.35 * (middle / mouth.wide) ** 2)
        layer = over(layer, np.clip(tone, 0, 250).astype(np.float32), alpha * 0.95)
        np.maximum(total, alpha, out=total)
    return over(mouth.part, add_grain(layer, total, rng, like=mouth.part), np.clip(mouth.hole * 1.2, 0, 1))


def tooth_rows(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An opened mouth with rows of uneven teeth behind rows of teeth, white, gold, brown or bluish."""
    window, local, mouth = _window(image, rng, face, rng.uniform(0.18, 0.3) + 0.16 * strength)
    bright, _ = own_colours(image, face)
    tints = ((1.0, 0.96, 0.86), (1.05, 0.82, 0.42), (0.8, 0.62, 0.42), (0.84, 0.95, 1.08))
    tint = tints[int(rng.choice(4, p=[0.5, 0.2, 0.15, 0.15]))]
    enamel = in_tone(image, np.minimum((0.5 * bright + 0.5 * bright.mean()) * rng.uniform(0.8, 1.05) * tint, 245))
    rows = [((0.0, 0.28), 1.0), ((1.0, 0.7), 0.9)]
    if rng.random() < 0.4 + 0.5 * strength:
        rows = [((0.25, 0.5), 0.6), ((0.85, 0.62), 0.55), *rows]
    for place, level in rows:
        mouth = _with_part(mouth, _row_of_teeth(mouth, rng, face, local, enamel * level, place))
    return put_back(image, window, mouth.part)
