"""More broken picture: patches blurred, sharpened, half-denoised, posterised or glassy, seams, ghosts, streaks."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import (
    Artifact,
    blur,
    curve,
    ellipse,
    extent,
    grid,
    light_from,
    over,
    smooth_noise,
    stroke,
    warp,
)
from artifact_utils.synthesis.glitch import _area
from artifact_utils.synthesis.shading import around, in_tone, is_monochrome, put_back


def _patch(
    image: np.ndarray, rng: np.random.Generator, strength: float, face: Face, feather: float = 0.35
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """An irregular patch on the face: its window with some margin, the picture in it, and its alpha."""
    alpha = _area(image.shape, rng, strength, face, feather=feather)
    if not alpha.any():
        alpha[:] = ellipse(image.shape, face.at(0, 0.5), (face.unit, face.unit))
    window = extent(alpha, int(0.3 * face.unit) + 2)
    return window, np.ascontiguousarray(image[window]), np.ascontiguousarray(alpha[window])


def blurred_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face is out of focus, as if wiped over with grease, while the rest is sharp."""
    window, part, alpha = _patch(image, rng, 0.4 + 0.6 * strength, face)
    soft = blur(part, face.unit * (0.12 + 0.14 * strength))
    dx, dy = (smooth_noise(rng, part.shape, 0.35 * face.unit) * 0.12 * face.unit for _ in range(2))
    return put_back(image, window, over(part, warp(soft, dx, dy), alpha))


def sharpened_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face sharpened until every pore is a crater and every edge has a halo."""
    window, part, alpha = _patch(image, rng, strength, face)
    unit = face.unit
    gain = 3.5 + 5 * strength
    crisp = part + gain * (part - blur(part, 0.03 * unit)) + 0.4 * gain * (part - blur(part, 0.1 * unit))
    grit = smooth_noise(rng, part.shape, max(0.025 * unit, 1.2)) + 0.7 * smooth_noise(rng, part.shape, 0.07 * unit)
    return put_back(image, window, over(part, np.clip(crisp + (9 + 16 * strength) * grit[..., None], 0, 255), alpha))


def seam(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A joint runs across the face: beyond it the picture is shifted, larger, and of another tone."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 2.1 * unit)
    way = rng.uniform(0, 2 * np.pi)
    normal = np.array([np.cos(way), np.sin(way)])
    middle = local.at(rng.normal(0, 0.3), rng.uniform(0, 1))
    x, y = grid(part.shape)
    distance = (x - np.float32(middle[0])) * np.float32(normal[0]) + (y - np.float32(middle[1])) * np.float32(normal[1])
    distance = distance + smooth_noise(rng, part.shape, 0.5 * unit) * rng.uniform(0, 0.15) * unit
    beyond = np.clip(distance / max(0.02 * unit, 0.7) + 0.5, 0, 1)
    # The tone comes back to the picture's own towards the window's border.
    fade = ellipse(part.shape, local.at(0, 0.5), (1.9 * unit, 1.9 * unit), feather=0.5) * beyond
    slide = np.array([-normal[1], normal[0]]) * rng.choice([-1, 1]) * (0.12 + 0.2 * strength) * unit
    zoom = rng.uniform(-0.1, 0.12)
    dx = (slide[0] + zoom * (x - np.float32(middle[0]))) * fade
    dy = (slide[1] + zoom * (y - np.float32(middle[1]))) * fade
    tone = np.float32(rng.choice([-1, 1]) * (0.06 + 0.14 * strength)) + rng.normal(0, 0.02, 3).astype(np.float32)
    changed = warp(part, dx, dy) * (1 + fade[..., None] * tone)
    crack = np.clip(1 - np.abs(distance) / (0.035 * unit + 0.5), 0, 1) * (rng.random() < 0.6)
    return put_back(image, window, np.clip(changed * (1 - 0.45 * crack[..., None] * (fade.max() > 0)), 0, 255))


def half_denoised(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face as it looks some steps before a generator is done: cells of wrong colour, forms half there."""
    window, part, alpha = _patch(image, rng, strength, face, feather=0.5)
    unit = face.unit
    height, width = part.shape[:2]
    cell = max(0.09 * unit, 2.0)
    rows, columns = max(int(height / cell), 3), max(int(width / cell), 3)
    latent = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    # Latents of neighbouring cells are alike, and their colours go together: noise of few hues.
    mix = rng.normal(0, 1, (3, 3)) * [1.0, 0.7, 0.5]
    if is_monochrome(image):
        mix[:] = mix[0]
    noise = np.stack([smooth_noise(rng, (rows, columns), s) for s in (1.0, 1.6, 3.0)], axis=2)
    latent = latent + cv2.transform(noise, mix.astype(np.float32)) * (24 + 26 * strength)
    decoded = cv2.resize(latent, (width, height), interpolation=cv2.INTER_CUBIC)
    decoded += 9 * smooth_noise(rng, part.shape, max(0.035 * unit, 1.5))[..., None]
    return put_back(image, window, over(part, np.clip(decoded, 0, 255), alpha * (0.75 + 0.25 * strength)))


def ghost_copy(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second, translucent picture of the face lies shifted and turned over the first."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.5), 2.2 * unit)
    centre = local.at(0, 0.5)
    way = rng.uniform(0, 2 * np.pi)
    move = np.array([np.cos(way), np.sin(way)]) * (0.3 + 0.45 * strength) * unit
    turn, scale = rng.normal(0, 6 + 10 * strength), rng.uniform(0.88, 1.18)
    forth = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), turn, scale)
    forth[:, 2] = forth[:, 2] + move
    ghost = cv2.warpAffine(part, forth, part.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    alpha = ellipse(part.shape, centre + 0.6 * move, (1.15 * unit, 1.45 * unit), face.angle, feather=0.5)
    return put_back(image, window, over(part, ghost, alpha * (0.35 + 0.25 * strength)))


def posterised_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face burnt to a few harsh tones, leathery or like a bad print."""
    window, part, alpha = _patch(image, rng, strength, face, feather=0.25)
    level = part.mean(axis=(0, 1))
    harsh = level + (part - level) * (1.7 + 1.3 * strength) * rng.uniform(0.9, 1.3)
    steps = int(rng.integers(3, 6))
    noise = smooth_noise(rng, part.shape, 0.06 * face.unit)[..., None] * 14
    flat = np.round(np.clip(harsh + noise, 0, 255) / 255 * steps) / steps * 255
    tint = in_tone(image, np.clip(rng.normal(1.0, 0.12, 3), 0.7, 1.25) * 200) / 200
    layer = np.clip(0.75 * flat + 0.25 * harsh, 0, 255) * tint
    return put_back(image, window, over(part, np.clip(layer, 0, 255), alpha * (0.75 + 0.25 * strength)))


def glassy_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face as if under melted glass or wet plastic: bent, ridged and shining."""
    window, part, alpha = _patch(image, rng, strength, face, feather=0.45)
    unit = face.unit
    light = light_from(image, face)
    coarse = smooth_noise(rng, part.shape, 0.34 * unit) + 0.2 * smooth_noise(rng, part.shape, 0.16 * unit)
    height = blur(coarse, 0.03 * unit) * (0.05 + 0.06 * strength) * unit * alpha
    dx, dy = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    reach = np.float32(0.45 * unit)
    bent = warp(part, -dx * reach, -dy * reach)
    normal_z = 1 / np.sqrt(dx * dx + dy * dy + 1)
    half = light + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    shine = np.clip((half[2] - dx * half[0] - dy * half[1]) * normal_z, 0, 1)
    flat = half[2]
    spot = np.clip((shine - flat) / (1 - flat + 1e-3), 0, 1) ** 4
    shade = 1 - 0.5 * np.clip(dx * np.float32(light[0]) + dy * np.float32(light[1]), -1, 1)
    return put_back(image, window, np.clip(bent * shade[..., None] + (170 * spot * alpha)[..., None], 0, 255))


def light_streaks(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Hard streaks and blown-out flecks of light on the skin that no lamp makes."""
    unit = face.unit
    spot = face.at(rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 1.1))
    window, part, _ = around(image, face, spot, 1.4 * unit)
    spot = spot - [window[1].start, window[0].start]
    tints = ((255, 252, 240), (255, 214, 150), (190, 230, 255), (255, 150, 90))
    colour = in_tone(image, tints[int(rng.integers(4))])
    alpha = np.zeros(part.shape[:2], np.float32)
    way = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(2, 4 + round(4 * strength)))):
        start = spot + rng.normal(0, 0.35, 2) * unit
        along = np.array([np.cos(way), np.sin(way)]) + rng.normal(0, 0.15, 2)
        end = start + along * unit * rng.uniform(0.3, 0.7 + 0.5 * strength)
        line = curve(np.array([start, (start + end) / 2 + rng.normal(0, 0.06, 2) * unit, end]), 24)
        for share in (1.0, 0.6):
            width = max(unit * rng.uniform(0.04, 0.1) * share, 1.5)
            np.maximum(alpha, stroke(part.shape, line[: int(24 * share)], width), out=alpha)
    glow = np.clip(blur(alpha, 0.09 * unit) * 0.8, 0, 1) * (0.4 + 0.4 * strength)
    changed = over(part, np.clip(part + 0.5 * colour, 0, 255), glow)
    return put_back(image, window, over(changed, colour, blur(alpha, 0.5) * (0.75 + 0.25 * strength)))


ARTIFACTS: tuple[Artifact, ...] = (
    blurred_patch,
    sharpened_patch,
    seam,
    half_denoised,
    ghost_copy,
    posterised_patch,
    glassy_patch,
    light_streaks,
)
