"""Putting something into a picture so that light, grain and sharpness match and only the fault shows.

Pictures are float32 (H, W, 3) RGB in 0..255, alphas float32 (H, W) in 0..1. Nothing here changes its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.geometry import ellipse, extent

Artifact = Callable[[np.ndarray, np.random.Generator, float, Face], np.ndarray]
"""``artifact(image, rng, strength, face) -> image``: the signature that every kind of artifact has."""
Edit = Callable[[np.ndarray, np.random.Generator, Face], np.ndarray]
"""``edit(image, rng, face) -> image`` on float32 pictures in 0..255."""
VISIBLE_STEP = 4
"""Changes smaller than this many of 256 grey levels are not part of an artifact."""
MAX_TONE_SHIFT = 60.0
"""How far blending may lighten or darken a patch: more would turn an eye copied next to hair into a bruise."""


def grey(image: np.ndarray) -> np.ndarray:
    """Mean of the three channels, float32 (H, W); several times faster than ``image.mean(axis=2)``."""
    return cv2.transform(image, np.full((1, 3), 1 / 3, np.float32))


def blur(array: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a sigma near zero returns the array itself."""
    if sigma < 0.15:
        return array
    return cv2.GaussianBlur(array, (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT)


def over(image: np.ndarray, layer: np.ndarray | Sequence[float], alpha: np.ndarray) -> np.ndarray:
    """Blend ``layer``, a picture or one colour (3,), over ``image`` with ``alpha``."""
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


def copy_patch(
    image: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    radii: tuple[float, float],
    angle: float,
    *,
    turn: float = 0.0,
    scale: float = 1.0,
    mirror: bool = False,
    window: np.ndarray | None = None,
) -> np.ndarray:
    """Copy what lies round ``source`` to ``target``, both (2,), turned and scaled, without a visible border.

    The copy is seen through an ellipse with half axes ``radii`` in pixels round ``window``, by default ``target``.
    """
    cos, sin = np.cos(np.radians(turn)) / scale, np.sin(np.radians(turn)) / scale
    back = np.array([[cos, sin, 0], [-sin, cos, 0]])
    if mirror:
        back[:, 0] *= -1
    back[:, 2] = source - back[:, :2] @ target
    patch = cv2.warpAffine(
        image, back, image.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    centre = target if window is None else window
    alpha = ellipse(image.shape, centre, (radii[0] * scale, radii[1] * scale), angle + turn, feather=0.38)
    return seamless(image, patch, alpha, 0.35 * max(radii))


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
