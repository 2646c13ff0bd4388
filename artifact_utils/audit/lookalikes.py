"""Which pictures could be copies of one another, cropped, turned or mirrored, and which of them are.

A picture is described by its 35 lowest frequencies (cosine transform of the thumbnail, weighted and of unit length).
Turning and mirroring only swaps and negates them, and every frame that a crop could have left is a linear map of the
thumbnail, so both cost next to nothing. ``candidates`` compares the whole pictures with all crops of all others;
``compare`` aligns two thumbnails to a fraction of a pixel and looks at every neighbourhood: pictures of one person in
one studio agree in the large, copies agree everywhere but under what was laid over them.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

MIN_CANDIDATE = 0.87
"""Cosine from which on two descriptors are looked at closer; crops of 80% keep 0.91 in 99 of 100 cases."""
MIN_SAME_HALF = 0.99
"""Cosine from which on one half of two pictures passes for the same."""
N_CANDIDATES = 16  # closest pictures looked at, each

_WAVES = 6  # frequencies along each axis
_STEP, _STEPS = 1 / 15, 3  # frames are tried every fifteenth of a side, down to 80% of it
_AMBIGUOUS = 0.15  # a frequency this weak may have the other sign in a crop
_CROPS_PER_LIST, _MAX_LISTS, _PROBES = 3000, 1024, 8
_BLOCK = 4096  # pictures described at once
_HALVES_PER_LIST = 2000
_WINDOW = 11 / 64  # side of a neighbourhood, of the side of the thumbnail
_MIN_DETAIL = 0.5  # correlation of the details over the whole frame
_CLIP = np.array([-3.0, 3.0])  # in medians of the magnitude of the details
_NOISE = 4.0  # variance in grey levels that means nothing: flat neighbourhoods agree

Frame = tuple[float, float, float, float]
"""Left, right, top and bottom of a crop as shares of the sides."""

FRAMES: tuple[Frame, ...] = tuple(
    (x * _STEP, 1 - (cut - x) * _STEP, y * _STEP, 1 - (cut - y) * _STEP)
    for cut in range(_STEPS + 1)
    for x in range(cut + 1)
    for y in range(cut + 1)
)
"""The frames tried, the whole picture first."""

_HALVES: tuple[Frame, ...] = ((0, 1, 0, 0.5), (0, 1, 0.5, 1), (0, 0.5, 0, 1), (0.5, 1, 0, 1))

_ODD = np.where(np.arange(_WAVES) % 2, -1.0, 1.0).astype(np.float32)
_WEIGHTS = np.hypot(*np.mgrid[:_WAVES, :_WAVES]).astype(np.float32)  # pictures have ever less of ever finer waves


def candidates(thumbnails: Sequence[bytes], side: int) -> npt.NDArray[np.int64]:
    """Pairs of pictures that may be copies, the most alike first.

    Descriptors of crops are sorted into lists by the closest of a sample of them, and a picture is compared with those
    in the closest lists only (an inverted file, as in Jegou et al., "Product quantization for nearest neighbor search",
    2011). With few pictures that is nearly all of them. A caption or a banner changes the whole, but leaves one half of
    the picture alone: the pictures of which a half is the same are candidates, too.

    Args:
        thumbnails: grey, side x side bytes each.
        side: of a thumbnail in pixels.

    Returns:
        (M, 4): the picture, the one it may be a crop of, the number of the frame in ``FRAMES``, and the turn that takes
        the crop to the picture, see ``turn``.
    """
    n = len(thumbnails)
    if n < 2:
        return np.zeros((0, 4), np.int64)
    maps = [(_basis(top, bottom, side), _basis(left, right, side)) for left, right, top, bottom in FRAMES]
    whole = np.empty((n, _WAVES, _WAVES), np.float32)
    crops = np.empty((n, len(FRAMES), _WAVES**2 - 1), np.float16)
    turns = np.empty((n, len(FRAMES)), np.int8)
    for start, block in _blocks(thumbnails, side):
        stop = start + len(block)
        for number, (rows, columns) in enumerate(maps):
            waves = (rows @ block @ columns.T).astype(np.float32, copy=False)
            if number == 0:
                whole[start:stop] = waves
            turns[start:stop, number] = upright = _upright(_unit(waves))
            for way in range(8):
                chosen = upright == way
                crops[start:stop, number][chosen] = _unit(_turned(waves[chosen], way))
    flat = crops.reshape(-1, crops.shape[2])
    n_lists = int(np.clip(len(flat) // _CROPS_PER_LIST, 1, _MAX_LISTS))
    sample = np.random.default_rng(0).choice(len(flat), n_lists, replace=False)
    centres = flat[sample].astype(np.float32)
    nearest = np.empty(len(flat), np.int32)
    for start in range(0, len(flat), 16 * _BLOCK):
        part = flat[start : start + 16 * _BLOCK].astype(np.float32)
        nearest[start : start + len(part)] = (part @ centres.T).argmax(axis=1)
    order = np.argsort(nearest, kind="stable")
    bounds = np.searchsorted(nearest[order], np.arange(n_lists + 1))

    asking, ways = _probes(whole)
    queries = np.empty((len(asking), flat.shape[1]), np.float32)
    for way in range(8):
        queries[ways == way] = _unit(_turned(whole[asking[ways == way]], way))
    closest_lists = np.argsort(-(queries @ centres.T), axis=1)[:, :_PROBES]
    found: list[npt.NDArray[np.float64]] = []
    for number in range(n_lists):
        members = order[bounds[number] : bounds[number + 1]]
        askers = np.flatnonzero((closest_lists == number).any(axis=1))
        listed = flat[members].astype(np.float32).T
        for start in range(0, len(askers), 512):
            some = askers[start : start + 512]
            cosines = queries[some] @ listed
            cosines[asking[some][:, None] == members // len(FRAMES)] = -1  # itself
            found.append(_best_of(cosines, asking[some], ways[some], members, turns.reshape(-1)))
    found += [_same_half(thumbnails, side, half) for half in _HALVES]
    return _ranked(np.concatenate(found), n)


def compare(one: Array, other: Array, frame: Frame, way: int) -> float:
    """How well a picture agrees with a crop of another, once aligned, in [0, 1].

    Local correlations of the grey levels (as in SSIM, Wang et al. 2004, without its luminance term) over windows of a
    sixth of the side; three quarters of the frame agree at least this well. So a text may lie over a part of it, and a
    change of brightness or contrast does not matter. 0 where the fine details do not correlate at all.

    Args:
        one: the picture, float32 (S, S) grey levels.
        other: the picture that it may be a crop of, the same.
        frame, way: of the crop, see ``candidates``; only a starting point, which alignment (ECC, Evangelidis and
            Psarakis 2008) improves.
    """
    side = len(one)
    target = turn_back(one, way)
    left, right, top, bottom = frame
    matrix = np.array(
        [
            [right - left, 0, left * side + (right - left) / 2 - 0.5],
            [0, bottom - top, top * side + (bottom - top) / 2 - 0.5],
        ],
        dtype=np.float32,
    )
    agreement = _agreement(target, _warp(other, matrix))
    if agreement > 0.99:
        return agreement
    everywhere = np.full(target.shape, 255, np.uint8)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
    try:
        _, found = cv2.findTransformECC(target, other, matrix, cv2.MOTION_AFFINE, stop, everywhere, 3)
    except cv2.error:  # it found no way to align them
        return agreement
    return max(agreement, _agreement(target, _warp(other, np.asarray(found, np.float32))))


def turn_back(picture: Array, way: int) -> Array:
    """Undo a turn: 0 nothing, 1 mirrored, 2 upside down, 3 both; 4 to 7 the same, and then transposed."""
    if way >= 4:
        picture = picture.T
    return np.ascontiguousarray(picture[:: -1 if way & 2 else 1, :: -1 if way & 1 else 1])


def _basis(low: float, high: float, side: int) -> Array:
    """Cosine waves (6, side) over the part from ``low`` to ``high`` of an axis, 0 outside it."""
    edges = np.clip((np.linspace(0, 1, side + 1) - low) / (high - low), 0, 1)
    middles = (edges[1:] + edges[:-1]) / 2
    return (np.cos(np.pi * np.arange(_WAVES)[:, None] * middles) * np.diff(edges)).astype(np.float32)


def _blocks(thumbnails: Sequence[bytes], side: int) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(thumbnails), _BLOCK):
        joined = b"".join(thumbnails[start : start + _BLOCK])
        yield start, np.frombuffer(joined, np.uint8).reshape(-1, side, side).astype(np.float32)


def _turned(waves: Array, way: int) -> Array:
    """The waves (N, 6, 6) of pictures turned in one of the eight ways."""
    if way & 1:
        waves = waves * _ODD
    if way & 2:
        waves = waves * _ODD[:, None]
    return waves.transpose(0, 2, 1) if way >= 4 else waves


def _unit(waves: Array) -> Array:
    """Descriptors (N, 35): weighted, without the mean, of unit length."""
    flat = (waves * _WEIGHTS).reshape(-1, _WAVES**2)[:, 1:]
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 0.5)  # a plain area stays next to nothing


def _upright(units: Array) -> npt.NDArray[np.int8]:
    """The turn after which the slowest waves are positive and the one along the rows is the stronger."""
    across, down = units[:, 0], units[:, _WAVES - 1]
    return ((across < 0) + 2 * (down < 0) + 4 * (np.abs(down) > np.abs(across))).astype(np.int8)


def _probes(whole: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which pictures to look for and in which turns: every one that could be the upright one of a crop."""
    units = _unit(whole)
    across, down = units[:, 0], units[:, _WAVES - 1]
    gap = np.abs(down) - np.abs(across)
    wanted = np.empty((len(whole), 8), bool)
    for way in range(8):
        signs = np.where(way & 1, -across, across), np.where(way & 2, -down, down)
        wanted[:, way] = (signs[0] > -_AMBIGUOUS) & (signs[1] > -_AMBIGUOUS)
        wanted[:, way] &= (gap if way >= 4 else -gap) > -_AMBIGUOUS
    asking, ways = np.nonzero(wanted)
    return asking.astype(np.int64), ways.astype(np.int64)


def _same_half(thumbnails: Sequence[bytes], side: int, half: Frame) -> npt.NDArray[np.float64]:
    """Rows as of ``_best_of``: each picture and the one whose half is most like its own, upright and uncropped."""
    left, right, top, bottom = half
    rows, columns = _basis(top, bottom, side), _basis(left, right, side)
    units = np.concatenate(
        [_unit(np.asarray(rows @ block @ columns.T, np.float32)) for _, block in _blocks(thumbnails, side)]
    )
    n_lists = int(np.clip(len(units) // _HALVES_PER_LIST, 1, _MAX_LISTS))
    centres = units[np.random.default_rng(0).choice(len(units), n_lists, replace=False)]
    nearest = (units @ centres.T).argmax(axis=1)
    found = []
    for number in range(n_lists):
        members = np.flatnonzero(nearest == number)
        for start in range(0, len(members), 512):
            part = members[start : start + 512]
            cosines = units[part] @ units[members].T
            cosines[np.arange(len(part)), np.arange(start, start + len(part))] = -1  # itself
            best, value = members[cosines.argmax(axis=1)], cosines.max(axis=1)
            pairs = np.stack([part, best, np.zeros(len(part)), np.zeros(len(part)), value], axis=1)
            found.append(pairs[value >= MIN_SAME_HALF])
    return np.concatenate(found)


def _best_of(
    cosines: Array,
    asking: npt.NDArray[np.int64],
    ways: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    turns: npt.NDArray[np.int8],
) -> npt.NDArray[np.float64]:
    """Rows of picture, other, frame, turn and cosine of the best few in a list, for each that asked."""
    few = min(2 * N_CANDIDATES, cosines.shape[1])
    top = np.argpartition(cosines, -few, axis=1)[:, -few:]
    value = np.take_along_axis(cosines, top, axis=1)
    row, place = np.nonzero(value >= MIN_CANDIDATE)
    member = members[top[row, place]]
    way = _RELATIVE[turns[member], ways[row]]
    columns = asking[row], member // len(FRAMES), member % len(FRAMES), way, value[row, place]
    return np.stack(columns, axis=1).astype(np.float64)


def _ranked(found: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    """Each pair once, with its best frame and turn, and no more than ``N_CANDIDATES`` of each picture."""
    found = found[np.argsort(-found[:, 4], kind="stable")]
    pair = found[:, 0] * n + found[:, 1]
    found = found[np.sort(np.unique(pair, return_index=True)[1])]
    by_picture = np.argsort(found[:, 0], kind="stable")
    starts = np.searchsorted(found[by_picture, 0], np.arange(n))
    rank = np.empty(len(found), np.int64)
    rank[by_picture] = np.arange(len(found)) - starts[found[by_picture, 0].astype(np.int64)]
    return found[rank < N_CANDIDATES, :4].astype(np.int64)


def _relative_turns() -> npt.NDArray[np.int64]:
    """(8, 8): the turn that takes a crop to the picture, where the first turn of the one is the second of the other."""
    probe = np.arange(9, dtype=np.float32).reshape(3, 3)
    table = np.empty((8, 8), np.int64)
    for crop in range(8):
        for picture in range(8):
            moved = turn_back(_turn(probe, crop), picture)  # what turning the crop upright and back again does
            table[crop, picture] = next(way for way in range(8) if np.array_equal(_turn(probe, way), moved))
    return table


def _turn(picture: Array, way: int) -> Array:
    picture = picture[:: -1 if way & 2 else 1, :: -1 if way & 1 else 1]
    return picture.T if way >= 4 else picture


_RELATIVE = _relative_turns()


def _warp(picture: Array, matrix: Array) -> Array:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _agreement(one: Array, other: Array) -> float:
    margin = len(one) // 32
    one, other = (
        np.asarray(cv2.GaussianBlur(side, (0, 0), 1.0), np.float32)[margin:-margin, margin:-margin]
        for side in (one, other)
    )
    details = [side - cv2.GaussianBlur(side, (0, 0), 3) for side in (one, other)]
    # edges of letters must not outweigh all the rest
    details = [np.clip(side, *_CLIP * np.median(np.abs(side))) for side in details]
    product = np.sqrt((details[0] ** 2).sum() * (details[1] ** 2).sum()) + _NOISE
    if (details[0] * details[1]).sum() < _MIN_DETAIL * product:
        return 0.0
    window = (max(3, round(_WINDOW * len(one))),) * 2
    mean, other_mean = cv2.blur(one, window), cv2.blur(other, window)
    variance = cv2.blur(one * one, window) - mean * mean
    other_variance = cv2.blur(other * other, window) - other_mean * other_mean
    covariance = cv2.blur(one * other, window) - mean * other_mean
    local = (covariance + _NOISE) / np.sqrt((variance + _NOISE) * (other_variance + _NOISE))
    return float(np.clip(np.quantile(local, 0.25), 0, 1))
