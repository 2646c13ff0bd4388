"""Clothes, hair and background in another colour or pattern, hair beside the face, a real word on a far sign."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, grey, over
from artifact_utils.synthesis.drawing import lock
from artifact_utils.synthesis.geometry import ellipse, grid, smooth_noise
from artifact_utils.synthesis.harmless.complexion import beauty_spot
from artifact_utils.synthesis.shading import hue, skin_mask


def dyed_clothes(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Light clothes below the chin get another colour, folds and shadows kept."""
    unit = face.unit
    _, y = grid(image.shape)
    below = (y - np.float32(face.chin[1])) / unit
    level = grey(image)
    red, green, blue = cv2.split(image)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    cloth = np.clip((level - 135) / 40, 0, 1) * np.clip((60 - spread) / 25, 0, 1) * np.clip(below / 0.3, 0, 1)
    cloth = blur(cloth, 0.7)
    pixel = np.array([[[rng.uniform(0, 180), rng.uniform(60, 190), rng.uniform(90, 240)]]], np.uint8)
    dye = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    return over(image, dye * (level / 235)[..., None], cloth)


def patterned_cloth(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """Stripes, checks or dots on plain clothes below the chin, in their folds and light."""
    unit, (height, width) = face.unit, image.shape[:2]
    at = np.clip(face.at(float(rng.choice([-0.8, 0.8])), 2.8), 3, [width - 4, height - 4]).astype(int)
    sample = np.median(image[at[1] - 3 : at[1] + 4, at[0] - 3 : at[0] + 4].reshape(-1, 3), axis=0)
    x, y = grid(image.shape)
    below = np.clip((y - np.float32(face.at(0, 2.05)[1])) / np.float32(0.2 * unit), 0, 1)
    share = image / np.maximum(grey(image)[..., None], 12)
    alike = np.abs(share - sample / max(float(sample.mean()), 12.0)).max(axis=2)
    alike = np.clip((0.3 - alike) / 0.15, 0, 1) * np.clip((90 - np.abs(grey(image) - sample.mean())) / 30, 0, 1)
    cloth = blur(below * alike, 0.8)
    skin = np.median(image[skin_mask(image, face) > 0.5], axis=0)
    rows = max(height // 4, 2)
    backdrop = [np.median(image[:rows, c].reshape(-1, 3), axis=0) for c in (slice(0, rows), slice(-rows, None))]
    backdrop += [np.median(image[-rows:, c].reshape(-1, 3), axis=0) for c in (slice(0, 4), slice(-4, None))]
    # Where the sample may be skin or what is behind the person, the pattern would not be on cloth.
    nearest = min(float(np.abs(sample - other).max()) for other in (*backdrop[:2], skin))
    behind = sum(float(np.abs(sample - other).max()) < 25 for other in backdrop[2:])
    if nearest < 40 or behind == 2 or cloth.mean() < 0.004:
        return beauty_spot(image, rng, face)
    bend = 0.12 * unit * smooth_noise(rng, image.shape, 0.9 * unit)
    step, angle = unit * rng.uniform(0.12, 0.35), rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    u = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + bend) * np.float32(2 * np.pi / step)
    v = (y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle)) + bend) * np.float32(2 * np.pi / step)
    edge = np.float32(max(step / 5, 1.0))
    first, second = (np.clip(0.5 + edge * np.cos(w) * 0.5, 0, 1) for w in (u, v))
    pattern = (first, np.maximum(first, second) * 0.8, first * second)[int(rng.integers(3))]
    ink = hue(image, rng, (0, 200), (20, 240))
    folds = np.clip(grey(image) / max(float(sample.mean()), 20.0), 0.3, 1.3)[..., None]
    light = float(np.clip(sample.mean() / 140, 0.45, 1.1))
    return over(image, np.clip(ink * folds * light, 0, 255), cloth * pattern * rng.uniform(0.35, 0.85))


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


def loose_hair(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A strand of the person's own hair that falls beside the face."""
    if face.is_profile or abs(face.facing) > 0.3:
        return beauty_spot(image, rng, face)  # the far side of the head is not where it is in a frontal view
    unit = face.unit
    side = rng.choice([-1.0, 1.0])
    out = rng.uniform(1.0, 1.15)
    knots = [(0.75 * out, -0.95), (out, -0.2), (out + rng.normal(0, 0.05), 0.6), (0.95 * out, rng.uniform(1.0, 1.8))]
    line = np.array([face.at(side * u, v) for u, v in knots])
    return lock(image, rng, face, line, unit * rng.uniform(0.04, 0.09), int(rng.integers(8, 20)))


def tinted_background(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A plain backdrop gets another tone; a busy one stays almost as it is."""
    rows = max(image.shape[0] // 12, 2)
    corners = np.concatenate([image[:rows, : 2 * rows].reshape(-1, 3), image[:rows, -2 * rows :].reshape(-1, 3)])
    backdrop = np.median(corners, axis=0)
    distance = np.abs(blur(image, 1.0) - backdrop).max(axis=2)
    away = 1 - ellipse(image.shape, face.at(0, 0.35), (1.0 * face.unit, 1.4 * face.unit), face.angle, feather=0.15)
    alpha = np.clip((60 - distance) / 30, 0, 1) * away
    tint = 1 + rng.uniform(-0.22, 0.22) + rng.normal(0, 0.1, 3)
    return over(image, image * tint.astype(np.float32), blur(alpha, 0.8))


_WORDS = ("OPEN", "CAFE", "HOTEL", "EXIT", "BAR", "TAXI", "BOOKS", "BANK", "MARKET", "CINEMA", "BUS", "SHOP")


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
