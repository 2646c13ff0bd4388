"""The state of a scored folder: one SQLite file with scores, corrections and moves, whole after a kill at any moment.

Every change is committed, with ``synchronous=FULL``, before what it announces is done. Names are stored as the bytes
that the file system has for them, relative to the folder. Whoever opens the state holds its lock.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from artifact_utils.files.databases import connect, transaction
from artifact_utils.files.locks import output_lock
from artifact_utils.files.moves import Content, new_part_name
from artifact_utils.files.writing import FileError, real_path
from artifact_utils.filtering.corrections import Corrections
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs

SCHEMA = """
CREATE TABLE about (folder BLOB NOT NULL, threshold REAL, counted TEXT NOT NULL DEFAULT '');
CREATE TABLE models (id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, families TEXT NOT NULL DEFAULT '', \
sharpness REAL NOT NULL DEFAULT 1, own_threshold REAL);
CREATE TABLE scores (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, model INTEGER NOT NULL, probability REAL,
  reason TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, \
ctime_ns INTEGER NOT NULL, details TEXT NOT NULL DEFAULT '');
CREATE TABLE corrections (path BLOB NOT NULL, verdict INTEGER NOT NULL, old_verdict INTEGER, time REAL NOT NULL, \
sha256 TEXT NOT NULL DEFAULT '', score REAL);
CREATE TABLE moves (id INTEGER PRIMARY KEY, source BLOB NOT NULL, target BLOB NOT NULL, destination BLOB NOT NULL,
  size INTEGER NOT NULL, sha256 TEXT NOT NULL, part TEXT NOT NULL, step TEXT NOT NULL, time REAL NOT NULL);
"""
"""``corrections`` are what a person says of a picture, see ``Corrections``.
``counted`` and ``families`` are names of families, with spaces between them, ``details`` is what
``judging.write_details`` writes. ``own_threshold`` is what the file of a model says, where that was asked for."""

_ADDED = (
    ("about", ", counted TEXT NOT NULL DEFAULT ''"),
    ("models", ", families TEXT NOT NULL DEFAULT ''"),
    ("models", ", sharpness REAL NOT NULL DEFAULT 1"),
    ("scores", ", details TEXT NOT NULL DEFAULT ''"),
)
"""Columns since families of artifacts are told apart, with the table that each is the last of."""
_ADDED_LATER = (
    ("corrections", ", sha256 TEXT NOT NULL DEFAULT ''"),
    ("corrections", ", score REAL"),
)
"""Columns since corrections are made."""
_ADDED_LAST = (("models", ", own_threshold REAL"),)
"""Columns since a model is not read where nothing is left to score."""


def _upgrade(*added: tuple[str, str]) -> tuple[str, str]:
    """The schema without these columns, and the statements that add them."""
    schema = SCHEMA
    for _, column in added:
        schema = schema.replace(column, "")
    return schema, "; ".join(f"ALTER TABLE {table} ADD COLUMN {column[2:]}" for table, column in added)


UPGRADES = dict(
    (_upgrade(*_ADDED, *_ADDED_LATER, *_ADDED_LAST), _upgrade(*_ADDED_LATER, *_ADDED_LAST), _upgrade(*_ADDED_LAST))
)

DAMAGED = (
    "SELECT 1 FROM about WHERE typeof(folder) != 'blob' OR typeof(threshold) NOT IN ('null', 'real') "
    "OR typeof(counted) != 'text' LIMIT 1",
    "SELECT 1 FROM models WHERE typeof(families) != 'text' OR typeof(sharpness) != 'real' OR sharpness <= 0 "
    "OR NOT (own_threshold IS NULL OR (typeof(own_threshold) = 'real' AND own_threshold BETWEEN 0 AND 1)) LIMIT 1",
    "SELECT 1 FROM scores WHERE typeof(path) != 'blob' OR typeof(reason) != 'text' OR typeof(model) != 'integer' "
    "OR typeof(details) != 'text' "
    "OR NOT (probability IS NULL OR (typeof(probability) = 'real' AND probability BETWEEN 0 AND 1)) LIMIT 1",
    "SELECT 1 FROM corrections WHERE typeof(path) != 'blob' OR typeof(sha256) != 'text' OR verdict NOT IN (0, 1) "
    "OR typeof(verdict) != 'integer' OR typeof(time) != 'real' LIMIT 1",
    "SELECT 1 FROM moves WHERE typeof(source) != 'blob' OR typeof(target) != 'blob' OR typeof(destination) != 'blob' "
    "OR typeof(size) != 'integer' OR typeof(sha256) != 'text' OR typeof(step) != 'text' OR typeof(part) != 'text' "
    "OR part NOT GLOB '.artifact_utils.*.part' OR part GLOB '*/*' OR instr(target, x'00') LIMIT 1",
)
"""Queries that find nothing in a state of ours; others may come from strangers."""

NOT_SCORED = "not scored yet"
"""Reason of a picture that has lost the score of another model."""

MOVING, MOVED, RETURNING, RETURNED = "moving", "moved", "returning", "returned"
"""Steps of a move. A returned one only says that its folders may have to go."""


N_LOOKED_AT = 1000
"""Scores that are compared with the files of a folder to see whether it was renamed."""


class Score(NamedTuple):
    """A row of the scores, of a file that had this size and these times when it was read."""

    path: bytes
    probability: float | None
    """Of an artifact; None where the file is no picture."""
    reason: str
    size: int
    mtime_ns: int
    ctime_ns: int
    details: str = ""
    """Of the families of artifacts, as ``judging.write_details`` writes them; empty where nothing is told of them."""


class Move(NamedTuple):
    """A row of the moves."""

    id: int
    source: bytes
    """Relative to the scored folder."""
    target: Path
    """Folder that the file is moved to, with all links followed."""
    destination: bytes
    """Relative to the target."""
    content: Content
    part: str
    """Name of the copy while it is not whole, where the file has to be copied."""
    step: str


@contextlib.contextmanager
def open_state(config: FilterConfig) -> Iterator["State"]:
    """Open the state of a folder, or begin one, and hold its lock.

    Raises:
        FilterError: it cannot be written, is damaged, or belongs to another folder.
        FileError: another process has it open.
    """
    path = Outputs.of(config).state
    way_out = "name a table in another place with --scores"
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(output_lock(path))
        except OSError as error:
            raise FilterError(f"{path} cannot be written ({error.strerror}): {way_out}") from error
        try:
            state = State(path, real_path(config.folder))
            stack.callback(state.close)
            yield state
        except sqlite3.Error as error:
            raise FilterError(f"{path} cannot be used ({error}): set that right, or {way_out}") from error


class State:
    """The tables of one folder.

    Args:
        path: of the SQLite file.
        folder: the scored one, with all links followed.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        try:
            self._connection = connect(path, SCHEMA, upgrades=UPGRADES)
        except FileError as error:
            raise FilterError(f"{error}: name another table with --scores") from error
        try:
            self._prepare()
        except BaseException:  # Ctrl-C, too; it is raised again
            self._connection.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        if not execute("SELECT 1 FROM about").fetchone():
            execute("INSERT INTO about (folder) VALUES (?)", (os.fsencode(self.folder),))
        if any(execute(query).fetchone() for query in DAMAGED):
            raise FilterError(f"{self.path} is damaged: name another table with --scores")
        row = execute("SELECT folder FROM about").fetchone()
        if row is not None and row[0] != os.fsencode(self.folder) and self._was_renamed(Path(os.fsdecode(row[0]))):
            self._rename(Path(os.fsdecode(row[0])))
        elif row is None or row[0] != os.fsencode(self.folder):
            raise FilterError(f"{self.path} belongs to another folder: name another table with --scores")

    def _was_renamed(self, before: Path) -> bool:
        """Whether the folder of the state is gone, and this one holds a file that was scored in it."""
        if os.path.lexists(before):
            return False
        rows = self._connection.execute(f"SELECT path, size, mtime_ns FROM scores LIMIT {N_LOOKED_AT}")
        return holds_a_picture_of(self.folder, rows)

    def _rename(self, before: Path) -> None:
        """Note the new name of the folder, and of folders that were moved along with it.

        Files of a copy have another time of change. Its moves may be those of a stranger, so that none is finished or
        taken back; pictures that were on their way stay where they are.
        """
        query = f"SELECT path, size, mtime_ns, ctime_ns FROM scores LIMIT {N_LOOKED_AT}"
        is_copy = not holds_a_picture_of(self.folder, self._connection.execute(query))
        with self.transaction():
            if is_copy:
                self._connection.execute("UPDATE moves SET step = ? WHERE step IN (?, ?)", (MOVED, MOVING, RETURNING))
            self._connection.execute("UPDATE about SET folder = ?", (os.fsencode(self.folder),))
            for (target,) in self._connection.execute("SELECT DISTINCT target FROM moves").fetchall():
                along = os.path.normpath(self.folder / os.path.relpath(os.fsdecode(target), before))
                if not os.path.lexists(target) and os.path.isdir(along):  # noqa: PTH112 (next to bytes)
                    self._connection.execute(
                        "UPDATE moves SET target = ? WHERE target = ?", (os.fsencode(real_path(along)), target)
                    )

    def close(self) -> None:
        self._connection.close()

    @property
    def corrections(self) -> Corrections:
        """What people say of the pictures."""
        return Corrections(self._connection, self.folder)

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """All changes in here are there after a kill, or none."""
        return transaction(self._connection)

    # Scores

    @property
    def threshold(self) -> float | None:
        """Of the last scoring."""
        return self._connection.execute("SELECT threshold FROM about").fetchone()[0]

    @property
    def counted(self) -> tuple[str, ...]:
        """The families that counted in the last scoring."""
        return tuple(self._connection.execute("SELECT counted FROM about").fetchone()[0].split())

    @property
    def families(self) -> tuple[tuple[str, ...], float]:
        """The families that the model of the scores tells apart, and the sharpness of their smooth maximum."""
        query = "SELECT families, sharpness FROM models WHERE id = (SELECT model FROM scores LIMIT 1)"
        row = self._connection.execute(query).fetchone()
        return ((), 1.0) if row is None else (tuple(row[0].split()), row[1])

    def said_of_model(self, sha256: str) -> tuple[tuple[str, ...], float, float | None] | None:
        """Families, sharpness and own threshold (None: was not said) of a model that has given scores; None if none."""
        query = "SELECT families, sharpness, own_threshold FROM models WHERE sha256 = ?"
        row = self._connection.execute(query, (sha256,)).fetchone()
        return None if row is None else (tuple(row[0].split()), row[1], row[2])

    @property
    def model(self) -> str:
        """SHA-256 of the model of the scores; nothing where there is no score."""
        query = "SELECT sha256 FROM models WHERE id = (SELECT model FROM scores LIMIT 1)"
        row = self._connection.execute(query).fetchone()
        return "" if row is None else str(row[0])

    def use_model(
        self,
        sha256: str,
        threshold: float,
        *,
        own_threshold: float | None = None,
        counted: Iterable[str] = (),
        families: Iterable[str] = (),
        sharpness: float = 1.0,
        rescore: bool = False,
    ) -> None:
        """Say which model gives the scores from now on.

        Args:
            sha256: of its file.
            threshold: that pictures are flagged from.
            own_threshold: of the file, where that is known.
            counted: the families that count.
            families: that the model tells apart.
            sharpness: of the smooth maximum over their logits.
            rescore: whether the scores of another one are given up; their pictures keep their numbers.

        Raises:
            FilterError: the scores so far are those of another one.
        """
        names = " ".join(families)
        execute = self._connection.execute
        with self.transaction():
            execute(
                "INSERT INTO models (sha256, families, sharpness, own_threshold) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (sha256) DO UPDATE SET families = excluded.families, sharpness = excluded.sharpness, "
                "own_threshold = coalesce(excluded.own_threshold, own_threshold)",
                (sha256, names, float(sharpness), own_threshold),
            )
            (model,) = execute("SELECT id FROM models WHERE sha256 = ?", (sha256,)).fetchone()
            if rescore:  # a size that no file has: it is read again
                execute(
                    "UPDATE scores SET model = ?, probability = NULL, reason = ?, size = -1, details = '' "
                    "WHERE model != ?",
                    (model, NOT_SCORED, model),
                )
            elif execute("SELECT 1 FROM scores WHERE model != ? LIMIT 1", (model,)).fetchone():
                raise FilterError(
                    f"{self.path} belongs to another model: name another table with --scores, or --rescore"
                )
            execute("UPDATE about SET threshold = ?, counted = ?", (threshold, " ".join(counted)))
        self._model = model

    def add_scores(self, scores: Iterable[Score]) -> None:
        with self.transaction():
            self._connection.executemany(
                "INSERT INTO scores (path, model, probability, reason, size, mtime_ns, ctime_ns, details) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET model = excluded.model, "
                "probability = excluded.probability, reason = excluded.reason, size = excluded.size, "
                "mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, details = excluded.details",
                ((score.path, self._model, *score[1:]) for score in scores),
            )

    def find(self, paths: Iterable[bytes]) -> dict[bytes, tuple[int, int, int, int]]:
        """Of each file that has a score: the number of that, and size, mtime_ns and ctime_ns as they were then."""
        paths = list(paths)
        places = ", ".join("?" * len(paths))
        rows = self._connection.execute(
            f"SELECT path, id, size, mtime_ns, ctime_ns FROM scores WHERE path IN ({places})", paths
        )
        return {path: (number, size, mtime_ns, ctime_ns) for path, number, size, mtime_ns, ctime_ns in rows}

    def last_score(self) -> int:
        """The highest number of a score."""
        return self._connection.execute("SELECT max(id) FROM scores").fetchone()[0] or 0

    def forget_scores(self, numbers: Iterable[int]) -> None:
        with self.transaction():
            self._connection.executemany("DELETE FROM scores WHERE id = ?", ((number,) for number in numbers))

    def score_numbers(self) -> Iterator[int]:
        return (number for (number,) in self._connection.execute("SELECT id FROM scores"))

    def score_numbers_by_path(self) -> Iterator[int]:
        """In the order of ``scores``."""
        return (number for (number,) in self._connection.execute("SELECT id FROM scores ORDER BY path"))

    def scores(self) -> Iterator[Score]:
        """All scores, in the order of their names."""
        columns = "path, probability, reason, size, mtime_ns, ctime_ns, details"
        return map(Score._make, self._connection.execute(f"SELECT {columns} FROM scores ORDER BY path"))

    # Moves

    def intend(self, moves: Iterable[tuple[bytes, Path, bytes, Content]], step: str = MOVING) -> list[Move]:
        """Write down what is going to be moved: source, target, destination, content."""
        planned = []
        with self.transaction():
            for source, target, destination, content in moves:
                part = new_part_name()
                number = self._connection.execute(
                    "INSERT INTO moves (source, target, destination, size, sha256, part, step, time) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (source, os.fsencode(target), destination, *content, part, step, time.time()),
                ).lastrowid
                assert number is not None
                planned.append(Move(number, source, target, destination, content, part, step))
        return planned

    def set_step(self, moves: Iterable[Move], step: str) -> None:
        """Write down where moves are now, and the content that they have now."""
        with self.transaction():
            self._connection.executemany(
                "UPDATE moves SET step = ?, size = ?, sha256 = ?, time = ? WHERE id = ?",
                ((step, *move.content, time.time(), move.id) for move in moves),
            )

    def moves(self, *steps: str, target: Path | None = None) -> list[Move]:
        """The moves at these steps, in the order in which they were written down."""
        columns, places = "id, source, target, destination, size, sha256, part, step", ", ".join("?" * len(steps))
        rows = self._connection.execute(f"SELECT {columns} FROM moves WHERE step IN ({places}) ORDER BY id", steps)
        found = [
            Move(number, source, Path(os.fsdecode(folder)), destination, Content(size, sha256), part, step)
            for number, source, folder, destination, size, sha256, part, step in rows
        ]
        return found if target is None else [move for move in found if move.target == target]

    def forget_moves(self, moves: Iterable[Move]) -> None:
        with self.transaction():
            self._connection.executemany("DELETE FROM moves WHERE id = ?", ((move.id,) for move in moves))


def holds_a_picture_of(folder: Path, rows: Iterable[Sequence[Any]]) -> bool:
    """Whether a folder holds a file as a row has it: path, size, mtime_ns, and ctime_ns if that has to be the same."""
    for path, *known in rows:
        with contextlib.suppress(OSError, ValueError):  # it was moved, or a stranger's name holds a NUL
            status = (folder / os.fsdecode(path)).lstat()
            if [status.st_size, status.st_mtime_ns, status.st_ctime_ns][: len(known)] == known:
                return True
    return False
