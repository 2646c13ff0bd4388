"""What is in a set of scores at a threshold: the queries behind ``python -m artifact_utils.filtering.select``."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import tyro

from artifact_utils.files.writing import write_bytes
from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.parts_query import connect, folder_of_path, reading, view_parts, write_csv
from artifact_utils.filtering.scored_picture import leads_out
from artifact_utils.predictions import TOO_SMALL

if TYPE_CHECKING:
    from artifact_utils.scale.stores import Store

BINS = 10
"""Of the histogram of each folder, over the probabilities from 0 to 1."""
SHOWN = 12
"""Folders that the summary names; folders.csv has all."""


@dataclass(frozen=True)
class SelectConfig:
    """Which scores to look into, and what to write."""

    scores: tyro.conf.Positional[str]
    """Folder or URL that filter_images.py --engine ray has written to."""
    threshold: float | None = None
    """Flag from this probability on. Default: the threshold of the scoring."""
    review: float | None = None
    """Choose the threshold that flags this share of the pictures instead, such as 0.02."""
    worst: int = 24
    """Pictures on the contact sheet; 0: none, and no picture is read."""
    depth: int = 1
    """Levels of folders that are told apart."""
    out: Path | None = None
    """Folder for flagged.csv, clean.csv, folders.csv and worst.jpg. Default: SCORES.selected here."""

    def __post_init__(self) -> None:
        if self.threshold is not None and self.review is not None:
            raise FilterError("--threshold and --review exclude each other: leave one out")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise FilterError(f"--threshold {self.threshold}: choose a probability from 0 to 1")
        if self.review is not None and not 0 < self.review < 1:
            raise FilterError(f"--review {self.review}: choose a share between 0 and 1")
        if self.worst < 0 or self.depth < 1:
            raise FilterError("--worst is 0 or more, --depth 1 or more")

    @property
    def folder(self) -> Path:
        """Where the lists go."""
        name = PurePosixPath(self.scores.rstrip("/")).name or "scores"
        return Path(f"{name}.selected") if self.out is None else self.out


@dataclass(frozen=True)
class Folder:
    """A folder of the scored pictures."""

    name: str
    n: int
    flagged: int
    histogram: tuple[int, ...]
    """Pictures by their probability, from 0 to 1 in `BINS` steps."""


@dataclass(frozen=True)
class Selected:
    """What is in a set of scores at a threshold; as text, a summary for people."""

    n: int
    flagged: int
    clean: int
    unreadable: int
    too_small: int
    threshold: float
    families: dict[str, int]
    """Flagged pictures by the most probable family."""
    folders: list[Folder]
    """With the most flagged pictures first."""
    out: Path

    def __str__(self) -> str:
        named = ", ".join(f"{name} {n}" for name, n in self.families.items() if name)
        lines = [
            f"{self.n} pictures: {self.flagged} flagged at {self.threshold:.6g} and above"
            f"{f' ({named})' if named else ''}, {self.clean} clean, {self.unreadable} unreadable, "
            f"{self.too_small} too small",
            f"{'folder':30}{'pictures':>12}{'flagged':>10}{'share':>8}  by probability, 0 to 1",
        ]
        for folder in self.folders[:SHOWN]:
            share = folder.flagged / max(folder.n, 1)
            bars = "".join(" .:-=+*#%@"[_level(count, folder.histogram)] for count in folder.histogram)
            lines.append(f"{folder.name[:29]:30}{folder.n:12}{folder.flagged:10}{share:8.1%}  |{bars}|")
        if len(self.folders) > SHOWN:
            lines.append(f"and {len(self.folders) - SHOWN} more in folders.csv")
        return "\n".join([*lines, f"{self.out} has the lists of flagged and clean pictures and the worst on one sheet"])


def _level(count: int, counts: tuple[int, ...]) -> int:
    return -(-9 * count // max(*counts, 1))


def select(config: SelectConfig) -> Selected:
    """Count, and write the lists and the contact sheet.

    Raises:
        ScaleError: DuckDB is not installed, or there are no scores.
        OSError: the lists cannot be written.
    """
    from artifact_utils.scale.score_parts import read_about
    from artifact_utils.scale.stores import open_store

    store = open_store(config.scores)
    about = read_about(store)
    config.folder.mkdir(parents=True, exist_ok=True)
    with _opened(store) as query:
        threshold = about.threshold if config.threshold is None else config.threshold
        if config.review is not None:
            threshold = _share_threshold(query, config.review)
        is_flagged = f"probability >= {threshold!r}"
        (counts,) = query(
            f"SELECT count(*), count(*) FILTER ({is_flagged}), count(*) FILTER (NOT {is_flagged}), "
            f"count(*) FILTER (reason = '{TOO_SMALL}'), count(*) FILTER (probability IS NULL) FROM scores"
        )
        n, flagged, clean, too_small, unjudged = counts
        families = dict(query(f"SELECT family, count(*) FROM scores WHERE {is_flagged} GROUP BY 1 ORDER BY 2 DESC, 1"))
        folders = _folders(query, is_flagged, config)
        flagged_rows = f"path, probability, family FROM scores WHERE {is_flagged}"
        write_csv(query, config.folder / "flagged.csv", flagged_rows, "2 DESC, 1")
        write_csv(query, config.folder / "clean.csv", f"path, probability FROM scores WHERE NOT {is_flagged}")
        worst = query(
            "SELECT probability, path, family FROM scores WHERE probability IS NOT NULL "
            f"ORDER BY 1 DESC, 2 LIMIT {config.worst}"
        )
    if config.worst:
        _write_sheet(open_store(about.source), worst, threshold, config.folder / "worst.jpg")
    return Selected(n, flagged, clean, unjudged - too_small, too_small, threshold, families, folders, config.folder)


@contextmanager
def _opened(store: "Store") -> Iterator[Any]:
    """A function that answers SQL about the view ``scores`` with rows."""
    connection = connect(store)
    try:
        with reading(store):
            view_parts(connection, store)
            yield lambda text: connection.execute(text).fetchall()
    finally:
        connection.close()


def _share_threshold(query: Any, share: float) -> float:
    """The probability from which on at most that share of the judged pictures lies, but for equal ones."""
    ((n,),) = query("SELECT count(probability) FROM scores")
    k = max(int(share * n), 1)
    rows = query(f"SELECT min(p) FROM (SELECT probability AS p FROM scores ORDER BY 1 DESC NULLS LAST LIMIT {k})")
    return 1.0 if rows[0][0] is None else float(rows[0][0])


def _folders(query: Any, is_flagged: str, config: SelectConfig) -> list[Folder]:
    bins = ", ".join(
        f'count(*) FILTER (least(floor(probability * {BINS}), {BINS - 1}) = {i}) AS "from {i / BINS}"'
        for i in range(BINS)
    )
    text = (
        f"{folder_of_path(config.depth)} AS folder, count(*) AS pictures, "
        f"count(*) FILTER ({is_flagged}) AS flagged, {bins} FROM scores GROUP BY 1"
    )
    order = "flagged DESC, folder"
    write_csv(query, config.folder / "folders.csv", text, order)
    return [Folder(row[0], row[1], row[2], row[3:]) for row in query(f"SELECT {text} ORDER BY {order}")]


def _write_sheet(pictures: "Store", worst: list[tuple[float, str, str]], threshold: float, path: Path) -> None:
    """Draw the worst on one sheet; those that are not there any more are left out."""
    from artifact_utils.filtering.contact_sheet import Worst, draw_contact_sheet
    from artifact_utils.images import ImageError

    with tempfile.TemporaryDirectory() as home:
        shown = []
        for i, (probability, name, family) in enumerate(worst):
            if leads_out(name):
                continue
            with suppress(ImageError, OSError):
                content = pictures.read(pictures.entry(name))
                if content is not None:
                    local = f"{i}/{PurePosixPath(name).name}"
                    (Path(home) / str(i)).mkdir()
                    (Path(home) / local).write_bytes(content)
                    shown.append(Worst(probability, local, family))
        sheet = io.BytesIO()
        draw_contact_sheet(Path(home), shown, threshold).save(sheet, "jpeg", quality=90)
    write_bytes(path, sheet.getvalue())
