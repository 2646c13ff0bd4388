"""What artifacts and harmless edits both draw: earrings, locks of hair, new irises, words."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over, shadow
from artifact_utils.synthesis.geometry import around, curve, dot, put_back, smooth_noise, stroke
from artifact_utils.synthesis.shading import hair_colour, in_tone, solid

METALS = ((186, 150, 78), (176, 178, 184), (120, 86, 56), (70, 68, 70))
STONES = ((226, 220, 210), (40, 60, 130), (130, 26, 36), (34, 96, 70), (28, 26, 28))


def earring(
    part: np.ndarray, rng: np.random.Generator, top: np.ndarray, size: float, light: np.ndarray, n_links: int
) -> np.ndarray:
    """``part`` with an earring that hangs from ``top`` (2,): ``n_links`` rings and stones of ``size`` pixels."""
    metal = in_tone(part, METALS[int(rng.integers(3))])
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
            disc = stroke(part.shape, dot(place), 2 * radius)
            np.maximum(stones if i % 2 else alpha, disc, out=stones if i % 2 else alpha)
        place = place + np.array([0, radius])
    if rng.random() < 0.4:
        for offset in np.linspace(-0.8, 0.8, int(rng.integers(3, 6))):
            line = place + np.array([[offset * size, -0.5 * size], [1.3 * offset * size, rng.uniform(1.5, 3.5) * size]])
            np.maximum(alpha, stroke(part.shape, line, max(0.3 * size, 1)), out=alpha)
    changed = solid(part, rng, alpha, metal, light, roundness=0.5 * size, gloss=170)
    colour = in_tone(part, STONES[int(rng.integers(5))])
    if stones.any():
        changed = solid(changed, rng, stones, colour, light, roundness=0.8 * size, gloss=200)
    return changed


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


WORDS = ("LOVE", "PARIS", "HELLO", "SMILE", "TOKYO", "1987", "ROCK", "SUN", "NORTH", "PEACE")


def in_words(rng: np.random.Generator, height: int = 48) -> np.ndarray:
    """Alpha (h, w) of one word in plain letters that can be read."""
    word, thick = WORDS[int(rng.integers(len(WORDS)))], int(rng.integers(4, 9))
    font = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)[int(rng.integers(2))]
    scale = height / 22
    (width, _), _ = cv2.getTextSize(word, font, scale, thick)
    sheet = np.zeros((2 * height, width + 2 * thick), np.uint8)
    cv2.putText(sheet, word, (thick, round(1.5 * height)), font, scale, 255, thick, cv2.LINE_AA)
    return sheet.astype(np.float32) / 255
