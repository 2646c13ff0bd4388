"""Putting something into a picture so that light, grain and sharpness match and only the fault shows.

Pictures are float32 (H, W, 3) RGB in 0..255, alphas float32 (H, W) in 0..1. Nothing here changes its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from artifact_utils.faces import Face

Artifact = Callable[[np.ndarray, np.random.Generator, float, Face], np.ndarray]
"""``artifact(image, rng, strength, face) -> image``: the signature that every kind of artifact has."""

Window = tuple[slice, slice]
"""Rows and columns of a part of a picture."""

VISIBLE_STEP = 4
"""Changes smaller than this many of 256 grey levels are not part of an artifact."""


MAX_TONE_SHIFT = 60.0
"""How far blending may lighten or darken a patch: more would turn an eye copied next to hair into a bruise."""


def grid(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates ``x`` and ``y`` of a picture, both float32 (H, W)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x, y


def grey(image: np.ndarray) -> np.ndarray:
    """Mean of the three channels, float32 (H, W); several times faster than ``image.mean(axis=2)``."""
    return cv2.transform(image, np.full((1, 3), 1 / 3, np.float32))


def blur(array: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a sigma near zero returns the array itself."""
    if sigma < 0.15:
        return array
    return cv2.GaussianBlur(array, (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT)


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], cell: float) -> np.ndarray:
    """Noise (H, W) about -1..1 whose blobs are ``cell`` pixels wide."""
    rows = max(round(shape[0] / cell) + 3, 4)
    columns = max(round(shape[1] / cell) + 3, 4)
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (int(shape[1]), int(shape[0])), interpolation=cv2.INTER_CUBIC)


def curve(points: Sequence[Sequence[float]] | np.ndarray, n: int = 48) -> np.ndarray:
    """A smooth line (n, 2) through ``points`` (k, 2), a Catmull-Rom spline."""
    p = np.asarray(points, dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    s = np.linspace(0, len(p) - 3 - 1e-6, n)
    i = s.astype(int)
    t = (s - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def stroke(shape: Sequence[int], line: np.ndarray, width: float) -> np.ndarray:
    """Alpha of a line (n, 2) drawn ``width`` pixels wide with smooth edges."""
    alpha = np.zeros((int(shape[0]), int(shape[1])), np.uint8)
    fixed = np.round(line * 16).astype(np.int32)
    cv2.polylines(alpha, [fixed[:, None]], False, 255, max(round(width), 1), cv2.LINE_AA, 4)
    return alpha.astype(np.float32) / 255


def polygon(shape: Sequence[int], corners: np.ndarray) -> np.ndarray:
    """Alpha of a filled polygon (n, 2) with smooth edges."""
    alpha = np.zeros((int(shape[0]), int(shape[1])), np.uint8)
    cv2.fillPoly(alpha, [np.round(corners * 16).astype(np.int32)[:, None]], 255, cv2.LINE_AA, 4)
    return alpha.astype(np.float32) / 255


def ellipse(
    shape: Sequence[int],
    centre: Sequence[float] | np.ndarray,
    radii: tuple[float, float],
    angle: float = 0.0,
    *,
    feather: float = 0.3,
    wobble: np.ndarray | None = None,
) -> np.ndarray:
    """Alpha of an ellipse: 1 inside, falling to 0 over the outer ``feather`` share of its radius.

    Args:
        shape: picture shape.
        centre: ``(x, y)`` in pixels.
        radii: half axes in pixels, before turning by ``angle`` degrees clockwise.
        angle: in degrees.
        feather: width of the soft edge as a share of the radius.
        wobble: noise (H, W) added to the normalised radius, to make the outline irregular.
    """
    reach = max(radii) * (1 if wobble is None else 1 - float(wobble.min())) + 2
    rows = slice(max(int(centre[1] - reach), 0), int(np.clip(centre[1] + reach + 1, 0, shape[0])))
    columns = slice(max(int(centre[0] - reach), 0), int(np.clip(centre[0] + reach + 1, 0, shape[1])))
    alpha = np.zeros((int(shape[0]), int(shape[1])), np.float32)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return alpha
    y, x = np.mgrid[rows, columns].astype(np.float32)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    cos, sin = np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
    u, v = (x * cos + y * sin) / max(radii[0], 0.5), (y * cos - x * sin) / max(radii[1], 0.5)
    radius = np.sqrt(u * u + v * v)
    if wobble is not None:
        radius = radius + wobble[rows, columns]
    t = np.clip((1 - radius) / max(feather, 1e-3), 0, 1)
    alpha[rows, columns] = t * t * (3 - 2 * t)
    return alpha


def extent(alpha: np.ndarray, margin: int = 0) -> Window:
    """Rows and columns of the smallest box round all of ``alpha`` (H, W) that is not 0, ``margin`` pixels wider."""
    x, y, width, height = cv2.boundingRect((alpha != 0).view(np.uint8))
    return slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)


def over(image: np.ndarray, layer: np.ndarray | Sequence[float], alpha: np.ndarray) -> np.ndarray:
    """``layer`` (a picture or one colour) on ``image`` with ``alpha``."""
    box = extent(alpha)
    layer = np.asarray(layer, np.float32)
    blended = image.astype(np.result_type(image, alpha, layer))
    blended[box] += ((layer[box] if layer.ndim == 3 else layer) - image[box]) * alpha[box][..., None]
    return blended


def shadow(
    image: np.ndarray, alpha: np.ndarray, offset: tuple[float, float], softness: float, depth: float
) -> np.ndarray:
    """Darken ``image`` where something of shape ``alpha`` throws its shadow.

    Args:
        image: picture.
        alpha: shape of the thing.
        offset: of the shadow, ``(x, y)`` in pixels.
        softness: blur of the shadow's edge, sigma in pixels.
        depth: 0 none, 1 black.
    """
    moved = cv2.warpAffine(alpha, np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float32), alpha.shape[1::-1])
    # Light that passes skin and cloth is warm: a shadow keeps more red than blue.
    tint = np.array([0.85, 1.0, 1.05], np.float32) * depth
    cast = blur(moved, softness)
    box = extent(cast)
    darkened = image.astype(np.result_type(image, cast, tint))
    darkened[box] *= 1 - cast[box][..., None] * tint
    return darkened


def grain(image: np.ndarray) -> float:
    """Standard deviation of the picture's fine noise in grey levels (Immerkaer 1996, with the median as norm)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(grey(image), -1, kernel)[::2, ::2])) / (6 * 0.6745))


def add_grain(
    image: np.ndarray,
    alpha: np.ndarray,
    rng: np.random.Generator,
    *,
    like: np.ndarray | None = None,
    floor: float = 0.6,
) -> np.ndarray:
    """Give what was put into ``image`` at ``alpha`` the grain of ``like`` (default: of ``image``)."""
    sigma = max(grain(image if like is None else like), floor)
    noise = rng.normal(0, sigma, (*image.shape[:2], 1)).astype(np.float32)
    box = extent(alpha)
    grainy = image.astype(np.result_type(image, noise, alpha))
    grainy[box] += noise[box] * alpha[box][..., None]
    return grainy


def seamless(image: np.ndarray, patch: np.ndarray, alpha: np.ndarray, reach: float) -> np.ndarray:
    """Blend ``patch`` into ``image`` and bend its tone so that nothing jumps at the border.

    A cheap relative of Poisson editing (Perez et al. 2003): the difference between the two along the border is spread
    inwards with a blur of ``reach`` pixels and added to the patch.
    """
    rim = blur((alpha > 0.01).astype(np.float32), 1.5)
    rim = ((rim > 0.02) & (alpha < 0.5)).astype(np.float32)
    weight = blur(rim, reach) + 1e-4
    correction = blur((image - patch) * rim[..., None], reach) / weight[..., None]
    correction = np.clip(correction, -MAX_TONE_SHIFT, MAX_TONE_SHIFT)
    return over(image, patch + correction, alpha)


def warp(image: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The picture whose pixel (x, y) shows what was at (x + dx, y + dy); ``dx`` and ``dy`` are (H, W) in pixels."""
    x, y = grid(image.shape)
    return cv2.remap(
        image, x + dx.astype(np.float32), y + dy.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


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


def to_uint8(image: np.ndarray) -> np.ndarray:
    """A picture in 0..255 rounded to uint8, what lies outside clipped."""
    # Several times faster than rint, clip and astype.
    return cv2.add(image, (0, 0, 0, 0), dtype=cv2.CV_8U)  # type: ignore[call-overload]


def settle(original: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a changed picture and find what changed.

    Args:
        original: uint8 (H, W, 3).
        changed: float32 (H, W, 3).

    Returns:
        The picture, uint8 (H, W, 3), and the mask, bool (H, W). Outside the mask the picture equals the original: steps
        smaller than :data:`VISIBLE_STEP` are undone, holes and cracks in the mask are closed.
    """
    rounded = to_uint8(changed)
    red, green, blue = cv2.split(cv2.absdiff(rounded, original))
    step = cv2.max(cv2.max(red, green), blue)
    reach = max(round(0.012 * min(original.shape[:2])), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx((step >= VISIBLE_STEP).astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return cv2.copyTo(rounded, opened, original.copy()), opened.astype(bool)
