"""Laying a photographed hand into a picture: malformed, in the skin of the person, with shadow and sleeve.

The shape, shadows, nails and wrinkles come from photographed hands (``cutouts``), colour, contrast and fineness from
the face in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over, shadow
from artifact_utils.synthesis.geometry import Window, around, polygon, put_back, smooth_noise
from artifact_utils.synthesis.hands.cutouts import LENGTH, TIP_ROW, WIDTH, CutHand, cut_hand, n_hands
from artifact_utils.synthesis.shading import light_from, lit, skin_mask, skin_ramp

_SHADE_RANGE = (0.3, 0.92)
"""Which part of a face's ramp from shadow to highlight a hand takes."""


@dataclass(frozen=True)
class HandPlace:
    """Where a hand lies: the middle of its palm, the unit vector ``aim`` of its fingers, its length in pixels."""

    palm: np.ndarray
    aim: np.ndarray
    length: float
    mirrored: bool


@dataclass(frozen=True)
class HandLayer:
    """A hand as it lies in a window: how bright (H, W), how its channels differ (H, W, 3), its shape (H, W)."""

    shade: np.ndarray
    tint: np.ndarray
    alpha: np.ndarray

    def faded(self, share: np.ndarray) -> HandLayer:
        """The hand as far as ``share`` (H, W) lets it be seen."""
        return HandLayer(self.shade, self.tint, self.alpha * share)


def turned_from_upright(face: Face, degrees: float) -> np.ndarray:
    """The unit vector ``degrees`` clockwise from straight up along the face."""
    angle = np.radians(degrees)
    return -face.down * np.cos(angle) + face.right * np.sin(angle)


def hand_frame(shape: tuple[int, ...], place: HandPlace) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel of a window: how far across the hand it lies, and how far from wrist (0) to finger tips (1)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    x, y = (x - np.float32(place.palm[0])) / place.length, (y - np.float32(place.palm[1])) / place.length
    along, across = place.aim, np.array([-place.aim[1], place.aim[0]])
    u = x * np.float32(across[0]) + y * np.float32(across[1])
    return (-u if place.mirrored else u), x * np.float32(along[0]) + y * np.float32(along[1]) + np.float32(0.42)


def sampled_hand(hand: CutHand, u: np.ndarray, t: np.ndarray, length: float) -> HandLayer:
    """The hand at the places (u, t), as fine as a hand of ``length`` pixels shows it."""
    coarse = max(0.45 * LENGTH / max(length, 1.0), 0.0)
    soft = coarse if coarse > 0.6 else 0.0
    x = (u * LENGTH + WIDTH / 2).astype(np.float32)
    y = (TIP_ROW + LENGTH * (1 - t)).astype(np.float32)
    shade, tint, alpha = (
        cv2.remap(blur(array, soft), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for array in (hand.shade, hand.tint, hand.alpha)
    )
    edge = np.clip((WIDTH / 2 - 1 - np.abs(u * LENGTH)) / 2, 0, 1)
    return HandLayer(shade, tint, alpha * edge * (y >= 0))


def _stacked(top: HandLayer, bottom: HandLayer, alpha: np.ndarray) -> HandLayer:
    """``top`` over ``bottom``, the shape of ``top`` being ``alpha``; it throws a little shadow."""
    cast = np.clip(blur(alpha, 2.0) - alpha, 0, 1) * 0.5
    return HandLayer(
        bottom.shade * (1 - cast) * (1 - alpha) + top.shade * alpha,
        over(bottom.tint, top.tint, alpha),
        np.maximum(bottom.alpha, alpha),
    )


def malformed_hand(
    rng: np.random.Generator, hand: CutHand, u: np.ndarray, t: np.ndarray, length: float, strength: float
) -> HandLayer:
    """Sample the hand at the places (u, t) with one to three faults, as fine as ``length`` pixels show it."""
    wrong = set(rng.choice(["extra", "fused", "bent", "rippled", "stretched", "cut"], 1 + round(2 * strength)).tolist())
    fingers = np.clip((t - 0.35) / 0.25, 0, 1)
    if "bent" in wrong:
        bow = rng.choice([-1, 1]) * (0.25 + 0.55 * strength)
        u = u + bow * np.clip(t - 0.5, 0, None) ** 2 * 2 + 0.03 * np.sin(9 * t + rng.uniform(0, 6)) * fingers
    if "rippled" in wrong:
        reach = (0.05 + 0.08 * strength) * fingers
        u = u + reach * smooth_noise(rng, u.shape, 0.22 * length)
        t = t + reach * smooth_noise(rng, u.shape, 0.22 * length)
    if "stretched" in wrong:
        factor = rng.choice([0.6 - 0.15 * strength, 1.35 + 0.5 * strength])
        t = np.where(t > 0.45, 0.45 + (t - 0.45) / factor, t)
    if "cut" in wrong:  # some fingers end early
        short = np.clip(0.5 + (u - rng.uniform(-0.1, 0.1)) * rng.choice([-1, 1]) / 0.06, 0, 1)
        t = t + short * np.clip(t - 0.5, 0, None) * (0.5 + 1.2 * strength)
    layer = sampled_hand(hand, u, t, length)
    if "extra" in wrong:
        for _ in range(1 + int(rng.random() < strength)):
            turn = np.radians(rng.choice([-1, 1]) * rng.uniform(9, 24))
            knuckle = (rng.normal(0, 0.06), rng.uniform(0.3, 0.5))
            du, dt = u - np.float32(knuckle[0]), t - np.float32(knuckle[1])
            v = knuckle[0] + du * np.cos(turn) - dt * np.sin(turn), knuckle[1] + du * np.sin(turn) + dt * np.cos(turn)
            again = sampled_hand(hand, v[0], v[1], length)
            alpha = again.alpha * np.clip((v[1] - 0.5) / 0.12, 0, 1)
            layer = _stacked(layer, again, layer.alpha) if rng.random() < 0.5 else _stacked(again, layer, alpha)
    if "fused" in wrong:
        layer = _grown_together(rng, layer, fingers, length, strength)
    return layer


def _grown_together(
    rng: np.random.Generator, layer: HandLayer, fingers: np.ndarray, length: float, strength: float
) -> HandLayer:
    """Gaps between fingers close, their outlines run into each other."""
    reach = (0.03 + 0.05 * strength) * length
    where = fingers * np.clip(0.6 + 0.9 * smooth_noise(rng, fingers.shape, 0.3 * length), 0, 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(reach) + 1,) * 2)
    closed = blur(cv2.morphologyEx(layer.alpha, cv2.MORPH_CLOSE, kernel), 0.5)
    weight = blur(layer.alpha, 0.6 * reach) + 1e-3
    shade = blur(layer.shade * layer.alpha, 0.6 * reach) / weight
    tint = blur(layer.tint * layer.alpha[..., None], 0.6 * reach) / weight[..., None]
    mixed = np.maximum(where, np.clip(closed - layer.alpha, 0, 1))
    return HandLayer(
        layer.shade + (0.9 * shade - layer.shade) * mixed * 0.85,
        layer.tint + (tint - layer.tint) * (mixed * 0.85)[..., None],
        layer.alpha + np.clip(closed - layer.alpha, 0, 1) * np.clip(2 * where, 0, 1),
    )


def lay_hand(image: np.ndarray, rng: np.random.Generator, face: Face, layer: HandLayer, length: float) -> np.ndarray:
    """Lay the hand into the picture: in the person's skin, with the contrast and detail of the face, and its shadow."""
    low, high = _SHADE_RANGE
    skin = skin_mask(image, face)
    ramp = skin_ramp(image, skin)
    level = grey(image)
    fine = np.abs(level - blur(level, 0.02 * length + 0.8))
    skin_detail = float(fine[skin > 0.5].mean()) if (skin > 0.5).any() else float(fine.mean())
    soft = blur(layer.shade, 0.02 * length + 0.8)
    contrast = float(np.abs(ramp[230] - ramp[90]).mean())
    own = float(np.abs(layer.shade - soft)[layer.alpha > 0.9].mean() if (layer.alpha > 0.9).any() else 0.02) * contrast
    detail = np.clip(skin_detail / max(own, 0.5), 0.15, 1.3)
    shade = soft + (layer.shade - soft) * np.float32(detail)
    index = np.clip(low + (high - low) * shade, 0.12, 1) * 255
    colour = ramp[np.clip(index, 0, 255).astype(np.uint8)]
    grey_colour = grey(colour)[..., None]
    saturation = np.clip(np.ptp(ramp[175]) / 60, 0, 1) * 0.7 * min(float(detail) + 0.3, 1.0)
    colour = np.clip(colour + layer.tint * grey_colour * np.float32(saturation), 0, 255)
    softness = 0.0022 * min(image.shape[:2])
    alpha = blur(layer.alpha, softness)
    light = light_from(image, face)
    base = shadow(image, alpha, (-light[0] * 0.04 * length, 0.05 * length), 0.045 * length, 0.4)
    return add_grain(over(base, blur(colour.astype(np.float32), softness), alpha), alpha, rng, like=image)


def add_sleeve(
    image: np.ndarray,
    rng: np.random.Generator,
    face: Face,
    place: HandPlace,
    colour: np.ndarray,
    *,
    start: float,
    reach: float,
) -> np.ndarray:
    """Draw a sleeve over the arm, from ``start`` to ``reach`` hand lengths before the wrist."""
    across = np.array([-place.aim[1], place.aim[0]]) * place.length
    wrist = place.palm - 0.42 * place.aim * place.length
    ends = [wrist - place.aim * place.length * v for v in (start, start + 2.6)]
    wide = rng.uniform(0.21, 0.27), rng.uniform(0.34, 0.45)
    outline = np.array([ends[0] - across * wide[0], ends[0] + across * wide[0]])
    outline = np.vstack([outline, ends[1] + across * wide[1], ends[1] - across * wide[1]])
    alpha = blur(polygon(image.shape, outline), 0.5)
    u, t = hand_frame(image.shape, place)
    folds = np.sin(t * 16 + 6 * u + 2.5 * smooth_noise(rng, image.shape, 0.4 * place.length))
    # Cloth does not shine: the rounding counts for half, highlights for nothing.
    shade = (0.5 + 0.5 * np.minimum(lit(alpha, light_from(image, face), 0.2 * place.length), 1.0)) * (1 + 0.07 * folds)
    hem = np.clip(1 - np.abs(t + start + 0.03) / 0.02, 0, 1)
    layer = np.clip(colour * (shade * (1 - 0.25 * hem))[..., None], 0, 255).astype(np.float32)
    alpha = alpha * np.clip((t + reach) / 0.3, 0, 1)
    base = shadow(image, alpha, (0.0, -0.03 * place.length), 0.03 * place.length, 0.35)
    return add_grain(over(base, layer, alpha), alpha, rng, like=image)


def clothes_colour(image: np.ndarray, rng: np.random.Generator, face: Face) -> np.ndarray:
    """A colour (3,) from the clothes below the chin, or from the lower corners where the chin is low."""
    height, width = image.shape[:2]
    row = int(np.clip(face.at(0, 2.6)[1], 0.75 * height, height - 3))
    column = int(np.clip(face.at(rng.choice([-1.0, 1.0]) * 0.9, 2.6)[0], 2, width - 3))
    return np.asarray(np.median(image[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3), axis=0))


def graft_hand(
    image: np.ndarray,
    rng: np.random.Generator,
    strength: float,
    face: Face,
    place: HandPlace,
    *,
    sleeve: float = 0.4,
    reach: float = 1.9,
    malformed: bool = True,
) -> np.ndarray:
    """Put one hand at ``place``, with ``reach`` hand lengths of arm; ``sleeve`` is the chance of a sleeve."""
    hand = cut_hand(int(rng.integers(n_hands())))
    around_arm = (1.75 if reach < 2 else reach - 0.1) * place.length
    window, part, local = around(image, face, place.palm - 0.6 * place.aim * place.length, around_arm)
    here = place_in_window(place, window)
    u, t = hand_frame(part.shape, here)
    layer = (
        malformed_hand(rng, hand, u, t, place.length, strength) if malformed else sampled_hand(hand, u, t, place.length)
    )
    changed = lay_hand(part, rng, local, layer.faded(np.clip((t + reach) / 0.3, 0, 1)), place.length)
    if rng.random() < sleeve:
        colour, start = clothes_colour(image, rng, face), rng.uniform(-0.05, 0.2)
        changed = add_sleeve(changed, rng, local, here, colour, start=start, reach=reach)
    return put_back(image, window, changed)


def place_in_window(place: HandPlace, window: Window) -> HandPlace:
    """The same place, seen from the corner of a window."""
    return HandPlace(place.palm - [window[1].start, window[0].start], place.aim, place.length, place.mirrored)
