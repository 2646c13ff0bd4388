"""Candidates of the duplicate search: each picture's nearest neighbours among all pictures and their crops.

The index is an inverted file (Jegou et al., "Product quantization for nearest neighbor search", 2011):
the descriptors of all crops are sorted into lists by the nearest of a sample of them, and a whole picture is compared
with the nearest lists only. With few pictures that is nearly all of them; beyond some 25,000 fewer lists are searched,
down to two, so that time grows no faster than the number of pictures: crops in particular are then missed more often,
see ``benchmarks/audit.py``.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from artifact_utils.audit.descriptors import FRAMES, N_VALUES, SCALE, SLOW, dct_descriptors

MIN_CANDIDATE = 0.87
"""Cosine from which on two descriptors are looked at closer; crops of 80% keep 0.91 in 99 of 100 cases."""
MIN_SAME_HALF = 0.99
"""Cosine from which on one half of two pictures passes for the same."""
N_CANDIDATES, N_CANDIDATES_OF_FEW, FEW = 32, 64, 5000
"""Neighbours looked at, each picture: more where there are few pictures, for they may all be of the same people."""

_PER_LIST, _MAX_LISTS = 3000, 1024
_MAX_PROBES, _MIN_PROBES, _MAX_COSINES = 8, 2, 2e9
_ASSIGNED = 8192  # descriptors sorted into lists at once
_ASKERS = 256  # queries compared with a list at once: what a cache holds
_MAX_FOUND = 4_000_000  # new neighbours kept before all but the nearest of each picture are dropped

Descriptors = npt.NDArray[np.int8] | npt.NDArray[np.float16]
Neighbours = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""Numbers of pictures, of others that they may be copies of, and cosines."""


def candidate_pairs(thumbnails: Sequence[bytes], side: int) -> npt.NDArray[np.int64]:
    """Pairs of pictures that may be copies, the most alike first.

    A caption or a banner changes the descriptor of the whole, but leaves one half of the picture alone: so the picture
    with the most similar half is a candidate, too, for each half.

    Args:
        thumbnails: grey, side x side bytes each.
        side: of a thumbnail in pixels.

    Returns:
        (M, 2): the picture and the one that it may be a crop of; for each of up to 5,000 pictures at most 64, of more
        at most 32.
    """
    n = len(thumbnails)
    if n < 2:
        return np.zeros((0, 2), np.int64)
    described = dct_descriptors(thumbnails, side)
    at_most = N_CANDIDATES_OF_FEW if n <= FEW else N_CANDIDATES
    probes = int(np.clip(_MAX_COSINES / (len(described.queries) * _PER_LIST), _MIN_PROBES, _MAX_PROBES))
    crops, numbers = described.crops.reshape(-1, N_VALUES), np.arange(n, dtype=np.int32)
    found = [_search(half, numbers, half, 1, MIN_SAME_HALF, at_most=1) for half in described.halves.swapaxes(0, 1)]
    found.append(
        _search(described.queries, described.asking, crops, len(FRAMES), MIN_CANDIDATE, at_most=at_most, probes=probes)
    )
    left, right, cosine = _nearest(found, at_most)
    order = np.argsort(-cosine, kind="stable")
    return np.stack([left[order], right[order]], axis=1).astype(np.int64)


def _search(
    queries: Descriptors,
    asking: npt.NDArray[np.int32],
    descriptors: Descriptors,
    per_picture: int,
    min_cosine: float,
    *,
    at_most: int,
    probes: int = 1,
) -> Neighbours:
    """The nearest neighbours of each picture that asks, but for itself.

    Args:
        queries: (Q, 35).
        asking: (Q,) the pictures that the queries describe.
        descriptors: (N, 35), those of one picture side by side.
        per_picture: descriptors of a picture.
        min_cosine: of neighbours.
        at_most: neighbours of a picture.
        probes: lists of descriptors that a query is compared with.
    """
    centres = _centres(descriptors)
    probes = min(probes, len(centres))
    lists = _grouped(_nearest_lists(descriptors, centres, 1), len(centres))
    askers = _grouped(_nearest_lists(queries, centres, probes), len(centres))
    found = [(asking[:0], asking[:0], np.zeros(0, np.float32))]
    size, limit = 0, _MAX_FOUND
    for members, asked in zip(lists, askers, strict=True):
        listed, pictures = descriptors[members].T.astype(np.float32), members // per_picture
        for start in range(0, len(asked) if len(members) else 0, _ASKERS):
            rows = asked[start : start + _ASKERS] // probes
            products = queries[rows].astype(np.float32) @ listed
            row, place = np.divmod(np.flatnonzero(products >= min_cosine * SCALE**2), len(members))
            others = asking[rows[row]] != pictures[place]
            row, place = row[others], place[others]
            first = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(pictures[place], prepend=-1) != 0))
            products = np.maximum.reduceat(products[row, place], first) if len(first) else products[:0, 0]
            block = (asking[rows[row[first]]], pictures[place[first]], products / np.float32(SCALE**2))
            found.append(block if len(first) <= at_most * len(rows) else _nearest([block], at_most))
            size += len(found[-1][0])
        if size > limit:
            found = [_nearest(found, at_most)]
            size, limit = len(found[0][0]), _MAX_FOUND + 2 * len(found[0][0])
    return _nearest(found, at_most)


def _centres(descriptors: Descriptors) -> npt.NDArray[np.float32]:
    """The lowest frequencies of a sample of descriptors (L, 15)."""
    n_lists = int(np.clip(len(descriptors) // _PER_LIST, 1, _MAX_LISTS))
    sample = np.random.default_rng(0).choice(len(descriptors), n_lists, replace=False)
    return descriptors[np.sort(sample)][:, SLOW].astype(np.float32)


def _nearest_lists(descriptors: Descriptors, centres: npt.NDArray[np.float32], probes: int) -> npt.NDArray[np.int16]:
    """(N, probes): the lists whose centres are the nearest."""
    nearest = np.empty((len(descriptors), probes), np.int16)
    for start in range(0, len(descriptors), _ASSIGNED):
        part = slice(start, start + _ASSIGNED)
        nearness = descriptors[part][:, SLOW].astype(np.float32) @ centres.T - 0.5 * (centres**2).sum(axis=1)
        rows = np.arange(len(nearness))
        for probe in range(probes):
            nearest[part, probe] = best = nearness.argmax(axis=1)
            nearness[rows, best] = -np.inf
    return nearest


def _grouped(numbers: npt.NDArray[np.int16], n_groups: int) -> list[npt.NDArray[np.int32]]:
    """For each number the places, in the flattened array, where it stands."""
    order = np.argsort(numbers.ravel(), kind="stable").astype(np.int32)
    return np.split(order, np.cumsum(np.bincount(numbers.ravel(), minlength=n_groups))[:-1])


def _nearest(neighbours: Sequence[Neighbours], at_most: int) -> Neighbours:
    """The nearest few of each picture, each once, picture by picture and the nearest first."""
    left, right, cosine = (np.concatenate(column) for column in zip(*neighbours, strict=True))
    order = np.lexsort((-cosine, right, left))
    left, right, cosine = left[order], right[order], cosine[order]
    once = (np.diff(left, prepend=-1) != 0) | (np.diff(right, prepend=-1) != 0)
    left, right, cosine = left[once], right[once], cosine[once]
    order = np.lexsort((-cosine, left))
    order = order[np.arange(len(order)) - np.searchsorted(left, left[order]) < at_most]
    return left[order], right[order], cosine[order]
