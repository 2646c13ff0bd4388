"""SQLite files that are whole after a kill or a power cut, on network drives too, and that may come from strangers."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from artifact_utils.files.writing import FileError, real_path

NETWORK_DRIVES = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "fuse", "gluster", "lustre", "virtiofs", "drvfs", "vboxsf")
"""Beginnings of file system types on which the shared memory of WAL cannot be relied on."""

SYNCHRONOUS = "FULL"
"""Whether a commit waits until it is on the disk, so that it survives a power cut, too."""


def connect(
    path: Path, schema: str, *, wal: bool = True, upgrades: Mapping[str, str] | None = None
) -> sqlite3.Connection:
    """Open a database with just these tables; a new one is given them. Every statement commits by itself.

    Args:
        path: of the file.
        schema: statements that make the tables.
        wal: use a write-ahead log, where the drive bears one: faster for many commits, but reading makes files, too.
        upgrades: by the schema of an earlier version, the statements that make this one of it.

    Raises:
        FileError: it has other tables, or triggers and the like.
        sqlite3.Error: it is damaged, or cannot be written.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        set_journal_mode(connection, path, wal=wal)
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        found = [sql for (sql,) in connection.execute(query)]
        wanted = _statements(schema)
        changes = {tuple(_statements(old)): _statements(change) for old, change in (upgrades or {}).items()}
        to_do = changes.get(tuple(found), []) if found else wanted
        if to_do:
            with transaction(connection):
                for sql in to_do:
                    connection.execute(sql)
        elif found != wanted:
            raise FileError(f"{path} is not of this version of the program, or not its own")
    except UnicodeDecodeError as error:  # of a message about a schema that is no text
        connection.close()
        raise sqlite3.DatabaseError("its tables are damaged") from error
    except BaseException:  # Ctrl-C, too; it is raised again
        connection.close()
        raise
    return connection


def _statements(sql: str) -> list[str]:
    return [statement.strip() for statement in sql.split(";") if statement.strip()]


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All changes in here are there after a kill, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:  # Ctrl-C, too; it is raised again
        if connection.in_transaction:
            connection.rollback()
        raise
    connection.execute("COMMIT")


def set_journal_mode(connection: sqlite3.Connection, path: Path, *, wal: bool) -> None:
    """Choose WAL, or a rollback journal where that is not wanted or the drive does not bear it."""
    if wal and not is_network_drive(path):
        with contextlib.suppress(sqlite3.OperationalError):
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # is the shared memory to be had?
                return
    connection.execute("PRAGMA journal_mode = DELETE")


def is_network_drive(path: Path) -> bool:
    """Whether a file lies on a network or FUSE drive, by the type of its mount; false where that is not to be known."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    folder, best, kind = real_path(path.parent), -1, ""
    for line in lines:
        words, _, rest = line.partition(" - ")
        mount = Path(words.split()[4].replace("\\040", " "))
        if folder.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), rest.split()[0]
    return kind.startswith(NETWORK_DRIVES)
