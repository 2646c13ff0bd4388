"""DCT descriptors of pictures and their crops, which turning and mirroring only permutes and negates.

The descriptor of a picture is the 35 lowest frequencies of the cosine transform (DCT) of its thumbnail, weighted and
normalised, so that brightness and contrast do not matter. Those of its crops are linear maps of the same thumbnail:
all of them together cost one matrix product. What is alike in these is compared once more in the 99 lowest frequencies.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Frame = tuple[float, float, float, float]
"""Left, right, top and bottom of a crop as shares of the sides."""

_CELLS, _CUT = 15, 3  # crops begin and end at a fifteenth of a side and keep at least 12 of them
FRAMES: tuple[Frame, ...] = tuple(
    (x / _CELLS, 1 - (cut - x) / _CELLS, y / _CELLS, 1 - (cut - y) / _CELLS)
    for cut in range(_CUT + 1)
    for x in range(cut + 1)
    for y in range(cut + 1)
)
"""The crops described, the whole picture first."""
HALVES: tuple[Frame, ...] = ((0, 1, 0, 7 / 15), (0, 1, 8 / 15, 1), (0, 7 / 15, 0, 1), (8 / 15, 1, 0, 1))
"""Top, bottom, left and right, clear of the middle."""

_FREQUENCIES, _FINE = 6, 10  # along each axis
N_VALUES = _FREQUENCIES**2 - 1
"""Numbers of a descriptor; that of a plain area, the mean, is left out."""
SCALE = 127
"""Length of a stored descriptor, so that its values fit into int8."""
SLOW = np.flatnonzero((np.indices((_FREQUENCIES, _FREQUENCIES)) < 4).all(axis=0).ravel()[1:])
"""Places of the lowest frequencies, which change least where a crop is a little off."""

_BLOCK = 256  # pictures described at once: what a cache holds
_PAIRS = 1024  # and pairs
_AMBIGUOUS = 0.15  # a frequency this weak may have the other sign in a crop


def _signs(n: int) -> Array:
    """(8, n * n - 1): what each turn multiplies the values by, before it swaps them."""
    odd = np.where(np.arange(n) % 2, -1.0, 1.0)
    turns = [np.outer(odd if turn & 2 else odd**2, odd if turn & 1 else odd**2).ravel()[1:] for turn in range(8)]
    return np.array(turns, np.float32)


_SIGNS = {n: _signs(n) for n in (_FREQUENCIES, _FINE)}
_TRANSPOSED = {n: np.arange(n * n).reshape(n, n).T.ravel()[1:] - 1 for n in (_FREQUENCIES, _FINE)}


@dataclass(frozen=True)
class Descriptors:
    """Descriptors of ``n`` pictures, all ``SCALE`` long.

    A picture is *upright* in the one of its eight turns in which the two lowest frequencies are positive and that of
    the rows is the stronger.

    Attributes:
        crops: (n, frames, 35) int8, of every crop, turned upright.
        halves: (n, 4, 35) int8, as they are.
        queries: (Q, 35) float16, of every turn of a whole picture that could be the upright one of a crop.
        asking: (Q,) the number of the picture of each query, ascending.
        turns: (Q,) the turn, 0 to 7, that the picture of each query has gone through.
        cells: (n, 225) uint8, mean grey levels of 15 x 15 parts, for ``fine_cosines``.
    """

    crops: npt.NDArray[np.int8]
    halves: npt.NDArray[np.int8]
    queries: npt.NDArray[np.float16]
    asking: npt.NDArray[np.int32]
    turns: npt.NDArray[np.uint8]
    cells: npt.NDArray[np.uint8]


def dct_descriptors(thumbnails: Sequence[bytes], side: int) -> Descriptors:
    """Descriptors of pictures, their crops and their halves.

    Args:
        thumbnails: grey, side x side bytes each.
        side: of a thumbnail in pixels.
    """
    n, n_frames = len(thumbnails), len(FRAMES)
    crops = np.empty((n, n_frames, N_VALUES), np.int8)
    halves = np.empty((n, len(HALVES), N_VALUES), np.int8)
    averages = np.empty((n, _CELLS**2), np.uint8)
    queries, asking, turned = [], [], []
    cells = _overlaps(side)
    frames = np.stack([_frame_map(frame) for frame in (*FRAMES, *HALVES)], axis=1).reshape(_CELLS**2, -1)
    for start, block in _blocks(thumbnails, side):
        stop = start + len(block)
        small = np.matmul(cells, (block.reshape(-1, side) @ cells.T).reshape(-1, side, _CELLS))
        averages[start:stop] = np.rint(small.reshape(-1, _CELLS**2))
        spectra = (small.reshape(-1, _CELLS**2) @ frames).reshape(len(block), -1, _FREQUENCIES**2)
        units = _unit(spectra)
        halves[start:stop] = np.rint(units[:, n_frames:] * SCALE)
        flat = units[:, :n_frames].reshape(-1, N_VALUES)
        crops[start:stop] = np.rint(_turned(flat, _upright(flat)) * SCALE).reshape(len(block), n_frames, N_VALUES)
        rows, turns = np.nonzero(_plausible(units[:, 0]))
        queries.append((_turned(units[rows, 0], turns) * SCALE).astype(np.float16))
        asking.append((rows + start).astype(np.int32))
        turned.append(turns.astype(np.uint8))
    return Descriptors(crops, halves, np.concatenate(queries), np.concatenate(asking), np.concatenate(turned), averages)


def fine_cosines(
    cells: npt.NDArray[np.uint8],
    pictures: npt.NDArray[np.int32],
    others: npt.NDArray[np.int32],
    frames: npt.NDArray[np.integer],
    turns: npt.NDArray[np.uint8] | None = None,
) -> Array:
    """How alike pictures and parts of others are in the 99 lowest frequencies, far more than they are found by.

    Of 250 portraits mean copies had 0.95 and more, crops to 80% at any place 0.74 in 98 of 100 cases, and of other
    pictures with a cosine of descriptors above 0.8 half had less than 0.62.

    Args:
        cells: (n, 225) of all pictures, see ``Descriptors``.
        pictures, others: (M,) numbers of pictures.
        frames: (M,) places in ``FRAMES``: the part of each other.
        turns: (M,) the turn that each picture as a whole goes through, while the part of the other is turned upright;
            without it the same part of both is compared, a place in ``HALVES``.

    Returns:
        (M,) cosines.
    """
    cosines = np.empty(len(pictures), np.float32)
    order = np.argsort(frames, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(frames[order])) + 1):
        for start in range(0, len(rows), _PAIRS):
            some = rows[start : start + _PAIRS]
            frame = int(frames[some[0]])
            part = (HALVES if turns is None else FRAMES)[frame]
            one, other = (
                _unit(cells[numbers[some]].astype(np.float32) @ _fine_map(shown))
                for numbers, shown in ((pictures, part if turns is None else FRAMES[0]), (others, part))
            )
            if turns is not None:
                one, other = _turned(one, turns[some]), _turned(other, _upright(other))
            cosines[some] = np.einsum("ij,ij->i", one, other)
    return cosines


def _blocks(thumbnails: Sequence[bytes], side: int) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(thumbnails), _BLOCK):
        joined = b"".join(thumbnails[i] for i in range(start, min(start + _BLOCK, len(thumbnails))))
        yield start, np.frombuffer(joined, np.uint8).reshape(-1, side, side).astype(np.float32)


def _overlaps(side: int) -> Array:
    """(15, side): averages of the pixels in each fifteenth of an axis."""
    edges = np.arange(side + 1) / side * _CELLS
    cell = np.arange(_CELLS)[:, None]
    inside = np.clip(edges - cell, 0, 1)
    return (inside[:, 1:] - inside[:, :-1]).astype(np.float32)


def _frame_map(frame: Frame, n: int = _FREQUENCIES) -> Array:
    """(225, n * n): from the cells of a picture to the weighted spectrum of a part of it."""
    left, right, top, bottom = frame
    rows, columns = _basis(top, bottom, n), _basis(left, right, n)
    weights = np.hypot(*np.indices((n, n))).astype(np.float32).ravel()  # photographs: about 1/f
    return np.einsum("ui,vj->ijuv", rows, columns).reshape(_CELLS**2, n * n) * weights


@cache
def _fine_map(frame: Frame) -> Array:
    return _frame_map(frame, _FINE)


def _basis(low: float, high: float, n: int) -> Array:
    """Cosines (n, 15) over the part from ``low`` to ``high`` of an axis, 0 outside it."""
    edges = np.clip((np.linspace(0, 1, _CELLS + 1) - low) / (high - low), 0, 1)
    middles = (edges[1:] + edges[:-1]) / 2
    return (np.cos(np.pi * np.arange(n)[:, None] * middles) * np.diff(edges)).astype(np.float32)


def _unit(spectra: Array) -> Array:
    """Without the mean, of unit length."""
    values = spectra[..., 1:]
    lengths = np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 0.5)  # a plain area stays next to nothing
    return np.asarray(values / lengths, dtype=np.float32)


def _side(units: Array) -> int:
    return math.isqrt(units.shape[-1] + 1)


def _lowest(units: Array) -> tuple[Array, Array]:
    """(N,): the lowest frequency of the rows and that of the columns."""
    return units[:, 0], units[:, _side(units) - 1]


def _upright(units: Array) -> npt.NDArray[np.int64]:
    """(N,): the turns that make descriptors upright."""
    across, down = _lowest(units)
    return (across < 0) + 2 * (down < 0) + 4 * (np.abs(down) > np.abs(across))


def _turned(units: Array, turns: npt.NDArray[np.int64] | npt.NDArray[np.uint8]) -> Array:
    """Spectra (N, 35 or 99), each turned in one of eight ways: 1 mirrored, 2 upside down, from 4 on then transposed."""
    turned = units * _SIGNS[_side(units)][turns]
    swapped = turns >= 4
    turned[swapped] = turned[swapped][:, _TRANSPOSED[_side(units)]]
    return turned


def _plausible(units: Array) -> npt.NDArray[np.bool_]:
    """(N, 8): the turns that could make pictures upright, had they lost a part."""
    across, down = (lowest[:, None] for lowest in _lowest(units))
    turn = np.arange(8)
    gap = np.abs(down) - np.abs(across)
    fits = (np.where(turn & 1, -across, across) > -_AMBIGUOUS) & (np.where(turn & 2, -down, down) > -_AMBIGUOUS)
    return fits & (np.where(turn >= 4, gap, -gap) > -_AMBIGUOUS)
