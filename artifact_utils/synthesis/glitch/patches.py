"""Patches of the face in the wrong sharpness, tone or state of denoising."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, over
from artifact_utils.synthesis.geometry import put_back, smooth_noise, warp
from artifact_utils.synthesis.glitch.areas import cut_patch, patch_alpha
from artifact_utils.synthesis.shading import in_tone, is_monochrome


def checkerboard(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """The checker pattern of upsampling by transposed convolution, on part of the face."""
    unit = face.unit
    alpha = patch_alpha(image.shape, rng, strength, face)
    cell = max(unit * rng.uniform(0.07, 0.13), 2.5)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, 2)
    pattern = np.sin(x * np.pi / cell + phase[0]) * np.sin(y * np.pi / cell + phase[1])
    pattern = np.tanh(2.5 * pattern)
    tint = np.array([1, 1, 1], np.float32) + rng.normal(0, 0.35, 3).astype(np.float32)
    return image + (alpha * pattern * (26 + 44 * strength))[..., None] * tint


def noise_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face left half-denoised: blurred shapes under coloured grain."""
    unit = face.unit
    alpha = patch_alpha(image.shape, rng, strength, face)
    cell = max(0.05 * unit, 1.3)
    common = smooth_noise(rng, image.shape, cell) + 0.7 * smooth_noise(rng, image.shape, 0.2 * unit)
    colour = np.stack([smooth_noise(rng, image.shape, 1.4 * cell) for _ in range(3)], axis=2)
    noise = common[..., None] + colour * rng.uniform(0.25, 0.7)
    layer = blur(image, 0.15 * unit) + noise * (38 + 45 * strength)
    return over(image, np.clip(layer, 0, 255), alpha * (0.75 + 0.25 * strength))


def blocky_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face in coarse blocks with the wrong levels, like a broken stream."""
    unit = face.unit
    cell = max(int(unit * (0.11 + 0.1 * strength)), 3)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(width // cell, 2), max(height // cell, 2)), interpolation=cv2.INTER_AREA)
    small = np.add(small, rng.normal(0, 6 + 10 * strength, small.shape), dtype=np.float32)
    layer = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    area = patch_alpha(small.shape, rng, strength, _scaled(face, small.shape[1] / width), feather=0.05)
    alpha = cv2.resize((area > 0.5).astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    return over(image, np.clip(layer, 0, 255), alpha)


def _scaled(face: Face, factor: float) -> Face:
    return face.moved(np.array([[factor, 0, 0], [0, factor, 0]]))


def blurred_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face is out of focus, as if wiped over with grease, while the rest is sharp."""
    window, part, alpha = cut_patch(image, rng, 0.4 + 0.6 * strength, face)
    soft = blur(part, face.unit * (0.12 + 0.14 * strength))
    dx, dy = (smooth_noise(rng, part.shape, 0.35 * face.unit) * 0.12 * face.unit for _ in range(2))
    return put_back(image, window, over(part, warp(soft, dx, dy), alpha))


def sharpened_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face sharpened until every pore is a crater and every edge has a halo."""
    window, part, alpha = cut_patch(image, rng, strength, face)
    unit = face.unit
    gain = 3.5 + 5 * strength
    crisp = part + gain * (part - blur(part, 0.03 * unit)) + 0.4 * gain * (part - blur(part, 0.1 * unit))
    grit = smooth_noise(rng, part.shape, max(0.025 * unit, 1.2)) + 0.7 * smooth_noise(rng, part.shape, 0.07 * unit)
    return put_back(image, window, over(part, np.clip(crisp + (9 + 16 * strength) * grit[..., None], 0, 255), alpha))


def half_denoised(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face as it looks some steps before a generator is done: cells of wrong colour, forms half there."""
    window, part, alpha = cut_patch(image, rng, strength, face, feather=0.5)
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


def posterised_patch(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A part of the face burnt to a few harsh tones, leathery or like a bad print."""
    window, part, alpha = cut_patch(image, rng, strength, face, feather=0.25)
    level = part.mean(axis=(0, 1))
    harsh = level + (part - level) * (1.7 + 1.3 * strength) * rng.uniform(0.9, 1.3)
    steps = int(rng.integers(3, 6))
    noise = smooth_noise(rng, part.shape, 0.06 * face.unit)[..., None] * 14
    flat = np.round(np.clip(harsh + noise, 0, 255) / 255 * steps) / steps * 255
    tint = in_tone(image, np.clip(rng.normal(1.0, 0.12, 3), 0.7, 1.25) * 200) / 200
    layer = np.clip(0.75 * flat + 0.25 * harsh, 0, 255) * tint
    return put_back(image, window, over(part, np.clip(layer, 0, 255), alpha * (0.75 + 0.25 * strength)))
