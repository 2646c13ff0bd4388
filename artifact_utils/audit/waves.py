"""Pictures and their crops as a few slow waves, which turning and mirroring only swaps and negates.

The descriptor of a picture is the 35 lowest frequencies of the cosine transform of its thumbnail, weighted and of unit
length, so that brightness and contrast do not matter. Those of a crop are a linear map of the same thumbnail: all of
them cost one multiplication of matrices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Frame = tuple[float, float, float, float]
"""Left, right, top and bottom of a crop as shares of the sides."""

_CELLS, _CUT = 15, 3  # frames begin and end at a fifteenth of a side and keep at least 12 of them
FRAMES: tuple[Frame, ...] = tuple(
    (x / _CELLS, 1 - (cut - x) / _CELLS, y / _CELLS, 1 - (cut - y) / _CELLS)
    for cut in range(_CUT + 1)
    for x in range(cut + 1)
    for y in range(cut + 1)
)
"""The crops described, the whole picture first."""
HALVES: tuple[Frame, ...] = ((0, 1, 0, 7 / 15), (0, 1, 8 / 15, 1), (0, 7 / 15, 0, 1), (8 / 15, 1, 0, 1))
"""Top, bottom, left and right, clear of the middle."""

_WAVES = 6  # frequencies along each axis
N_VALUES = _WAVES**2 - 1
"""Numbers of a descriptor; that of a plain area is left out."""
SCALE = 127
"""Length of a descriptor that is stored as int8."""
SLOW = np.flatnonzero((np.indices((_WAVES, _WAVES)) < 4).all(axis=0).ravel()[1:])
"""Which of the numbers belong to the slowest waves, which a frame that is a little off changes least."""

_BLOCK = 256  # pictures described at once: what a cache holds
_AMBIGUOUS = 0.15  # a frequency this weak may have the other sign in a crop
_WEIGHTS = np.hypot(*np.indices((_WAVES, _WAVES))).astype(np.float32).ravel()  # pictures have ever less of finer waves
_TRANSPOSED = np.arange(_WAVES**2).reshape(_WAVES, _WAVES).T.ravel()[1:] - 1
_ACROSS, _DOWN = 0, _WAVES - 1  # the slowest waves


def _signs() -> Array:
    """(8, 35): what each turn multiplies the numbers by, before it swaps them."""
    odd = np.where(np.arange(_WAVES) % 2, -1.0, 1.0)
    ways = [np.outer(odd if way & 2 else odd**2, odd if way & 1 else odd**2).ravel()[1:] for way in range(8)]
    return np.array(ways, np.float32)


_SIGNS = _signs()


@dataclass(frozen=True)
class Waves:
    """Descriptors of ``n`` pictures, all but the queries as int8, ``SCALE`` long.

    ``crops`` (n, frames, 35): of every frame, turned upright: the slowest waves are positive and the one along the rows
    is the stronger. ``halves`` (n, 4, 35): as they are. ``queries`` (Q, 35) and ``asking`` (Q,): every turn of a whole
    picture, unit float16, that could be the upright one of a crop, and the number of the picture.
    """

    crops: npt.NDArray[np.int8]
    halves: npt.NDArray[np.int8]
    queries: npt.NDArray[np.float16]
    asking: npt.NDArray[np.int32]


def describe(thumbnails: Sequence[bytes], side: int) -> Waves:
    """Descriptors of pictures, their crops and their halves.

    Args:
        thumbnails: grey, side x side bytes each.
        side: of a thumbnail in pixels.
    """
    n, n_frames = len(thumbnails), len(FRAMES)
    crops = np.empty((n, n_frames, N_VALUES), np.int8)
    halves = np.empty((n, len(HALVES), N_VALUES), np.int8)
    queries, asking = [], []
    cells = _overlaps(side)
    frames = np.stack([_frame_map(frame) for frame in (*FRAMES, *HALVES)], axis=1).reshape(_CELLS**2, -1)
    for start, block in _blocks(thumbnails, side):
        stop = start + len(block)
        small = np.matmul(cells, (block.reshape(-1, side) @ cells.T).reshape(-1, side, _CELLS))
        waves = (small.reshape(-1, _CELLS**2) @ frames).reshape(len(block), -1, _WAVES**2)
        units = _unit(waves)
        halves[start:stop] = np.rint(units[:, n_frames:] * SCALE)
        upright = units[:, :n_frames].reshape(-1, N_VALUES)
        across, down = upright[:, _ACROSS], upright[:, _DOWN]
        ways = (across < 0) + 2 * (down < 0) + 4 * (np.abs(down) > np.abs(across))
        crops[start:stop] = np.rint(_turned(upright, ways) * SCALE).reshape(len(block), n_frames, N_VALUES)
        rows, ways = np.nonzero(_plausible(units[:, 0]))
        queries.append(_turned(units[rows, 0], ways).astype(np.float16))
        asking.append((rows + start).astype(np.int32))
    return Waves(crops, halves, np.concatenate(queries), np.concatenate(asking))


def _blocks(thumbnails: Sequence[bytes], side: int) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(thumbnails), _BLOCK):
        joined = b"".join(thumbnails[start : start + _BLOCK])
        yield start, np.frombuffer(joined, np.uint8).reshape(-1, side, side).astype(np.float32)


def _overlaps(side: int) -> Array:
    """(15, side): averages of the pixels in each fifteenth of an axis."""
    edges = np.arange(side + 1) / side * _CELLS
    cell = np.arange(_CELLS)[:, None]
    inside = np.clip(edges - cell, 0, 1)
    return (inside[:, 1:] - inside[:, :-1]).astype(np.float32)


def _frame_map(frame: Frame) -> Array:
    """(225, 36): from the cells of a picture to the weighted waves of a part of it."""
    left, right, top, bottom = frame
    rows, columns = _basis(top, bottom), _basis(left, right)
    return np.einsum("ui,vj->ijuv", rows, columns).reshape(_CELLS**2, _WAVES**2) * _WEIGHTS


def _basis(low: float, high: float) -> Array:
    """Cosine waves (6, 15) over the part from ``low`` to ``high`` of an axis, 0 outside it."""
    edges = np.clip((np.linspace(0, 1, _CELLS + 1) - low) / (high - low), 0, 1)
    middles = (edges[1:] + edges[:-1]) / 2
    return (np.cos(np.pi * np.arange(_WAVES)[:, None] * middles) * np.diff(edges)).astype(np.float32)


def _unit(waves: Array) -> Array:
    """Without the mean, of unit length."""
    waves = waves[..., 1:]
    lengths = np.maximum(np.linalg.norm(waves, axis=-1, keepdims=True), 0.5)  # a plain area stays next to nothing
    return np.asarray(waves / lengths, dtype=np.float32)


def _turned(units: Array, ways: npt.NDArray[np.int64]) -> Array:
    """Descriptors (N, 35), each turned in one of eight ways: 1 mirrored, 2 upside down, from 4 on then transposed."""
    turned = units * _SIGNS[ways]
    swapped = ways >= 4
    turned[swapped] = turned[swapped][:, _TRANSPOSED]
    return turned


def _plausible(units: Array) -> npt.NDArray[np.bool_]:
    """(N, 8): the turns that could make pictures upright, had they lost a part."""
    across, down = units[:, _ACROSS, None], units[:, _DOWN, None]
    way = np.arange(8)
    gap = np.abs(down) - np.abs(across)
    fits = (np.where(way & 1, -across, across) > -_AMBIGUOUS) & (np.where(way & 2, -down, down) > -_AMBIGUOUS)
    return fits & (np.where(way >= 4, gap, -gap) > -_AMBIGUOUS)
