"""Light and colour as the picture has them: skin, hair, tone, where the light is, how a solid thing looks in it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over, shadow
from artifact_utils.synthesis.geometry import around, ellipse, extent, smooth_noise


def skin_mask(image: np.ndarray, face: Face) -> np.ndarray:
    """Weights float32 (H, W): 1 on the cheeks, nose and forehead as far as they have the colour of the cheeks."""
    area = ellipse(image.shape, face.at(0, 0.45), (0.95 * face.unit, 1.25 * face.unit), face.angle, feather=0.1)
    box = extent(area)
    inside = image[box][area[box] > 0.5]
    if len(inside) < 8:
        inside = image.reshape(-1, 3)
        area = np.ones_like(area)
        box = extent(area)
    # The median of the brighter half is skin: hair, brows, nostrils, lips and beard are darker.
    luminance = inside[:, 0] + inside[:, 1] + inside[:, 2]
    colour = np.median(inside[luminance >= np.median(luminance)], axis=0)
    part = np.ascontiguousarray(image[box])
    level = grey(part)
    share = part / np.maximum(3 * level, 1)[..., None]
    off = cv2.transform(np.abs(share - np.float32(colour / max(colour.sum(), 1))), np.ones((1, 3), np.float32))
    weights = np.zeros_like(area)
    weights[box] = area[box] * (off < 0.09) * (level > 0.4 * colour.mean())
    return weights if weights.sum() > 20 else area


def skin_ramp(image: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """The person's own skin from deep shadow to highlight, float32 (256, 3), read where ``skin_mask`` sees it."""
    pixels = image[skin > 0.5]
    if len(pixels) < 8:
        pixels = image.reshape(-1, 3)
    luminance = (pixels[:, 0] + pixels[:, 1] + pixels[:, 2]) / 3
    low, mid, high = np.percentile(luminance, [8, 50, 97])
    distances = [np.abs(luminance - level) for level in (low, mid, high)]
    near = max(3.0, 0.15 * (high - low))  # and at least the nearest pixel, where a level falls between two tones
    colours = [np.median(pixels[distance <= max(near, distance.min())], axis=0) for distance in distances]
    # Below what the face itself shows, shadows on skin go to a deep red brown.
    knots = np.array([colours[0] * [0.30, 0.20, 0.17], colours[0] * [0.72, 0.62, 0.58], *colours, colours[2] * 1.1])
    places = np.array([0.0, 0.2, 0.42, 0.68, 0.92, 1.0])
    t = np.linspace(0, 1, 256)
    return np.stack([np.interp(t, places, knots[:, c]) for c in range(3)], axis=1).clip(0, 255).astype(np.float32)


def light_from(image: np.ndarray, face: Face) -> np.ndarray:
    """Unit vector (3,) towards the light, (x, y, z) with z out of the picture, from how the two cheeks differ."""
    level = grey(image)
    height, width = level.shape

    def patch(right: float) -> float:
        x, y = face.at(right, 0.6)
        r = max(int(0.2 * face.unit), 1)
        x, y = int(np.clip(x, r, width - r - 1)), int(np.clip(y, r, height - r - 1))
        return float(level[y - r : y + r + 1, x - r : x + r + 1].mean())

    left, right = patch(-0.6), patch(0.6)
    sideways = float(np.clip(2.0 * (right - left) / max(left + right, 1.0), -0.6, 0.6))
    light = np.array([sideways, -0.55, 0.8])
    return light / np.linalg.norm(light)


def lit(alpha: np.ndarray, light: np.ndarray, roundness: float, bumps: np.ndarray | None = None) -> np.ndarray:
    """How bright a rounded thing of shape ``alpha`` is under ``light``: float32 (H, W), about 0.3 to 1, shine above 1.

    Args:
        alpha: its shape (H, W).
        light: unit vector (3,) towards the light, see ``light_from``.
        roundness: how far from its edge, in pixels, the thing curves.
        bumps: height (H, W) in pixels on top of that.
    """
    inside = (alpha > 0.5).astype(np.uint8)
    depth = np.minimum(cv2.distanceTransform(inside, cv2.DIST_L2, 5), np.float32(roundness))
    height = blur(np.sqrt(np.maximum(2 * roundness * depth - depth * depth, 0)), max(0.18 * roundness, 0.5))
    if bumps is not None:
        height = height + bumps
    x, y, z = (np.float32(v) for v in light)
    dx, dy = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    normal_z = 1 / np.sqrt(dx * dx + dy * dy + 1)
    diffuse = np.clip((z - dx * x - dy * y) * normal_z, 0, 1)
    halfway = np.array([x, y, z + 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    shine = np.clip((halfway[2] - dx * halfway[0] - dy * halfway[1]) * normal_z, 0, 1) ** 2
    shine = shine * shine
    shine = shine * shine
    return 0.3 + 0.7 * diffuse + 0.5 * shine * shine


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
    """Draw a small rounded thing of shape ``alpha`` and one colour, with shadow, shine and the picture's grain.

    ``roundness`` is how far from its edge it curves, in pixels, ``gloss`` how bright it shines, in grey levels.
    """
    shade = lit(alpha, light, max(roundness, 0.8))
    layer = colour * np.clip(shade, 0.2, 1.1)[..., None] ** 1.4 + gloss * np.clip(shade - 1, 0, 0.6)[..., None]
    soft = blur(alpha, 0.45)
    base = shadow(part, soft, (-light[0] * roundness, 1.2 * roundness), roundness + 0.4, 0.45)
    worn = np.clip(layer * (1 + 0.1 * smooth_noise(rng, alpha.shape, 2 * roundness + 2))[..., None], 0, 255)
    return add_grain(over(base, worn.astype(np.float32), soft), soft, rng, like=part)


_MONOCHROME = 7.0
"""Mean spread of the channels in grey levels below which a picture counts as black and white."""


def is_monochrome(image: np.ndarray) -> bool:
    """Whether a picture is black and white, or toned so little that a colour would look pasted in."""
    sample = image[::8, ::8].reshape(-1, 3)
    return float((sample.max(axis=1) - sample.min(axis=1)).mean()) <= _MONOCHROME


def in_tone(image: np.ndarray, colour: np.ndarray | Sequence[float]) -> np.ndarray:
    """``colour`` (3,), float32, as this picture would show it: grey or toned where the picture is black and white."""
    colour = np.asarray(colour, np.float32)
    if not is_monochrome(image):
        return colour
    mean = image[::8, ::8].reshape(-1, 3).mean(axis=0)
    return np.asarray(colour.mean() * mean / max(float(mean.mean()), 1.0), np.float32)


def hue(image: np.ndarray, rng: np.random.Generator, saturation: tuple[int, int], value: tuple[int, int]) -> np.ndarray:
    """A random colour (3,) in the picture's tone; saturation and value as ranges in 0..255."""
    pixel = np.array([[[rng.integers(180), rng.integers(*saturation), rng.integers(*value)]]], np.uint8)
    return in_tone(image, cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0])


def own_colours(image: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """The skin's highlight and the dark of the eyes, both (3,), read from the picture."""
    _, part, _ = around(image, face, face.at(0, 0.4), 0.9 * face.unit)
    pixels = part[::2, ::2].reshape(-1, 3)
    order = np.argsort(pixels.sum(axis=1))
    return np.median(pixels[order[int(0.85 * len(order)) :]], axis=0), np.median(
        pixels[order[: max(len(order) // 20, 1)]], axis=0
    )


def hair_colour(image: np.ndarray, face: Face) -> np.ndarray:
    """The colour (3,) of the hair: of four places above and beside the brow, the two darkest."""
    spots = [face.at(right, down) for right, down in ((0, -1.15), (-0.8, -0.9), (0.8, -0.9), (0, -1.35))]
    height, width = image.shape[:2]
    pixels = np.array([image[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))] for x, y in spots])
    return np.asarray(pixels[np.argsort(pixels.sum(axis=1))[:2]].mean(axis=0), np.float32)
