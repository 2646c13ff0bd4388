"""A set of scores that a person looks through: the worst of millions of rows, their pictures, lists at a threshold.

Nothing is scored again and nothing of the scores is changed. Their rows are copied once into a private file of DuckDB,
sorted, so that answers come in a fraction of a second and stay the same while another process goes on scoring.
"""

import itertools
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from artifact_utils.files.private_folders import make_private_folder
from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.parts_query import connect, folder_of_path, reading, view_parts, write_csv
from artifact_utils.filtering.score_table import threshold_curve
from artifact_utils.filtering.scored_picture import local_picture
from artifact_utils.predictions import TOO_SMALL
from artifact_utils.scale.score_parts import About, read_about
from artifact_utils.scale.stores import Entry, open_store

Which = Literal["worst", "borderline", "unreadable"]
MOST_ROWS = 5000
"""Of one answer."""
KEPT_ROWS = 200_000
"""That can be asked for by their number, of the latest answers."""
KEPT_CURVES = 100
MOST_FOLDERS = 1000
"""That are told apart, those with the most pictures."""


@dataclass(frozen=True)
class Shown:
    """A row that was handed out."""

    entry: Entry
    """The picture in the version that was scored."""
    probability: float | None
    family: str
    reason: str
    """Why it could not be judged."""
    families: dict[str, float]
    """The probability of each that the model tells apart."""


class OpenScores:
    """The scores in a folder or at a URL, as ``filter_images.py --engine ray`` has written them; any thread may ask.

    Args:
        url: where they are.
        threshold: that pictures are flagged from at first; by default that of the scoring.

    Raises:
        ScaleError: DuckDB is not installed, or there are no scores.
    """

    def __init__(self, url: str, threshold: float | None = None) -> None:
        self.store = open_store(url)
        self.about: About = read_about(self.store)
        self.pictures = open_store(self.about.source)
        self.threshold = self.about.threshold if threshold is None else threshold
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._numbers: dict[Entry, int] = {}
        self._shown: dict[int, Shown] = {}
        self._next = itertools.count(secrets.randbelow(1 << 50))  # a browser may have kept pictures of another server
        self._curves: dict[tuple[int, str, str], dict[str, Any]] = {}
        self._version = 0
        with ExitStack() as stack:
            self._home = make_private_folder("scores")
            stack.callback(shutil.rmtree, self._home, ignore_errors=True)
            self._connection = connect(self.store, str(self._home / "scores.duckdb"))
            stack.callback(self._connection.close)
            self.read()
            self._held = stack.pop_all()

    def close(self) -> None:
        """Remove the copy."""
        self._held.close()

    def read(self) -> None:
        """Copy the rows, or copy them anew: those of another run that goes on are there then, too.

        Raises:
            ScaleError: they cannot be read, or are others now; what was copied before stays.
        """
        with self._reading, reading(self.store):
            if read_about(self.store) != self.about:
                raise FilterError(f"{self.store} has the scores of another folder or model now: start the page anew")
            cursor = self._connection.cursor()
            view_parts(cursor, self.store)
            families = "families" if self.about.families else "NULL AS families"
            cursor.execute(
                "CREATE OR REPLACE TABLE copied AS SELECT coalesce(path, '') AS path, coalesce(size, -1) AS size, "
                "coalesce(mtime_ns, -1) AS mtime_ns, coalesce(etag, '') AS etag, probability, "
                f"coalesce(family, '') AS family, coalesce(reason, '') AS reason, {families}, "
                f"{folder_of_path(1)} AS folder FROM scores ORDER BY probability DESC NULLS LAST"
            )
            with self._lock:
                self._version += 1
                self._curves.clear()

    def _ask(self, text: str, values: Sequence[Any] = ()) -> Any:
        """A cursor with the answer: one of this call alone."""
        with reading(self.store):
            return self._connection.cursor().execute(text, list(values))

    # Numbers

    def folders(self) -> list[tuple[str, int, int]]:
        """Name, number of pictures and number of flagged ones of each folder, in the order of their names."""
        found = self._ask(
            "SELECT folder, count(*), count(*) FILTER (probability >= ?) FROM copied GROUP BY 1 ORDER BY 2 DESC, 1 "
            f"LIMIT {MOST_FOLDERS}",
            [self.threshold],
        )
        return sorted(found.fetchall())

    def curve(self, folder: str = "", family: str = "") -> dict[str, Any]:
        """Counts, and what any threshold would flag, exactly.

        Args:
            folder: one of ``folders``; by default all.
            family: of artifacts that is the most probable one in the pictures; by default any.

        Returns:
            ``flagged`` and ``false_alarms`` of ``threshold_curve``, ``at_first`` the same at ``threshold``; ``n``,
            ``unreadable`` and ``too_small``, numbers of pictures.
        """
        with self._lock:
            key = self._version, folder, family
            if key in self._curves:
                return self._curves[key]
        where, values = _where(folder, family)
        counts = self._ask(
            "SELECT count(*), count(*) FILTER (probability IS NULL), "
            f"count(*) FILTER (probability IS NULL AND reason = '{TOO_SMALL}') FROM copied WHERE true{where}",
            values,
        )
        n, unjudged, too_small = counts.fetchone()
        columns = self._ask(f"SELECT probability FROM copied WHERE probability IS NOT NULL{where}", values).fetchnumpy()
        probabilities = np.asarray(columns["probability"], np.float64)
        above = probabilities[probabilities >= self.threshold]
        flagged, alarms = threshold_curve(probabilities)
        curve = {
            "flagged": flagged,
            "false_alarms": alarms,
            "at_first": {"flagged": len(above), "false_alarms": round(float((1 - above).sum()), 2)},
            "n": n,
            "unreadable": unjudged - too_small,
            "too_small": too_small,
        }
        with self._lock:
            if key[0] == self._version:
                self._curves[key] = curve
                while len(self._curves) > KEPT_CURVES:
                    del self._curves[next(iter(self._curves))]
        return curve

    # Pictures

    def rows(
        self, threshold: float, which: Which = "worst", folder: str = "", family: str = "", limit: int = MOST_ROWS
    ) -> dict[str, Any]:
        """Pictures with the highest probability first, as columns; each gets a number that stands for it.

        Args:
            threshold: that ``borderline`` ones are just below.
            which: the worst, those just below the threshold, or those that could not be judged.
            folder, family: as ``curve`` takes them; what could not be judged has no family.
            limit: at most `MOST_ROWS`.

        Returns:
            ``id``, ``name``, ``probability``, ``family``, ``reason`` of each, and ``n``, how many there are in all.
        """
        where, values = _where(folder, "" if which == "unreadable" else family)
        if which == "borderline":
            where, values = f"{where} AND probability < ?", [*values, threshold]
        where = f"probability IS {'' if which == 'unreadable' else 'NOT '}NULL{where}"
        found = self._ask(
            f"SELECT path, size, mtime_ns, etag, probability, family, reason, families FROM copied WHERE {where} "
            f"ORDER BY probability DESC, path LIMIT {min(limit, MOST_ROWS)}",
            values,
        )
        shown = [Shown(Entry(*row[:4]), row[4], row[5], row[6], _known(row[7])) for row in found.fetchall()]
        (n,) = self._ask(f"SELECT count(*) FROM copied WHERE {where}", values).fetchone()
        return {
            "n": n,
            "id": self._hand_out(shown),
            "name": [row.entry.path for row in shown],
            "probability": [row.probability for row in shown],
            "family": [row.family for row in shown],
            "reason": [row.reason for row in shown],
        }

    def _hand_out(self, shown: list[Shown]) -> list[int]:
        with self._lock:
            numbers = []
            for row in shown:
                number = self._numbers.pop(row.entry, None)  # and in again, as the latest
                number = next(self._next) if number is None else number
                self._numbers[row.entry], self._shown[number] = number, row
                numbers.append(number)
            while len(self._numbers) > KEPT_ROWS:
                del self._shown[self._numbers.pop(next(iter(self._numbers)))]
            return numbers

    def shown(self, number: int) -> Shown:
        """The row that a number stands for.

        Raises:
            FilterError: there is none.
        """
        with self._lock:
            row = self._shown.get(number)
        if row is None:
            raise FilterError("this picture was shown too long ago: load the page anew")
        return row

    @contextmanager
    def picture(self, number: int) -> Iterator[Path]:
        """A picture as a file of this machine; errors are those of ``shown`` and ``local_picture``."""
        with local_picture(self.pictures, self.shown(number).entry, self._home) as file:
            yield file

    def write_list(self, path: Path, threshold: float, *, flagged: bool) -> None:
        """Write the paths of the flagged pictures, the worst first, or of the clean ones, as ``select`` does."""
        column = ", family" if flagged else ""
        text = (
            f"path, probability{column} FROM copied WHERE probability {'>=' if flagged else '<'} {float(threshold)!r}"
        )
        write_csv(self._ask, path, text, "2 DESC, 1" if flagged else "")


def _where(folder: str, family: str) -> tuple[str, list[Any]]:
    """Conditions in SQL, and their values."""
    asked = {"folder": folder, "family": family}
    chosen = {name: value for name, value in asked.items() if value}
    return "".join(f" AND {name} = ?" for name in chosen), list(chosen.values())


def _known(families: dict[str, float | None] | None) -> dict[str, float]:
    return {name: p for name, p in (families or {}).items() if p is not None and 0 <= p <= 1}
