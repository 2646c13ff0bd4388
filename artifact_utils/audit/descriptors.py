"""DCT descriptors of pictures and their crops, which turning and mirroring only permutes and negates.

The descriptor of a picture is the 35 lowest frequencies of the cosine transform (DCT) of its thumbnail, weighted and
normalised, so that brightness and contrast do not matter. Those of its crops are linear maps of the same thumbnail:
all of them together cost one matrix product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

_FREQUENCIES = 6  # along each axis
N_VALUES = _FREQUENCIES**2 - 1
"""Numbers of a descriptor; that of a plain area, the mean, is left out."""
SCALE = 127
"""Length of a stored descriptor, so that its values fit into int8."""
SLOW = np.flatnonzero((np.indices((_FREQUENCIES, _FREQUENCIES)) < 4).all(axis=0).ravel()[1:])
"""Places of the lowest frequencies, which change least where a crop is a little off."""

_BLOCK = 256  # pictures described at once: what a cache holds
_AMBIGUOUS = 0.15  # a frequency this weak may have the other sign in a crop
_WEIGHTS = np.hypot(*np.indices((_FREQUENCIES, _FREQUENCIES))).astype(np.float32).ravel()  # photographs: about 1/f
_TRANSPOSED = np.arange(_FREQUENCIES**2).reshape(_FREQUENCIES, _FREQUENCIES).T.ravel()[1:] - 1
_ACROSS, _DOWN = 0, _FREQUENCIES - 1  # the lowest frequency of the rows and that of the columns


def _signs() -> Array:
    """(8, 35): what each turn multiplies the values by, before it swaps them."""
    odd = np.where(np.arange(_FREQUENCIES) % 2, -1.0, 1.0)
    turns = [np.outer(odd if turn & 2 else odd**2, odd if turn & 1 else odd**2).ravel()[1:] for turn in range(8)]
    return np.array(turns, np.float32)


_SIGNS = _signs()


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
    """

    crops: npt.NDArray[np.int8]
    halves: npt.NDArray[np.int8]
    queries: npt.NDArray[np.float16]
    asking: npt.NDArray[np.int32]


def dct_descriptors(thumbnails: Sequence[bytes], side: int) -> Descriptors:
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
        spectra = (small.reshape(-1, _CELLS**2) @ frames).reshape(len(block), -1, _FREQUENCIES**2)
        units = _unit(spectra)
        halves[start:stop] = np.rint(units[:, n_frames:] * SCALE)
        flat = units[:, :n_frames].reshape(-1, N_VALUES)
        across, down = flat[:, _ACROSS], flat[:, _DOWN]
        turns = (across < 0) + 2 * (down < 0) + 4 * (np.abs(down) > np.abs(across))
        crops[start:stop] = np.rint(_turned(flat, turns) * SCALE).reshape(len(block), n_frames, N_VALUES)
        rows, turns = np.nonzero(_plausible(units[:, 0]))
        queries.append((_turned(units[rows, 0], turns) * SCALE).astype(np.float16))
        asking.append((rows + start).astype(np.int32))
    return Descriptors(crops, halves, np.concatenate(queries), np.concatenate(asking))


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
    """(225, 36): from the cells of a picture to the weighted spectrum of a part of it."""
    left, right, top, bottom = frame
    rows, columns = _basis(top, bottom), _basis(left, right)
    return np.einsum("ui,vj->ijuv", rows, columns).reshape(_CELLS**2, _FREQUENCIES**2) * _WEIGHTS


def _basis(low: float, high: float) -> Array:
    """Cosines (6, 15) over the part from ``low`` to ``high`` of an axis, 0 outside it."""
    edges = np.clip((np.linspace(0, 1, _CELLS + 1) - low) / (high - low), 0, 1)
    middles = (edges[1:] + edges[:-1]) / 2
    return (np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * middles) * np.diff(edges)).astype(np.float32)


def _unit(spectra: Array) -> Array:
    """Without the mean, of unit length."""
    values = spectra[..., 1:]
    lengths = np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 0.5)  # a plain area stays next to nothing
    return np.asarray(values / lengths, dtype=np.float32)


def _turned(units: Array, turns: npt.NDArray[np.int64]) -> Array:
    """Descriptors (N, 35), each turned in one of eight ways: 1 mirrored, 2 upside down, from 4 on then transposed."""
    turned = units * _SIGNS[turns]
    swapped = turns >= 4
    turned[swapped] = turned[swapped][:, _TRANSPOSED]
    return turned


def _plausible(units: Array) -> npt.NDArray[np.bool_]:
    """(N, 8): the turns that could make pictures upright, had they lost a part."""
    across, down = units[:, _ACROSS, None], units[:, _DOWN, None]
    turn = np.arange(8)
    gap = np.abs(down) - np.abs(across)
    fits = (np.where(turn & 1, -across, across) > -_AMBIGUOUS) & (np.where(turn & 2, -down, down) > -_AMBIGUOUS)
    return fits & (np.where(turn >= 4, gap, -gap) > -_AMBIGUOUS)
