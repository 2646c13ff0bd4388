"""Which pictures could be copies of one another, cropped, turned or mirrored.

All crops of all pictures are sorted into lists by the closest of a sample of them, judged by their slowest waves, and a
whole picture is compared with those in the closest lists only (an inverted file, as in Jegou et al., "Product
quantization for nearest neighbor search", 2011). With few pictures that is nearly all of them; beyond some 25,000 fewer
lists are looked into, down to two, so that time grows no faster than the pictures: crops in particular are then missed
more often, see ``benchmarks/audit.py``.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from artifact_utils.audit.waves import FRAMES, N_VALUES, SCALE, SLOW, Array, describe

MIN_CANDIDATE = 0.87
"""Cosine from which on two descriptors are looked at closer; crops of 80% keep 0.91 in 99 of 100 cases."""
MIN_SAME_HALF = 0.99
"""Cosine from which on one half of two pictures passes for the same."""
N_CANDIDATES, N_CANDIDATES_OF_FEW, FEW = 32, 64, 5000
"""Closest pictures looked at, each: more where there are few pictures, for they may all be of the same people."""

_PER_LIST, _MAX_LISTS = 3000, 1024
_MAX_PROBES, _MIN_PROBES, _MAX_COSINES = 8, 2, 2e9
_ASSIGNED = 8192  # descriptors sorted into lists at once
_ASKERS = 256  # compared with a list at once: what a cache holds
_MAX_FOUND = 1_000_000  # new pairs kept before all but the best are dropped

Whole = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Array]
"""Pictures, others that they may be copies of, and cosines."""


def candidates(thumbnails: Sequence[bytes], side: int) -> npt.NDArray[np.int64]:
    """Pairs of pictures that may be copies, the most alike first.

    A caption or a banner changes the whole, but leaves one half of the picture alone: the pictures of which a half is
    the same are candidates, too.

    Args:
        thumbnails: grey, side x side bytes each.
        side: of a thumbnail in pixels.

    Returns:
        (M, 2): the picture and the one that it may be a crop of; for each of up to 5,000 pictures at most 64, of more
        at most 32.
    """
    if len(thumbnails) < 2:
        return np.zeros((0, 2), np.int64)
    waves = describe(thumbnails, side)
    found = [_same_half(waves.halves[:, half]) for half in range(waves.halves.shape[1])]
    crops = waves.crops.reshape(-1, N_VALUES)
    centres = _centres(crops)
    order, bounds = _lists(crops, centres)
    at_most = _at_most(len(thumbnails))
    probes = int(np.clip(_MAX_COSINES / (len(waves.queries) * _PER_LIST), _MIN_PROBES, _MAX_PROBES))
    closest = _closest(waves.queries, centres, min(probes, len(centres)))
    askers, ask_bounds = _grouped(closest.ravel(), len(centres))
    askers //= closest.shape[1]
    for number in range(len(centres)):
        members = order[bounds[number] : bounds[number + 1]]
        listed = crops[members].astype(np.float32).T / SCALE
        here = askers[ask_bounds[number] : ask_bounds[number + 1]]
        for start in range(0, len(here) if len(members) else 0, _ASKERS):
            some = here[start : start + _ASKERS]
            cosines = np.asarray(waves.queries[some].astype(np.float32) @ listed, np.float32)
            found.append(_best(cosines, waves.asking[some], members // len(FRAMES), at_most))
        if sum(len(values) for _, _, values in found[1:]) > _MAX_FOUND:
            found = [_ranked(found, len(thumbnails))]
    left, right, _ = _ranked(found, len(thumbnails))
    return np.stack([left, right], axis=1).astype(np.int64)


def _at_most(n: int) -> int:
    return N_CANDIDATES_OF_FEW if n <= FEW else N_CANDIDATES


def _centres(units: npt.NDArray[np.int8]) -> Array:
    """A sample of the slow waves of descriptors, and half their squares, so that distance is one product: (L, 16)."""
    n_lists = int(np.clip(len(units) // _PER_LIST, 1, _MAX_LISTS))
    sample = np.random.default_rng(0).choice(len(units), n_lists, replace=False)
    slow = units[np.sort(sample)][:, SLOW].astype(np.float32) / SCALE
    return np.concatenate([slow, -0.5 * (slow**2).sum(axis=1, keepdims=True)], axis=1)


def _nearness(units: npt.NDArray[np.int8] | npt.NDArray[np.float16], centres: Array, scale: int) -> Array:
    slow = np.ones((len(units), len(SLOW) + 1), np.float32)
    slow[:, :-1] = units[:, SLOW].astype(np.float32) / scale
    return np.asarray(slow @ centres.T, np.float32)


def _lists(units: npt.NDArray[np.int8], centres: Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The numbers of the descriptors, list by list and ascending in each, and where the lists begin."""
    nearest = np.empty(len(units), np.int16)
    for start in range(0, len(units), _ASSIGNED):
        part = slice(start, start + _ASSIGNED)
        nearest[part] = _nearness(units[part], centres, SCALE).argmax(axis=1)
    return _grouped(nearest, len(centres))


def _closest(queries: npt.NDArray[np.float16], centres: Array, probes: int) -> npt.NDArray[np.int16]:
    """(Q, probes): the lists to look into."""
    closest = np.empty((len(queries), probes), np.int16)
    for start in range(0, len(queries), _ASSIGNED):
        part = slice(start, start + _ASSIGNED)
        nearness, rows = _nearness(queries[part], centres, 1), np.arange(len(queries[part]))
        for probe in range(probes):
            closest[part, probe] = best = nearness.argmax(axis=1)
            nearness[rows, best] = -np.inf
    return closest


def _grouped(numbers: npt.NDArray[np.int16], n_groups: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    order = np.argsort(numbers, kind="stable").astype(np.int32)
    return order, np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=n_groups))])


def _same_half(halves: npt.NDArray[np.int8]) -> Found:
    """Each picture and the one whose half is most like its own, upright and uncropped."""
    order, bounds = _lists(halves, _centres(halves))
    found = [_ranked([], 0)]
    for start, stop in pairwise(bounds.tolist()):
        members = order[start:stop]
        units = halves[members].astype(np.float32) / np.float32(SCALE)
        for first in range(0, len(members), _ASKERS):
            part = np.arange(first, min(first + _ASKERS, len(members)))
            cosines = units[part] @ units.T
            cosines[np.arange(len(part)), part] = -1  # itself
            best, value = cosines.argmax(axis=1), cosines.max(axis=1)
            same = value >= MIN_SAME_HALF
            found.append((members[part[same]], members[best[same]], value[same]))
    return _joined(found)


def _best(cosines: Array, asking: npt.NDArray[np.int32], pictures: npt.NDArray[np.int32], at_most: int) -> Found:
    """The highest of the cosines (A, M) of pictures that ask with crops in a list, a few for each.

    Args:
        cosines: one row for each of ``asking``.
        asking: (A,) numbers of pictures.
        pictures: (M,) what the crops are of, ascending.
        at_most: of each asking picture.
    """
    row, place = np.divmod(np.flatnonzero(cosines >= MIN_CANDIDATE), cosines.shape[1])
    others = asking[row] != pictures[place]
    row, place = row[others], place[others]
    first = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(pictures[place], prepend=-1) != 0))
    value = np.maximum.reduceat(cosines[row, place], first) if len(first) else np.zeros(0, np.float32)
    row, picture = row[first], pictures[place[first]]
    order = np.lexsort((-value, row))
    order = order[np.arange(len(order)) - np.searchsorted(row, row[order]) < at_most]
    return asking[row[order]], picture[order], value[order]


def _joined(found: Sequence[Found]) -> Found:
    left, right, values = (np.concatenate(column) for column in zip(*found, strict=True))
    return left, right, values


def _ranked(found: Sequence[Found], n: int) -> Found:
    """Each pair once, and no more than there may be of each of ``n`` pictures; the highest cosines first.

    Pictures and cosine of a pair are packed into one integer, in the order to sort by: far faster than sorting places.
    """
    if not found:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
    left, right, values = _joined(found)
    name = int(n).bit_length()
    fine = min(24, 62 - 2 * name)
    distance = np.rint((1 - values.clip(0, 1)) * (2**fine - 1)).astype(np.int64)
    packed = _packed_sorted(left, (right, name), (distance, fine))
    packed = packed[np.diff(packed >> fine, prepend=-1) != 0]  # each pair where it is closest
    packed = _packed_sorted(packed >> fine + name, (_low(packed, fine), fine), (_low(packed >> fine, name), name))
    left = packed >> fine + name
    few = np.ones(len(left), bool)
    at_most = _at_most(n)
    few[at_most:] = left[at_most:] != left[:-at_most]
    packed = packed[few]
    packed = _packed_sorted(_low(packed >> name, fine), (packed >> fine + name, name), (_low(packed, name), name))
    values = (1 - (packed >> 2 * name) / (2**fine - 1)).astype(np.float32)
    return _low(packed >> name, name).astype(np.int32), _low(packed, name).astype(np.int32), values


def _packed_sorted(first: Whole, *others: tuple[Whole, int]) -> npt.NDArray[np.int64]:
    """Columns of whole numbers side by side in one integer each, and their widths in bits but for the first."""
    packed = first.astype(np.int64)
    for column, bits in others:
        packed <<= bits
        packed |= column
    packed.sort()
    return packed


def _low(packed: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    return packed & ((1 << bits) - 1)
