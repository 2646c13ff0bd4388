"""Candidates of the duplicate search: each picture's nearest neighbours among all pictures and their crops.

The index is an inverted file (Jegou et al., "Product quantization for nearest neighbor search", 2011):
the descriptors of all crops are sorted into lists by the nearest of a sample of them, and a whole picture is compared
with the nearest lists only. With few pictures that is nearly all of them. Among more than 25,000 it is a share that
shrinks as their number grows, so that time grows no faster than that: crops in particular are then missed more often,
see ``benchmarks/audit.py``. Among so many, most of what is alike in the large is no copy: only what is alike in finer
waves, too, is a candidate.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from artifact_utils.audit.descriptors import (
    FRAMES,
    N_VALUES,
    SCALE,
    SLOW,
    Descriptors,
    dct_descriptors,
    fine_cosines,
)
from artifact_utils.audit.threads import in_order

MIN_CANDIDATE = 0.87
"""Cosine from which on two descriptors are looked at closer; crops of 80% keep 0.91 in 99 of 100 cases."""
MIN_SAME_HALF = 0.99
"""Cosine from which on one half of two pictures passes for the same."""
N_CANDIDATES, N_CANDIDATES_OF_FEW, FEW = 32, 64, 5000
"""Neighbours looked at, each picture: more where there are few pictures, for they may all be of the same people."""
MANY, N_CANDIDATES_OF_MANY, MIN_FINE = 25_000, 4, 0.72
"""Pictures beyond which there are this many candidates each, with at least this cosine of finer waves."""

_PER_LIST, _MAX_LISTS, _MAX_LISTS_OF_MANY = 3000, 1024, 10_000
_MAX_PROBES, _MIN_PROBES, _MAX_COSINES = 8, 2, 2e9
_MAX_HITS = 300  # pairs of a query and a crop, each picture, of which the best is compared in finer waves
_MAX_RAISED = 0.98  # cosine that other copies than crops keep
_SAMPLED = 32  # of so many lists one is looked at to see how alike pictures are
_ASSIGNED = 8192  # descriptors sorted into lists at once
_ASKERS = 256  # queries compared with a list at once: what a cache holds
_MAX_PRODUCTS = 8_000_000  # compared at once
_MAX_FOUND = 4_000_000  # new neighbours kept before all but the nearest of each picture are dropped
_ROUGH, _NEAR_CENTRES = 256, 1024  # with more centres than that, those near the nearest of so many are looked at

Vectors = npt.NDArray[np.int8] | npt.NDArray[np.float16]
Neighbours = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""Numbers of pictures, of others that they may be copies of, and cosines."""
Hits = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""Numbers of queries, of descriptors that are like them, and products."""
Finer = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32]], npt.NDArray[np.float32]]
"""From numbers of queries and of descriptors to cosines of their finer waves."""


def candidate_pairs(thumbnails: Sequence[bytes], side: int) -> npt.NDArray[np.int64]:
    """Pairs of pictures that may be copies, the most alike first.

    A caption or a banner changes the descriptor of the whole, but leaves one half of the picture alone: so the picture
    with the most similar half is a candidate, too, for each half.

    Args:
        thumbnails: grey, side x side bytes each.
        side: of a thumbnail in pixels.

    Returns:
        (M, 2): the picture and the one that it may be a crop of; for each of up to 5,000 pictures at most 64, of up to
        25,000 at most 32, of more at most 4, and then in all at most half as many as there are pictures.
    """
    n = len(thumbnails)
    if n < 2:
        return np.zeros((0, 2), np.int64)
    with threadpool_limits(1 if n > MANY else None, "blas"):  # many lists are searched side by side instead
        left, right, cosine = _candidates(dct_descriptors(thumbnails, side))
    order = np.argsort(-cosine, kind="stable")[: n // 2 if n > MANY else None]
    return np.stack([left[order], right[order]], axis=1).astype(np.int64)


def _candidates(described: Descriptors) -> Neighbours:
    n = len(described.crops)
    crops, numbers = described.crops.reshape(-1, N_VALUES), np.arange(n, dtype=np.int32)
    at_most, probes = N_CANDIDATES_OF_MANY, _MAX_PROBES
    if n <= MANY:
        at_most = N_CANDIDATES_OF_FEW if n <= FEW else N_CANDIDATES
        probes = int(np.clip(_MAX_COSINES / (len(described.queries) * _PER_LIST), _MIN_PROBES, _MAX_PROBES))

    def finer(rows: npt.NDArray[np.int32], places: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        others, frames = np.divmod(places, len(FRAMES))
        return fine_cosines(described.cells, described.asking[rows], others, frames, described.turns[rows])

    def finer_half(half: int) -> Finer:
        return lambda rows, others: fine_cosines(described.cells, rows, others, np.full(len(rows), half))

    found = [
        _search(half, numbers, half, 1, MIN_SAME_HALF, at_most=1, finer=finer_half(i) if n > MANY else None)
        for i, half in enumerate(described.halves.swapaxes(0, 1))
    ]
    found.append(
        _search(
            described.queries,
            described.asking,
            crops,
            len(FRAMES),
            MIN_CANDIDATE,
            at_most=at_most,
            probes=probes,
            finer=finer if n > MANY else None,
        )
    )
    return _nearest(found, at_most)


def _search(
    queries: Vectors,
    asking: npt.NDArray[np.int32],
    descriptors: Vectors,
    per_picture: int,
    min_cosine: float,
    *,
    at_most: int,
    probes: int = 1,
    finer: Finer | None = None,
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
        finer: what neighbours of many pictures are judged by once found; ``min_cosine`` is raised if they are too many.
    """
    many = finer is not None
    centres = _centres(descriptors, _MAX_LISTS_OF_MANY if many else _MAX_LISTS)
    probes = min(probes, len(centres))
    lists = _grouped(_nearest_lists(descriptors, centres, 1), len(centres))
    askers = _grouped(_nearest_lists(queries, centres, probes), len(centres))

    def hits(number: int, least: float) -> Iterator[Hits]:
        """Where a query and a descriptor of another picture in a list have at least this cosine."""
        members = lists[number]
        asked = askers[number][: None if len(members) else 0] // probes
        listed, pictures = descriptors[members].T.astype(np.float32), members // per_picture
        step = min(_ASKERS, max(1, _MAX_PRODUCTS // max(1, len(members))))
        for start in range(0, len(asked), step):
            rows = asked[start : start + step]
            products = queries[rows].astype(np.float32) @ listed
            row, place = np.divmod(np.flatnonzero(products >= least * SCALE**2), len(members))
            others = asking[rows[row]] != pictures[place]
            row, place = row[others], place[others]
            yield rows[row], members[place], products[row, place]

    least = min_cosine
    if many:
        sample = (products for i in range(0, len(lists), _SAMPLED) for _, _, products in hits(i, min_cosine))
        least = _raised(min_cosine, sample, _MAX_HITS * len(descriptors) // per_picture // _SAMPLED)

    def neighbours(number: int) -> list[Neighbours]:
        blocks = [_best_of_pictures(found, asking, per_picture, finer) for found in hits(number, least)]
        return [_nearest([block], at_most) if len(block[0]) > at_most * _ASKERS else block for block in blocks]

    found = [(asking[:0], asking[:0], np.zeros(0, np.float32))]
    size, limit = 0, _MAX_FOUND
    numbers = range(len(lists))
    for blocks in in_order(neighbours, numbers) if many else map(neighbours, numbers):
        found += blocks
        size += sum(len(block[0]) for block in blocks)
        if size > limit:
            found = [_nearest(found, at_most)]
            size, limit = len(found[0][0]), _MAX_FOUND + 2 * len(found[0][0])
    return _nearest(found, at_most)


def _raised(min_cosine: float, sample: Iterable[npt.NDArray[np.float32]], at_most: int) -> float:
    """The cosine that so many products reach, if that is more, but never more than other copies than crops keep."""
    counts = np.zeros(1001, np.int64)
    for products in sample:
        counts += np.bincount((products * (1000 / SCALE**2)).astype(np.int64).clip(0, 1000), minlength=1001)
    reached = np.cumsum(counts[::-1])[::-1]  # by so many from each thousandth on
    few_enough = int(np.searchsorted(-reached, -at_most)) / 1000
    return max(min_cosine, min(few_enough, _MAX_RAISED))


def _best_of_pictures(hits: Hits, asking: npt.NDArray[np.int32], per_picture: int, finer: Finer | None) -> Neighbours:
    """Of the descriptors of one picture only the one that is most like the query."""
    rows, places, products = hits
    pictures = places // per_picture
    first = np.flatnonzero((np.diff(rows, prepend=-1) != 0) | (np.diff(pictures, prepend=-1) != 0))
    best = np.maximum.reduceat(products, first) if len(first) else products[:0]
    if finer is None or not len(first):
        return asking[rows[first]], pictures[first], np.asarray(best / SCALE**2, np.float32)
    is_best = products == np.repeat(best, np.diff(first, append=len(rows)))
    best_at = np.minimum.reduceat(np.where(is_best, np.arange(len(rows)), len(rows)), first)
    cosines = finer(rows[best_at], places[best_at])
    best_at, cosines = best_at[cosines >= MIN_FINE], cosines[cosines >= MIN_FINE]
    return asking[rows[best_at]], pictures[best_at], cosines


def _centres(descriptors: Vectors, at_most: int) -> npt.NDArray[np.float32]:
    """The lowest frequencies of a sample of descriptors (L, 15)."""
    n_lists = int(np.clip(len(descriptors) // _PER_LIST, 1, at_most))
    sample = np.random.default_rng(0).choice(len(descriptors), n_lists, replace=False)
    return descriptors[np.sort(sample)][:, SLOW].astype(np.float32)


def _nearest_lists(descriptors: Vectors, centres: npt.NDArray[np.float32], probes: int) -> npt.NDArray[np.int16]:
    """(N, probes): the lists whose centres are the nearest, of very many centres with few exceptions."""
    nearest = np.empty((len(descriptors), probes), np.int16)
    if len(centres) <= _NEAR_CENTRES:
        for start in range(0, len(descriptors), _ASSIGNED):
            part = slice(start, start + _ASSIGNED)
            nearest[part] = _nearest_centres(descriptors[part][:, SLOW].astype(np.float32), centres, probes)
        return nearest
    rough = centres[:: len(centres) // _ROUGH]
    near = np.argpartition(-_nearness(rough, centres), _NEAR_CENTRES, axis=1)[:, :_NEAR_CENTRES]
    near_centres = centres[near]

    def sort(start: int) -> None:
        values = descriptors[start : start + 8 * _ASSIGNED][:, SLOW].astype(np.float32)
        home = _nearest_centres(values, rough, 1)
        for number, rows in enumerate(_grouped(home.astype(np.int16), len(rough))):
            nearest[start + rows] = near[number][_nearest_centres(values[rows], near_centres[number], probes)]

    for _ in in_order(sort, range(0, len(descriptors), 8 * _ASSIGNED)):
        pass
    return nearest


def _nearness(values: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(values @ centres.T - 0.5 * (centres**2).sum(axis=1), np.float32)


def _nearest_centres(
    values: npt.NDArray[np.float32], centres: npt.NDArray[np.float32], probes: int
) -> npt.NDArray[np.int64]:
    nearness, rows = _nearness(values, centres), np.arange(len(values))
    nearest = np.empty((len(values), probes), np.int64)
    for probe in range(probes):
        nearest[:, probe] = best = nearness.argmax(axis=1)
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
