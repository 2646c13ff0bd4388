"""A print on the shirt, a tattoo on the neck, a mask that is worn as masks are, paint on both cheeks alike."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over, shadow
from artifact_utils.synthesis.drawing import in_words
from artifact_utils.synthesis.geometry import curve, grid, polygon, smooth_noise, stroke
from artifact_utils.synthesis.harmless.complexion import beauty_spot
from artifact_utils.synthesis.objects.on_skin import PAINTS, painted
from artifact_utils.synthesis.shading import hue, in_tone, light_from, lit, skin_mask
from artifact_utils.synthesis.text.inking import place_sheet
from artifact_utils.synthesis.text.prints import on_cloth, trademark


def graphic_shirt(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A large sign or a word that can be read, printed on the chest and bent with it."""
    height, unit = image.shape[0], face.unit
    sheet = trademark(rng) if rng.random() < 0.5 else in_words(rng)
    tall = unit * rng.uniform(0.5, 0.9) * (1.0 if sheet.shape[0] == sheet.shape[1] else 0.9)
    tall = min(tall, 1.8 * unit * sheet.shape[0] / sheet.shape[1])
    centre = face.at(rng.normal(0, 0.15), rng.uniform(2.45, 3.0))
    if centre[1] + 0.3 * tall > height:
        return beauty_spot(image, rng, face)  # the chest is not in the picture
    marks = place_sheet(image.shape, sheet, centre, tall, angle=face.angle / 2, sag=rng.uniform(0, 0.05))
    return on_cloth(image, rng, marks, 0.8, hue(image, rng, (40, 220), (30, 240)))


def neck_tattoo(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Orderly dark ink on the skin of the neck: a line of leaves, a star, a band."""
    unit = face.unit
    alpha = np.zeros(image.shape[:2], np.float32)
    side = rng.choice([-1.0, 1.0])
    centre = face.at(side * rng.uniform(0.15, 0.5), rng.uniform(1.95, 2.2))
    size, turn = unit * rng.uniform(0.12, 0.2), np.linspace(0, 2 * np.pi, 60)
    what = int(rng.integers(3))
    if what == 0:
        stem = curve(centre + size * np.array([[-0.6, 1.4], [0.0, 0.4], [0.1, -0.5], [0.6, -1.4]]), 40)
        alpha = stroke(image.shape, stem, max(0.12 * size, 1))
        for i in range(6, 38, 6):
            for way in (-1, 1):
                leaf = stem[i] + size * np.array([[0, 0], [way * 0.35, -0.3], [way * 0.5, -0.05]])
                np.maximum(alpha, polygon(image.shape, leaf), out=alpha)
    elif what == 1:
        radius = size * (0.65 + 0.35 * np.cos(5 * turn))
        alpha = polygon(image.shape, centre + np.stack([np.sin(turn), -np.cos(turn)], axis=1) * radius[:, None])
    else:
        for down in (2.0, 2.12):
            line = curve(np.array([face.at(x, down + 0.12 * (1 - x * x)) for x in (-0.6, -0.3, 0, 0.3, 0.6)]), 40)
            np.maximum(alpha, stroke(image.shape, line, max(0.05 * unit, 1)), out=alpha)
    skin = image[skin_mask(image, face) > 0.5]
    if not len(skin):
        return beauty_spot(image, rng, face)
    typical = np.median(skin, axis=0)
    level = np.maximum(grey(image), 8)[..., None]
    off = np.abs(image / level - typical / max(float(typical.mean()), 8)).sum(axis=2)  # of another hue than the face
    like_skin = np.clip(1.6 - 4 * blur(off.astype(np.float32), 1.0), 0, 1)
    ink = blur(alpha, 0.4) * like_skin * np.float32(rng.uniform(0.6, 0.85))
    return over(image, image * 0.3 + in_tone(image, (18, 26, 34)) * 0.5, ink)


_CLOTHS = ((168, 204, 220), (236, 238, 238), (30, 32, 36), (150, 190, 170), (88, 104, 150))


def worn_mask(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A mask of cloth from the bridge of the nose to below the chin, with pleats and straps to both ears."""
    if face.is_profile or abs(face.facing) > 0.3:
        return beauty_spot(image, rng, face)  # seen from the side it would sit wrong
    unit, turn = face.unit, 0.25 * face.facing
    half = [(0.0, 0.36), (0.3, 0.46), (0.72, 0.62), (0.84, 0.95), (0.66, 1.4), (0.3, 1.72), (0.0, 1.8)]
    right = [face.at(x + turn, y) for x, y in half]
    left = [face.at(-x + turn, y) for x, y in half[-2:0:-1]]
    outline = curve(np.array([*right, *left, right[0]]), 120)
    alpha = blur(polygon(image.shape, outline), 0.5)
    colour = in_tone(image, _CLOTHS[int(rng.integers(5))])
    straps = np.zeros_like(alpha)
    for side in (-1, 1):
        for start, end in (((0.76, 0.66), (0.98, 0.3)), ((0.72, 1.2), (0.97, 0.66))):
            line = np.array([face.at(side * start[0] + turn, start[1]), face.at(side * end[0] + turn / 2, end[1])])
            np.maximum(straps, stroke(image.shape, line, max(0.035 * unit, 1)), out=straps)
    light = light_from(image, face)
    image = over(shadow(image, straps, (0, 0.02 * unit), 0.02 * unit, 0.3), colour, 0.9 * blur(straps, 0.4))
    x, y = grid(image.shape)
    down = ((x - face.eyes[0]) * face.down[0] + (y - face.eyes[1]) * face.down[1]) / unit
    pleats = np.zeros_like(alpha)
    for place in (0.85, 1.08, 1.3):
        np.maximum(pleats, np.exp(-(((down - place) / 0.025) ** 2)).astype(np.float32), out=pleats)
    shade = (
        lit(alpha, light, 0.5 * unit) * (1 - 0.22 * pleats) * (1 + 0.03 * smooth_noise(rng, image.shape, 0.03 * unit))
    )
    base = shadow(image, alpha, (0, 0.04 * unit), 0.04 * unit, 0.45)
    return add_grain(over(base, np.clip(colour * shade[..., None], 0, 255), alpha), alpha, rng, like=image)


def painted_cheeks(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The same bars, dots or star in paint on both cheeks, as at a match or a children's party."""
    if face.is_profile or abs(face.facing) > 0.35:
        return beauty_spot(image, rng, face)
    unit, what = face.unit, int(rng.integers(3))
    colours = [np.array(PAINTS[int(i)], np.float32) for i in rng.permutation(len(PAINTS))[:3]]
    size, low = rng.uniform(0.13, 0.18), rng.uniform(0.6, 0.75)
    turn = np.linspace(0, 2 * np.pi, 60)
    for i, colour in enumerate(colours[: 3 if what == 0 else 1]):
        alpha = np.zeros(image.shape[:2], np.float32)
        for side in (-1, 1):
            centre = face.at(side * 0.62, low)
            if what == 0:
                bar = [face.at(side * 0.62 + x, low + size * (i - 1) * 0.7) for x in (-0.16, 0.16)]
                np.maximum(alpha, stroke(image.shape, np.array(bar), max(0.6 * size * unit, 1)), out=alpha)
            elif what == 1:
                radius = unit * size * (0.7 + 0.3 * np.cos(5 * turn))
                star = centre + np.stack([np.sin(turn), -np.cos(turn)], axis=1) * radius[:, None]
                np.maximum(alpha, polygon(image.shape, star), out=alpha)
            else:
                for x, y in ((-0.16, 0), (0, -0.06), (0.16, 0)):
                    spot = tuple(int(v) for v in face.at(side * 0.62 + x, low + y))
                    cv2.circle(alpha, spot, max(round(0.045 * unit), 1), 1.0, -1, cv2.LINE_AA)
        image = painted(image, face, colour, blur(alpha, 0.4) * 0.85)
    return image
