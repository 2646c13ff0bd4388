"""What people say of the pictures of a scored folder, where the detector is wrong or its verdict was confirmed.

A correction belongs to a picture by its name and by its content: it survives scoring anew, and a picture that is
renamed or moved keeps it; one that is edited does not.
"""

import os
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from artifact_utils.files.databases import transaction
from artifact_utils.files.writing import file_digest, real_path
from artifact_utils.filtering.options import FilterError
from artifact_utils.labels import ARTIFACT, CLEAN

_COLUMNS = "path, sha256, verdict, old_verdict, score, time"


class Correction(NamedTuple):
    """A row of the corrections."""

    path: bytes
    """Relative to the scored folder."""
    sha256: str
    """Of the file."""
    verdict: int
    """1 artifact, 0 none."""
    old_verdict: int | None
    """What held before: of an earlier correction, or else of the detector at its threshold; None if it had none."""
    score: float | None
    """Probability that the detector had given."""
    time: float
    """Seconds since 1970."""


class Corrections:
    """The corrections of a folder, as ``State.corrections`` has them; every change is committed at once.

    Args:
        connection: to the state.
        folder: the scored one, with all links followed.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection, self._folder = connection, folder

    def add(self, path: bytes, verdict: int) -> Correction:
        """Say what a picture is, instead of whatever was said of it before.

        Raises:
            FilterError: it is not in the scores, is not there any more, or the verdict is neither 0 nor 1.
        """
        if verdict not in (CLEAN, ARTIFACT):
            raise FilterError(f"verdict {verdict!r}: choose {ARTIFACT} for an artifact, {CLEAN} for none")
        query = "SELECT probability, probability >= threshold FROM scores, about WHERE path = ?"
        scored = self._connection.execute(query, (path,)).fetchone()
        if scored is None:
            raise FilterError(f"{os.fsdecode(path)!r} is not among the scores of {self._folder}")
        sha256 = self._digest(path)
        before = self.find(path, sha256)
        correction = Correction(
            path, sha256, verdict, scored[1] if before is None else before.verdict, scored[0], time.time()
        )
        with transaction(self._connection):
            self._connection.execute("DELETE FROM corrections WHERE sha256 = ?", (sha256,))  # another may be renamed
            self._connection.execute(f"INSERT INTO corrections ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", correction)
        return correction

    def remove(self, path: bytes) -> bool:
        """Take back what was said of a picture, whatever it was called then; returns whether there was anything."""
        try:
            digest = self._digest(path)
        except FilterError:  # it is gone
            return self._connection.execute("DELETE FROM corrections WHERE path = ?", (path,)).rowcount > 0
        return self._connection.execute("DELETE FROM corrections WHERE sha256 = ?", (digest,)).rowcount > 0

    def list(self) -> "list[Correction]":
        """All, in the order in which they were made."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM corrections ORDER BY time, rowid")
        return [Correction._make(row) for row in rows]

    def find(self, path: bytes, sha256: str) -> Correction | None:
        """What was said of a picture with this content, whatever it is called; with this name first."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM corrections WHERE sha256 = ? ORDER BY path != ? LIMIT 1", (sha256, path)
        ).fetchone()
        return None if row is None else Correction._make(row)

    def _digest(self, path: bytes) -> str:
        """Of the file, or of the one that was moved away from there."""
        file = self._folder / os.fsdecode(path)
        digest = file_digest(real_path(file)) if file.is_file() else None
        if digest is not None:
            return digest
        moved = self._connection.execute(
            "SELECT sha256 FROM moves WHERE source = ? AND step = 'moved' ORDER BY id DESC LIMIT 1", (path,)
        ).fetchone()
        if moved is None:
            raise FilterError(f"{str(file)!r} is gone: nothing can be said of it")
        return str(moved[0])
