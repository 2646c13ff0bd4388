"""How well two pictures agree once aligned: whether one is a copy of the other but for turning, cropping, encoding,
colours and text.

Pictures of one person in one studio agree in the large; copies agree everywhere but under what was laid over them, and
to a fraction of a pixel. A copy that was cropped is shifted and scaled, never rotated by a few degrees or sheared, so
alignment may not do that either: it is what would bring two poses of one head to agree.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Pixel = TypeVar("Pixel", bound=np.generic)
Array = npt.NDArray[np.float32]

MIN_DETAIL = 0.6
"""Correlation of the fine details from which on two pictures are aligned at all."""

_COARSE = 32  # pixels of a side at which turn and place of a crop are looked for
_SIZES = (32, 30, 29, 27, 26)  # and those of the crops that are tried, down to 80%
_FLAT = 1e-3  # grey levels; what varies less correlates with nothing
_NEAR, _SURE = 0.65, 0.99
"""Agreement between which it is worth to refine the place: of 150 crops those that were found had 0.72 and more before,
of 1,500 pairs of other pictures 97 in 100 had less."""
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
_SMOOTHING = 3  # pixels
_WINDOW = 11 / 64  # side of a neighbourhood, of the side of the thumbnail
_CLIP = 3.0  # in medians of the magnitude of the details: edges of letters must not outweigh all the rest
_NOISE = 4.0  # variance in grey levels that means nothing: flat neighbourhoods agree
_EMPTY = 0.02  # share of neighbourhoods with more than noise below which there is nothing but wall


@dataclass(frozen=True)
class Whole:
    """A picture to be compared with others: ``grey`` (S, S), and as ``templates`` (n * n,) the details at the scale of
    every crop, without their mean and of unit length."""

    grey: Array
    templates: tuple[Array, ...]


@dataclass(frozen=True)
class Parts:
    """A picture that others may be crops of: ``grey`` (S, S), the ``field`` (32, 32) of its details that they are
    looked for in, and the ``spreads`` of its parts as large as a crop (lengths without their means)."""

    grey: Array
    field: Array
    spreads: tuple[Array, ...]


def prepare_whole(grey: Array) -> Whole:
    """Prepare a picture for any number of comparisons with others.

    Args:
        grey: float32 (S, S) grey levels, S at least 32.
    """
    return Whole(grey, tuple(_template(_details(_resized(grey, size))) for size in _SIZES))


def prepare_parts(grey: Array) -> Parts:
    """Prepare a picture for any number of others to be looked for in it.

    Args:
        grey: float32 (S, S) grey levels, S at least 32.
    """
    field = _details(_resized(grey, _COARSE))
    return Parts(grey, field, tuple(_spreads(field, size) for size in _SIZES))


def agreement(one: Whole, other: Parts) -> float:
    """How well a picture agrees with a crop of another, once turned and aligned, in [0, 1].

    Local correlations of the grey levels (as in SSIM, Wang et al. 2004, without its luminance term) over windows of a
    sixth of the side; three quarters of the frame, plain areas left out, agree at least this well. So a text may lie
    over a part of it, and brightness and contrast do not matter. 0 where the fine details do not correlate.

    Turn, place and scale of the crop are looked for among all turns and five scales where the details of half-size
    copies correlate best, and then refined (ECC, Evangelidis and Psarakis 2008).

    Args:
        one: the picture.
        other: the picture that it may be a crop of, of the same size.
    """
    detail, way, matrix = _place(one, other)
    if detail < MIN_DETAIL:
        return 0.0
    target, whole = turn_back(one.grey, way), other.grey
    uncropped, cropped = _local_correlation(target, whole), _local_correlation(target, _warp(whole, matrix))
    if not _NEAR < max(uncropped, cropped) <= _SURE:
        return max(uncropped, cropped)
    everywhere = np.full(target.shape, 255, np.uint8)
    try:
        _, found = cv2.findTransformECC(target, whole, matrix.copy(), cv2.MOTION_AFFINE, _STEPS, everywhere, _SMOOTHING)
    except cv2.error:  # it found no way to align them
        return max(uncropped, cropped)
    refined = _local_correlation(target, _warp(whole, _unrotated(np.asarray(found, np.float32), len(target))))
    return max(uncropped, cropped, refined)


def turn_back(picture: npt.NDArray[Pixel], way: int) -> npt.NDArray[Pixel]:
    """Undo a turn: 0 nothing, 1 mirrored, 2 upside down, 3 both; 4 to 7 the same, and then transposed."""
    if way >= 4:
        picture = picture.T
    return np.ascontiguousarray(picture[:: -1 if way & 2 else 1, :: -1 if way & 1 else 1])


def _spreads(field: Array, size: int) -> Array:
    """Lengths of all square parts of a field, row by row, without their means."""
    mean = cv2.blur(field, (size, size), anchor=(0, 0))
    square = cv2.sqrBoxFilter(field, cv2.CV_32F, (size, size), anchor=(0, 0))
    places = slice(_COARSE - size + 1)
    variance = np.maximum((square - mean * mean)[places, places].ravel(), 0)
    return np.asarray(np.maximum(size * np.sqrt(variance), _FLAT), np.float32)


def _template(detail: Array) -> Array:
    centred = detail.ravel() - detail.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), _FLAT), np.float32)


def _turns(size: int) -> npt.NDArray[np.int64]:
    """(8, n * n): where the pixels of every turn of a square come from."""
    places = np.arange(size**2).reshape(size, size)
    return np.stack([turn_back(places, way).ravel() for way in range(8)])


_TURNS = [_turns(size) for size in _SIZES]


def _place(one: Whole, other: Parts) -> tuple[float, int, Array]:
    """How well the details correlate where they do best, how ``one`` is turned there, and the crop of ``other``."""
    best = -1.0, 0, _COARSE, 0, 0
    for size, template, spread, turns in zip(_SIZES, one.templates, other.spreads, _TURNS, strict=True):
        parts = sliding_window_view(other.field, (size, size)).reshape(len(spread), -1)
        cosines = template[turns] @ parts.T / spread
        way, place = divmod(int(cosines.argmax()), len(spread))
        if cosines[way, place] > best[0]:
            y, x = divmod(place, _COARSE - size + 1)
            best = float(cosines[way, place]), way, size, x, y
    value, way, size, x, y = best
    scale = size / _COARSE
    shift = len(one.grey) / _COARSE * np.array([x, y]) + scale / 2 - 0.5  # pixels are squares, middles at integers
    return value, way, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)


def _unrotated(matrix: Array, side: int) -> Array:
    """The same without rotation and shear; the middle of the picture stays where it is."""
    middle = (side - 1) / 2
    (a, b, x), (c, d, y) = matrix
    return np.array([[a, 0, x + b * middle], [0, d, y + c * middle]], np.float32)


def _warp(picture: Array, matrix: Array) -> Array:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _resized(picture: Array, side: int) -> Array:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _details(picture: Array) -> Array:
    """What is neither noise nor light and shade, its edges clipped."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    detail = smooth - cv2.GaussianBlur(smooth, (0, 0), 3)
    most = _CLIP * float(np.median(np.abs(detail)))
    return np.clip(detail, -most, most)


def _local_correlation(one: Array, other: Array) -> float:
    margin = len(one) // 32
    one, other = (
        np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.float32)[margin:-margin, margin:-margin]
        for picture in (one, other)
    )
    window = (max(3, round(_WINDOW * len(one))),) * 2
    mean, other_mean = cv2.blur(one, window), cv2.blur(other, window)
    variance = cv2.blur(one * one, window) - mean * mean
    other_variance = cv2.blur(other * other, window) - other_mean * other_mean
    covariance = cv2.blur(one * other, window) - mean * other_mean
    local = (covariance + _NOISE) / np.sqrt((variance + _NOISE) * (other_variance + _NOISE))
    content = np.maximum(variance, other_variance) > _NOISE
    if content.mean() > _EMPTY:  # a plain wall agrees with any other
        local = local[content]
    return float(np.clip(np.quantile(local, 0.25), 0, 1))
