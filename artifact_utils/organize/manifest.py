"""The record of an organised folder: one row a picture, written before the first picture is placed.

OUTPUT/.manifest.sqlite is what is believed, OUTPUT/manifest.csv what people and training read. Earlier versions had
the CSV alone; its rows are taken over, but where they say that a picture came from has to be confirmed before anything
goes there.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from artifact_utils.files.databases import connect, transaction
from artifact_utils.files.tables import read_csv, write_csv
from artifact_utils.files.writing import FileError
from artifact_utils.labels import CLASS_NAMES, LabelError, parse_label

SPLITS = ("train", "test", "val")
MANIFEST, REJECTED, RECORD = "manifest.csv", "rejected.csv", ".manifest.sqlite"
MANIFEST_COLUMNS = ("path", "split", "label", "class", "source", "sha256", "group")
SCHEMA = """
CREATE TABLE about (inode INTEGER NOT NULL);
CREATE TABLE entries (path BLOB NOT NULL UNIQUE, source BLOB NOT NULL, sha256 TEXT NOT NULL, person BLOB NOT NULL,
  confirmed INTEGER NOT NULL);
"""


class OrganizeError(FileError):
    """The job cannot be done as asked. What was begun can be continued by running it again, or undone."""


@dataclass(frozen=True)
class Entry:
    """One picture, one row of the manifest."""

    path: str
    """Its place relative to the output folder: ``train/artifacts/image_00002_1.png``."""
    source: str
    """Absolute path it came from."""
    sha256: str
    group: str = ""
    """Person or prompt family, where SOURCE/groups.csv names it."""

    @property
    def split(self) -> str:
        return self.path.split("/")[0]

    @property
    def label(self) -> int:
        return CLASS_NAMES.index(self.path.split("/")[1])

    def row(self) -> tuple[str, ...]:
        return (self.path, self.split, str(self.label), CLASS_NAMES[self.label], self.source, self.sha256, self.group)


def read_manifest(output: Path | str) -> tuple[Entry, ...]:
    """The pictures that OUTPUT holds as far as is recorded, sorted by path; none if there is no record.

    Raises:
        OrganizeError: the record is damaged, or names a place outside the class folders.
    """
    record = _read_record(Path(output))
    return _read_table(Path(output) / MANIFEST) if record is None else tuple(record)


def _read_table(manifest: Path) -> tuple[Entry, ...]:
    entries = []
    for row in read_csv(manifest, MANIFEST_COLUMNS):
        entry = Entry(row["path"], row["source"], row["sha256"], row["group"])
        if not (_is_class_path(entry.path) and entry.row() == tuple(row.values())):
            raise OrganizeError(f"{str(manifest)!r} is damaged: it cannot say {','.join(row.values())!r}")
        entries.append(entry)
    return tuple(entries)


def _read_record(output: Path) -> dict[Entry, bool] | None:
    """The entries, and whether a run on this machine has placed each from where it says; None without a record."""
    if not (output / RECORD).is_file():
        return None
    with _record(output) as connection:
        inode = connection.execute("SELECT inode FROM about").fetchone()
        rows = connection.execute(
            "SELECT path, source, sha256, person, confirmed FROM entries ORDER BY path"
        ).fetchall()
    if inode is None:  # a kill came before anything was recorded
        return None
    is_own = inode == ((output / RECORD).stat().st_ino,)  # not unpacked or copied from somewhere
    entries = {}
    for path, source, sha256, person, confirmed in rows:
        if not all(isinstance(value, bytes) for value in (path, source, person)) or not isinstance(sha256, str):
            raise OrganizeError(f"{str(output / RECORD)!r} is damaged")
        entry = Entry(os.fsdecode(path), os.fsdecode(source), sha256, os.fsdecode(person))
        if not _is_class_path(entry.path) or b"\0" in source or not source.startswith(b"/"):
            raise OrganizeError(f"{str(output / RECORD)!r} is damaged: it cannot say {entry.path!r}")
        entries[entry] = is_own and confirmed == 1
    return entries


@contextlib.contextmanager
def _record(output: Path) -> Iterator[sqlite3.Connection]:
    file = output / RECORD
    try:
        connection = connect(file, SCHEMA, wal=False)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise OrganizeError(f"{str(file)!r} cannot be used: {error}") from error


def unconfirmed(output: Path) -> list[Entry]:
    """The entries of which nobody on this machine has said that they came from where they say."""
    record = _read_record(output)
    if record is None:
        return list(_read_table(output / MANIFEST))
    return [entry for entry, confirmed in record.items() if not confirmed]


def _is_class_path(path: str) -> bool:
    """Whether it reads SPLIT/CLASS/NAME, with a label in the name."""
    folder, _, name = path.rpartition("/")
    if "\0" in path or folder not in {f"{split}/{class_name}" for split in SPLITS for class_name in CLASS_NAMES}:
        return False
    try:
        parse_label(name)
    except LabelError:
        return False
    return True


def write_manifest(output: Path, entries: Iterable[Entry], confirmed: Iterable[Entry] = ()) -> None:
    """Record the entries, and write OUTPUT/manifest.csv; each whole or not at all.

    Args:
        output: the organised folder.
        entries: all of them.
        confirmed: those whose source was just read, besides those of which that was known.
    """
    entries = tuple(entries)
    known = {*confirmed, *(set(read_manifest(output)) - set(unconfirmed(output)))}
    if _read_record(output) != {entry: entry in known for entry in entries}:
        _write_record(output, entries, known)
    write_csv(output / MANIFEST, MANIFEST_COLUMNS, [entry.row() for entry in entries])


def _write_record(output: Path, entries: Iterable[Entry], known: set[Entry]) -> None:
    with _record(output) as connection, transaction(connection):
        connection.execute("DELETE FROM about")
        connection.execute("INSERT INTO about VALUES (?)", ((output / RECORD).stat().st_ino,))
        connection.execute("DELETE FROM entries")
        connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
            (
                (os.fsencode(e.path), os.fsencode(e.source), e.sha256, os.fsencode(e.group), int(e in known))
                for e in entries
            ),
        )


def remove_manifest(output: Path) -> None:
    """Remove the record and the table, the record last."""
    for name in (MANIFEST, *(f"{RECORD}{suffix}" for suffix in ("-wal", "-shm", "-journal", ""))):
        (output / name).unlink(missing_ok=True)


def class_folders(output: Path) -> list[Path]:
    """Every folder that may hold placed pictures, whether it is there or not."""
    return [output / split / name for split in SPLITS for name in CLASS_NAMES]
