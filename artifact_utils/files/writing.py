"""Writing, placing and removing files so that a kill at any moment loses nothing; CSV tables.

A file is written under a temporary name in its own folder, verified, and renamed. A file is removed only while another
path holds the same content. So every picture is in at least one place at any moment.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from artifact_utils.console import ArtifactUtilsError

TEMPORARY_NAME = ".artifact_utils.part"
"""Name under which a picture is placed until it is whole; what a killed run left under it, the next run removes."""

Mode = Literal["copy", "move", "link"]


class FileError(ArtifactUtilsError):
    """A file that cannot be placed, moved or read as asked; nothing was lost."""


def real_path(path: Path | str) -> Path:
    """The path with all links followed, even where they lead nowhere or in a circle."""
    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError on a loop of links


def part_of(path: Path) -> Path:
    """Where a file is written until it is whole: a name of its own, so that writers of other files do not meet."""
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return path.with_name(f".artifact_utils.{digest}.part")


def is_part(name: str) -> bool:
    """Whether a killed run may have left a file of this name."""
    return name.startswith(".artifact_utils.") and name.endswith(".part")


def is_utf8(name: str) -> bool:
    """Whether a name from the file system is text; if not, it holds surrogates for bytes that are none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def file_digest(path: Path) -> str | None:
    """SHA-256 of a regular file as hex digits; None if nothing is there, ``not a regular file`` for anything else."""
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        return "not a regular file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(source: Path, target: Path, sha256: str, mode: Mode) -> None:
    """Copy, move or link `source` to `target`, where nothing may be yet: whole and verified, or not at all.

    Raises:
        FileError: there is something at `target`, the source does not have that SHA-256, or a link cannot be made.
    """
    if os.path.lexists(target):
        raise FileError(f"{str(target)!r} appeared meanwhile (does the drive ignore upper and lower case?)")
    temporary = target.with_name(TEMPORARY_NAME)
    temporary.unlink(missing_ok=True)  # never opened for writing: it could be another name of the source
    try:
        _duplicate(source, temporary, mode)
        if file_digest(temporary) != sha256:
            raise FileError(f"{str(source)!r} changed while it was read: run again")
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def _duplicate(source: Path, temporary: Path, mode: Mode) -> None:
    if mode != "copy":  # a move, too, starts as a second name for the same file, where the drive can do that
        try:
            return os.link(os.path.realpath(source), temporary)
        except OSError as error:
            if mode == "link":
                raise FileError(f"cannot link {str(source)!r}: {error.strerror}; use --mode copy") from error
    with source.open("rb") as reader, temporary.open("xb") as writer:
        shutil.copyfileobj(reader, writer)
    with contextlib.suppress(OSError):  # not every drive keeps times
        os.utime(temporary, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    with temporary.open("rb") as file:
        os.fsync(file.fileno())


def remove_copy(path: Path, keeper: Path, sha256: str) -> bool:
    """Remove a file if it and `keeper` both hold that content in their own right; False if not."""
    if file_digest(path) != sha256 or file_digest(keeper) != sha256:
        return False
    if path.samefile(keeper) and path.lstat().st_nlink < 2:  # one is a symbolic link to the other
        return False
    path.unlink()
    return True


def sync_folders(folders: Iterable[Path]) -> None:
    """Make new names durable before old ones are removed."""
    for folder in folders:
        with contextlib.suppress(OSError):  # not every file system can
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def remove_temporary(folders: Iterable[Path]) -> None:
    """Remove what a killed run left under its temporary name."""
    for folder in folders:
        with contextlib.suppress(OSError):
            (folder / TEMPORARY_NAME).unlink()


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, which the kernel releases when the process ends, however it ends.

    Raises:
        FileError: another process holds it, and this one is not to wait.
    """
    import fcntl  # not on Windows, where the rest of the package still works

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives have no locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise FileError(f"another run is at work in {str(folder)!r}: wait for it") from error
        yield
    finally:
        os.close(descriptor)


def read_csv(path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read columns of a CSV file as one dict per row; no rows if there is no file.

    Optional columns that the file lacks are empty. Bytes that are not UTF-8 become surrogates, as in ``os.fsdecode``.

    Raises:
        FileError: it is not a CSV file, or lacks one of the columns.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise csv.Error(f"its first line is {reader.fieldnames}")
            rows = [{column: row.get(column) or "" for column in columns + optional} for row in reader]
            if any("\0" in value for row in rows for value in row.values()):
                raise csv.Error("a NUL byte in it")
            return rows
    except csv.Error as error:
        raise FileError(f"{str(path)!r} is not a CSV file with the columns {','.join(columns)}: {error}") from error


def write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> None:
    """Write a table with a header; a file that holds just that already is not touched."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *rows])
    data = text.getvalue().encode("utf-8", "surrogateescape")
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write indented JSON; paths become text."""
    write_bytes(path, (json.dumps(content, indent=2, default=str) + "\n").encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    temporary = part_of(path)
    temporary.unlink(missing_ok=True)  # never opened for writing: it could be another name of somebody's file
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
