"""Placing verified copies or links of files, and removing the ones that are no longer needed.

A file is placed under a temporary name in its new folder, verified, and then given its name, never that of another
file. A file is removed only while another path holds the same content. So every picture is in at least one place at
any moment.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from artifact_utils.files.moves import OpenFolder, give_free_name
from artifact_utils.files.writing import FileError, file_digest

TEMPORARY_NAME = ".artifact_utils.part"
"""Name under which a picture is placed until it is whole; what a killed run left under it, the next run removes."""

Mode = Literal["copy", "move", "link"]


def place(source: Path, target: Path, sha256: str, mode: Mode) -> None:
    """Copy, move or link `source` to `target`, where nothing may be yet: whole and verified, or not at all.

    Raises:
        FileError: there is something at `target`, the source does not have that SHA-256, or a link cannot be made.
    """
    taken = FileError(f"{str(target)!r} appeared meanwhile (does the drive ignore upper and lower case?)")
    if os.path.lexists(target):
        raise taken
    temporary = target.with_name(TEMPORARY_NAME)
    temporary.unlink(missing_ok=True)  # never opened for writing: it could be another name of the source
    try:
        _duplicate(source, temporary, mode)
        if file_digest(temporary) != sha256:
            raise FileError(f"{str(source)!r} changed while it was read: run again")
        with OpenFolder(target.parent) as folder:
            give_free_name(folder.descriptor, os.fsencode(temporary.name), os.fsencode(target.name))
    except FileExistsError as error:
        raise taken from error
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


def remove_empty(path: Path) -> None:
    """Remove a file without content: what a killed run may leave where a picture was to go; see `give_free_name`."""
    with contextlib.suppress(OSError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size == 0:
            path.unlink()


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
