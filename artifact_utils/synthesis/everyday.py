"""More edits without a fault: what people wear, what cameras and files do, an artifact's steps without its fault."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
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
    to_uint8,
    warp,
)
from artifact_utils.synthesis.face import _copied
from artifact_utils.synthesis.shading import around, hue, in_tone, lit, put_back

Edit = Callable[[np.ndarray, np.random.Generator, Face], np.ndarray]
"""``edit(image, rng, face) -> image`` on float32 pictures in 0..255."""

_WORDS = ("OPEN", "CAFE", "HOTEL", "EXIT", "BAR", "TAXI", "BOOKS", "BANK", "MARKET", "CINEMA", "BUS", "SHOP")
_METALS = ((214, 178, 92), (196, 198, 204), (150, 116, 84))


def earrings(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A pair of small earrings where the ear lobes are."""
    if face.is_profile or abs(face.facing) > 0.35:
        return beauty_spot(image, rng, face)  # there only one lobe can be seen, and where is anyone's guess
    unit = face.unit
    light = light_from(image, face)
    colour = in_tone(image, _METALS[int(rng.integers(3))])
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
        colour = in_tone(image, _METALS[int(rng.integers(3))])
    shade = lit(alpha, light_from(image, face), 0.045 * unit)
    base = shadow(image, alpha, (0.01 * unit, 0.04 * unit), 0.03 * unit, 0.35)
    alpha = blur(alpha, 0.4)
    return add_grain(over(base, np.clip(colour * shade[..., None], 0, 255), alpha), alpha, rng, like=image)


def dyed_hair(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Dark hair, a hat or a hood above and beside the face gets another tint, locks and shine kept."""
    unit = face.unit
    head = ellipse(image.shape, face.at(0, 0.1), (1.9 * unit, 2.0 * unit), face.angle, feather=0.35)
    inner = ellipse(image.shape, face.at(0, 0.5), (0.95 * unit, 1.3 * unit), face.angle, feather=0.25)
    level = grey(image)
    skin = image[skin_mask(image, face) > 0.5]
    typical = float(np.median(grey(skin[None]))) if len(skin) > 8 else 128.0
    dark = np.clip((0.62 * typical - level) / (0.2 * typical + 1), 0, 1)
    alpha = blur(head * (1 - inner) * dark, 0.8)
    tint = hue(image, rng, (40, 170), (120, 240))
    strength = rng.uniform(0.35, 0.75)
    return over(image, np.clip(tint * (level / 130 + 0.05)[..., None], 0, 255), alpha * strength)


def closer_crop(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The picture cropped by a few percent and enlarged again: so little that the face stays where it was."""
    height, width = image.shape[:2]
    forth = cv2.getRotationMatrix2D(tuple(map(float, face.at(0, 0.5))), rng.normal(0, 0.8), rng.uniform(1.015, 1.05))
    return cv2.warpAffine(image, forth, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def resized_and_back(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The picture made smaller or larger and brought back to its size."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.55, 1.6)
    size = (max(int(width * factor), 8), max(int(height * factor), 8))
    there = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return cv2.resize(there, (width, height), interpolation=[cv2.INTER_LINEAR, cv2.INTER_CUBIC][int(rng.integers(2))])


def recoded(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The picture saved once more as JPEG, on a grid that is not its own."""
    dy, dx = (int(v) for v in rng.integers(0, 8, 2))
    moved = np.ascontiguousarray(np.roll(to_uint8(image), (dy, dx), axis=(0, 1))[..., ::-1])
    _, coded = cv2.imencode(".jpg", moved, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 93))])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return np.roll(decoded, (-dy, -dx), axis=(0, 1)).astype(np.float32)


def sharpened(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The whole picture sharpened a little, as cameras do."""
    soft = blur(image, rng.uniform(0.004, 0.012) * min(image.shape[:2]))
    return np.clip(image + rng.uniform(0.3, 1.0) * (image - soft), 0, 255)


def film_grain(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Even grain over the whole picture."""
    noise = smooth_noise(rng, image.shape, rng.uniform(1.0, 2.0))
    return np.clip(image + (rng.uniform(4, 11) * noise)[..., None], 0, 255)


def rain(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Rain or snow in front of the whole picture."""
    height, width = image.shape[:2]
    falls = rng.random() < 0.6
    way = np.array([rng.normal(0, 0.12), 1.0]) * (rng.uniform(0.04, 0.09) * height if falls else 0.6)
    drops = np.zeros((height, width), np.float32)
    pen = 1 if falls else max(0.008 * height, 1)
    for start in rng.random((int(rng.integers(50, 130)), 2)) * [width, height]:
        np.maximum(drops, _drop(drops.shape, start, way * rng.uniform(0.5, 1.3), pen), out=drops)
    return over(image, np.full(3, 225.0), blur(drops, 0.5) * rng.uniform(0.3, 0.6))


def _drop(shape: tuple[int, ...], start: np.ndarray, way: np.ndarray, pen: float) -> np.ndarray:
    return stroke(shape, np.array([start, start + way]), pen)


def beauty_spot(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """One to three moles."""
    unit = face.unit
    for _ in range(int(rng.integers(1, 4))):
        spot = face.at(rng.uniform(-0.7, 0.7), rng.uniform(-0.4, 1.35))
        window, part, _ = around(image, face, spot, 0.25 * unit)
        radius = unit * rng.uniform(0.025, 0.045)
        spot = spot - [window[1].start, window[0].start]
        alpha = ellipse(part.shape, spot, (radius + 0.5, radius + 0.5), feather=0.6) * rng.uniform(0.5, 0.9)
        image = put_back(image, window, over(part, part * [0.4, 0.3, 0.28], alpha))
    return image


def lipstick(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A touch of colour on lips and cheeks."""
    unit = face.unit
    radii = (0.42 * unit, 0.17 * unit)
    lips = ellipse(image.shape, face.mouth, radii, face.angle, feather=0.7)
    cheeks = [ellipse(image.shape, face.at(x, 0.65), (0.4 * unit, 0.3 * unit), feather=0.95) for x in (-0.65, 0.65)]
    red = image[..., :1] - image[..., 1:2]
    lips = lips * np.clip((red[..., 0] - 12) / 30, 0, 1)
    tint = in_tone(image, np.array([1.08, 0.84, 0.88]) * 200) / 200
    alpha = np.maximum(lips * rng.uniform(0.6, 1), np.maximum(*cheeks) * rng.uniform(0, 0.5))
    return np.clip(over(image, image * tint, alpha), 0, 255)


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


def far_lettering(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A real word on a sign far behind, small, soft and clear of the face."""
    height, width = image.shape[:2]
    word, size = _WORDS[int(rng.integers(len(_WORDS)))], max(0.045 * height * rng.uniform(0.8, 1.3), 5)
    sheet = np.zeros((int(2 * size), int(size * len(word))), np.uint8)
    cv2.putText(sheet, word, (2, int(1.4 * size)), cv2.FONT_HERSHEY_DUPLEX, size / 26, 255, 1, cv2.LINE_AA)
    used = cv2.boundingRect(sheet)
    sheet = sheet[:, : used[0] + used[2] + 2]
    h, w = min(sheet.shape[0], height // 3), min(sheet.shape[1], width // 2)
    side = 0 if face.eyes[0] > width / 2 else 1
    left = int(np.clip(side * (width - w) + (1 - 2 * side) * rng.uniform(0, 0.04) * width, 0, width - w))
    top = int(rng.uniform(0, 0.08) * height)
    alpha = np.zeros((height, width), np.float32)
    alpha[top : top + h, left : left + w] = sheet[:h, :w].astype(np.float32) / 255
    behind = float(grey(image)[top : top + h, left : left + w].mean())
    ink = np.full(3, 235.0 if behind < 128 else 30.0)
    return over(image, ink, blur(alpha, 0.0035 * height) * rng.uniform(0.5, 0.8))


def warped_and_back(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """The face is bent as in a melted one, and bent back: what remains is that it was resampled."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 1.7 * unit)
    area = ellipse(part.shape, local.at(0, 0.5), (1.2 * unit, 1.4 * unit), face.angle, feather=0.7)
    dx, dy = (smooth_noise(rng, part.shape, 0.7 * unit) * area * 0.14 * unit for _ in range(2))
    # The way back: b(p) = -d(p + b(p)), found by repeating it.
    bx, by = -dx, -dy
    x, y = grid(part.shape)
    for _ in range(6):
        bx, by = (-cv2.remap(d, x + bx, y + by, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for d in (dx, dy))
    return put_back(image, window, np.clip(warp(warp(part, dx, dy), bx, by), 0, 255))


def copied_in_place(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """An eye, nose or mouth is copied as for a doubled one, onto itself, turned by nothing."""
    unit = face.unit
    features = (face.left_eye, face.right_eye, face.nose, face.mouth)
    spot = np.array(features[int(rng.integers(4))], dtype=float)
    radii = (rng.uniform(0.4, 0.65) * unit, rng.uniform(0.28, 0.45) * unit)
    nudge = rng.normal(0, 0.006, 2) * unit
    return _copied(image, spot, spot + nudge, radii, face.angle, turn=rng.normal(0, 0.5), scale=rng.uniform(0.99, 1.01))


EVERYDAY_EDITS: tuple[Edit, ...] = (
    earrings,
    necklace,
    dyed_hair,
    closer_crop,
    resized_and_back,
    recoded,
    sharpened,
    film_grain,
    rain,
    beauty_spot,
    lipstick,
    shoulder_strap,
    scarf,
    far_lettering,
    warped_and_back,
    copied_in_place,
)
"""Part of ``harmless.EDITS``."""
