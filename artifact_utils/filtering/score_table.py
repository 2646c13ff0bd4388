"""The table of a scoring: a row a picture, kept whole over kills and changed files, in little memory at any length."""

import csv
import hashlib
import heapq
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SCORE_COLUMNS = ("path", "probability", "flagged", "reason")
N_WORST = 24  # pictures on the contact sheet


class Tally:
    """Counts, and the worst pictures, of any number of rows."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.n = self.flagged = self.unreadable = 0
        self._heap: list[tuple[float, str]] = []

    def add(self, path: str, probability: str, reason: str) -> tuple[str, str, str, str]:
        """Count one picture and return its row."""
        self.n += 1
        if not probability:
            self.unreadable += 1
            return path, "", "", reason
        value = float(probability)
        flagged = value >= self.threshold
        self.flagged += flagged
        heapq.heappush(self._heap, (value, path))
        if len(self._heap) > N_WORST:
            heapq.heappop(self._heap)
        return path, probability, str(int(flagged)), ""

    def worst(self) -> list[tuple[float, str]]:
        return sorted(self._heap, reverse=True)


class PathSet:
    """Which paths are known, in eight bytes each: a table can have millions of rows."""

    def __init__(self, digests: array) -> None:  # type: ignore[type-arg]
        self._digests = np.sort(np.frombuffer(digests, dtype=np.uint64)) if len(digests) else np.empty(0, np.uint64)

    @staticmethod
    def digest(path: str) -> int:
        name = path.encode("utf-8", errors="surrogateescape")
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")

    def has(self, path: str) -> bool:
        digest = np.uint64(self.digest(path))
        place = np.searchsorted(self._digests, digest)
        return bool(place < len(self._digests) and self._digests[place] == digest)


def refresh(scores: Path, folder: Path, since: float, tally: Tally) -> PathSet:
    """Write the table anew with the rows that still hold: of whole lines, of files unchanged since they were scored."""
    digests = array("Q")
    temporary = scores.with_name(scores.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(SCORE_COLUMNS)
        for path, probability, _, reason in _whole_rows(scores):
            try:
                unchanged = (folder / path).stat().st_ctime < since
            except (OSError, ValueError):  # ValueError: a NUL byte in the table
                continue  # it is gone, or cannot be seen: the walk will tell
            if unchanged and is_inside(path) and _is_score(probability):
                writer.writerow(tally.add(path, probability, reason))
                digests.append(PathSet.digest(path))
    temporary.replace(scores)
    return PathSet(digests)


def is_inside(path: str) -> bool:
    """Whether a path from a table stays in the folder that it is relative to: tables may come from strangers."""
    pure = Path(path)
    return not pure.is_absolute() and ".." not in pure.parts


def _is_score(probability: str) -> bool:
    try:
        return not probability or 0.0 <= float(probability) <= 1.0
    except ValueError:  # the table may hold anything
        return False


def _whole_rows(scores: Path) -> Iterator[list[str]]:
    """The rows of the table, without a last one that a kill has cut off."""
    if not scores.exists():
        return
    with scores.open("rb") as file:
        file.seek(max(0, scores.stat().st_size - 1))
        is_whole = file.read() == b"\n"
    with scores.open(newline="", encoding="utf-8", errors="surrogateescape") as table:
        rows = csv.reader(table)
        row = next(rows, None)
        while row is not None:
            following = next(rows, None)
            if len(row) == len(SCORE_COLUMNS) and row != list(SCORE_COLUMNS) and (is_whole or following is not None):
                yield row
            row = following
