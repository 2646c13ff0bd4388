"""Groups of pictures that are the same or nearly so: re-encoded, resized, recoloured, captioned, turned or cropped."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from artifact_utils.audit.alignment import agreement, prepare_parts, prepare_whole
from artifact_utils.audit.hashing import upright_phash
from artifact_utils.audit.neighbours import MANY, candidate_pairs
from artifact_utils.audit.picture_statistics import THUMBNAIL_SIDE
from artifact_utils.audit.scanning import outlines
from artifact_utils.audit.table_parts import ThumbnailFile, read_columns, stored_thumbnails
from artifact_utils.audit.threads import in_order

MIN_SIMILARITY = 0.987
"""Near-duplicates agree at least this well in three quarters of the frame; see ``find_duplicates``."""

_AT_ONCE = 256  # pairs compared between two looks at what is already known to belong together
_KEPT = 8192  # pictures kept prepared for each side of a comparison: 0.5 GB
_IN_VAIN = 8  # among very many pictures alignment ends when one pair for so many pictures was none of copies


def find_duplicates(
    table: pd.DataFrame | str | Path, *, min_similarity: float = MIN_SIMILARITY, across_splits: bool = False
) -> pd.DataFrame:
    """Group pictures that are the same or nearly so.

    A near-duplicate may be mirrored, turned by quarters, cropped to 80% of the sides, resized, saved as JPEG 40, of
    other colours or with a text over it. ``benchmarks/audit.py`` measures how many of each kind are found, and that
    different expressions of one person before one wall are told apart. Among more than 25,000 pictures crops are
    looked for less thoroughly, see ``neighbours``. Groups are connected components: a chain of pairs is one group, so
    members at its ends may differ by more.

    Three steps, each for one picture of every group that the steps before have found: pictures with the same bytes;
    pictures with the same perceptual hash once turned upright, which needs one look-up a picture; and, for crops and
    captions, the nearest neighbours of its descriptor. What the last two propose is aligned and compared.

    Args:
        table: from ``scan``, or the folder of that of ``scan_parts``, of which only names are held in memory then;
            thumbnails are copied into a temporary file there, 4 KB each. Unreadable pictures are left out.
        min_similarity: in [0, 1]: how well the grey levels of two pictures, aligned, correlate locally in three
            quarters of the frame.
        across_splits: leave out what is alike within one split, which is much less work where that is a lot.

    Returns:
        One row a member, sorted by group and path: ``group`` (from 0, largest group first), ``kind`` (``exact`` where
        another member has the same bytes, else ``near``), ``across_splits`` (whether the group reaches over more than
        one split), ``path``, ``split``, ``class_name``, ``closest`` (path of the member it was found to be most like,
        of another split where there is one) and ``similarity`` to that. Empty where there are none.

    Raises:
        AuditError: there is no table in the folder, or a file of it is broken.
    """
    with _readable(table) as (rows, thumbnails):
        left, right, similarity = _pairs(rows, thumbnails, min_similarity, across_splits=across_splits)
    group = _components(len(rows), left, right)
    closest, best = _closest(rows["split"].to_numpy(), left, right, similarity)
    members = rows.assign(
        group=group,
        size=np.bincount(group, minlength=1)[group] if len(rows) else [],
        kind=np.where(rows["sha256"].duplicated(keep=False), "exact", "near"),
        closest=rows["path"].to_numpy()[closest],
        similarity=best,
    )
    members = members[members["size"] > 1]
    members = members.assign(across_splits=members.groupby("group")["split"].transform("nunique") > 1)
    if across_splits:
        members = members[members["across_splits"]]
    members = members.sort_values(["size", "group", "path"], ascending=[False, True, True], ignore_index=True)
    members["group"] = pd.factorize(members["group"])[0]
    return members[["group", "kind", "across_splits", "path", "split", "class_name", "closest", "similarity"]]


def near_duplicate_groups(
    pictures: pd.DataFrame | Iterable[str | Path],
    *,
    min_similarity: float = MIN_SIMILARITY,
    workers: int | None = None,
) -> pd.Series:
    """Number every picture so that near-duplicates share a number, for splits that must not part them.

    Args:
        pictures: a table from ``scan``, or the paths of pictures, which are read here.
        min_similarity: as in ``find_duplicates``.
        workers: threads for reading.

    Returns:
        Group numbers in the order given, indexed by path as it is in the table or was given. A picture without
        duplicates, or unreadable, has a number of its own.
    """
    table = pictures if isinstance(pictures, pd.DataFrame) else outlines(pictures, workers=workers)
    readable = np.flatnonzero(table["readable"].to_numpy(dtype=bool))
    rows = table.iloc[readable].reset_index(drop=True)
    left, right, _ = _pairs(rows, rows["thumbnail"].tolist(), min_similarity)
    numbers = _components(len(table), readable[left], readable[right])
    return pd.Series(pd.factorize(numbers)[0], index=table["path"], name="group")


def find_leaks(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Near-duplicates that lie in two splits, every such picture in at least one pair: ``path``, ``split``, ``other``,
    ``other_split`` and ``similarity``, the most alike first.

    A picture is paired with the one that it is most like, or, where that lies in its own split, with one of its group.

    Args:
        duplicates: from ``find_duplicates``.
    """
    pairs: dict[tuple[str, ...], tuple[str, str, str, str, float]] = {}
    for _, group in duplicates[duplicates["across_splits"]].groupby("group"):
        members: dict[str, dict[Any, Any]] = {row["path"]: row for row in group.to_dict("records")}
        for row in members.values():
            closest = members.get(row["closest"])
            elsewhere = (other for other in members.values() if other["split"] != row["split"])
            other = closest if closest is not None and closest["split"] != row["split"] else next(elsewhere)
            similarity = row["similarity"] if other is closest else min(row["similarity"], other["similarity"])
            key = tuple(sorted((row["path"], other["path"])))
            pairs.setdefault(key, (row["path"], row["split"], other["path"], other["split"], similarity))
    table = pd.DataFrame(list(pairs.values()), columns=["path", "split", "other", "other_split", "similarity"])
    return table.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


def united_groups(names: Sequence[str], duplicates: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Groups (n,) that part neither the pictures of one name nor near-duplicates.

    Args:
        names: of the person or group on each picture, empty where nobody said.
        duplicates: the number of the group of near-duplicates of each, from ``near_duplicate_groups``.
    """
    known = _Union(len(names))
    first: dict[tuple[str, str], int] = {}
    for i, (name, number) in enumerate(zip(names, duplicates, strict=True)):
        for key in [("near-duplicates", str(number)), *([("name", name)] if name else [])]:
            known.join(i, first.setdefault(key, i))
    return pd.factorize(np.array([known.find(i) for i in range(len(names))]))[0]


Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


@contextmanager
def _readable(table: pd.DataFrame | str | Path) -> Iterator[tuple[pd.DataFrame, Sequence[bytes]]]:
    """The rows of readable pictures and their thumbnails."""
    if isinstance(table, pd.DataFrame):
        rows = table[table["readable"]].reset_index(drop=True)
        yield rows, rows["thumbnail"].tolist()
        return
    rows = read_columns(table, ["path", "split", "class_name", "readable", "sha256"])
    with stored_thumbnails(table) as thumbnails:
        yield rows[rows["readable"]].reset_index(drop=True), thumbnails


def _pairs(
    rows: pd.DataFrame, thumbnails: Sequence[bytes], min_similarity: float, *, across_splits: bool = False
) -> Pairs:
    """Positions and similarities of pairs that hold the groups together: enough of them to connect every group."""
    n = len(rows)
    groups, found = _Union(n), []
    whole = lru_cache(_KEPT)(lambda i: prepare_whole(_grey(thumbnails[i]).astype(np.float32)))
    parts = lru_cache(_KEPT)(lambda i: prepare_parts(_grey(thumbnails[i]).astype(np.float32)))

    def join(pairs: Sequence[tuple[int, int]], similarities: Iterable[float]) -> None:
        for (i, j), similarity in zip(pairs, similarities, strict=True):
            if similarity >= min_similarity:
                found.append((i, j, similarity))
                groups.join(i, j)

    def compare(pairs: Sequence[tuple[int, int]]) -> Iterable[float]:
        return in_order(lambda pair: agreement(whole(pair[0]), parts(pair[1])), pairs)

    copies = _repeats(range(n), rows["sha256"])
    join(copies, [1.0] * len(copies))
    firsts = groups.firsts()
    turned = _repeats(firsts, in_order(lambda i: upright_phash(_grey(thumbnails[i])), firsts))
    join(turned, compare(turned))
    distinct = np.array(groups.firsts(), dtype=np.int64)
    todo = distinct[candidate_pairs(_of(thumbnails, distinct), THUMBNAIL_SIDE)]
    if across_splits:
        split = rows["split"].to_numpy()
        todo = todo[split[todo[:, 0]] != split[todo[:, 1]]]
    in_vain = 0
    for start in range(0, len(todo), _AT_ONCE):
        block = [(i, j) for i, j in todo[start : start + _AT_ONCE].tolist() if groups.find(i) != groups.find(j)]
        similarities = list(compare(block))
        join(block, similarities)
        in_vain += sum(similarity < min_similarity for similarity in similarities)
        if len(distinct) > MANY and in_vain > len(distinct) // _IN_VAIN:
            break  # the rest is less alike
    left, right, alike = zip(*found, strict=True) if found else ((), (), ())
    return np.array(left, np.int64), np.array(right, np.int64), np.array(alike, np.float64)


def _of(thumbnails: Sequence[bytes], numbers: npt.NDArray[np.int64]) -> Sequence[bytes]:
    return thumbnails.of(numbers) if isinstance(thumbnails, ThumbnailFile) else [thumbnails[i] for i in numbers]


def _repeats(items: Iterable[int], keys: Iterable[str]) -> list[tuple[int, int]]:
    """Every item whose key came before, with the first that had it."""
    first: dict[str, int] = {}
    return [(i, j) for i, key in zip(items, keys, strict=True) if (j := first.setdefault(key, i)) != i]


def _grey(thumbnail: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)


class _Union:
    """What is known to belong together (disjoint sets)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = i = self._parent[self._parent[i]]
        return i

    def join(self, i: int, j: int) -> None:
        self._parent[self.find(i)] = self.find(j)

    def firsts(self) -> list[int]:
        """One member of each group: where all were joined to one, that one."""
        return [i for i in range(len(self._parent)) if self.find(i) == i]


def _components(n: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers (n,) of the connected components of the graph of pairs."""
    known = _Union(n)
    for i, j in zip(left.tolist(), right.tolist(), strict=True):
        known.join(i, j)
    return np.array([known.find(i) for i in range(n)], dtype=np.int64)


def _closest(
    split: npt.NDArray[np.object_],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    similarity: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each picture its partner in the most alike of its pairs, one over two splits if any is, and how alike."""
    closest, best = np.arange(len(split)), np.zeros(len(split))
    crosses = split[left] != split[right]
    for pair in np.lexsort((similarity, crosses)):  # the last one written stays
        for i, j in ((left[pair], right[pair]), (right[pair], left[pair])):
            closest[i], best[i] = j, similarity[pair]
    return closest, best
