"""Writing whole files or none: under a temporary name in the same folder, then renamed."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from artifact_utils.console import ArtifactUtilsError


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
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        left = os.fstat(file.fileno()).st_size  # no more: some files of the kernel never end
        while left > 0 and (piece := file.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write indented JSON; paths become text."""
    write_bytes(path, (json.dumps(content, indent=2, default=str) + "\n").encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut; errors name it."""
    temporary = part_of(path)
    temporary.unlink(missing_ok=True)  # never opened for writing: it could be another name of somebody's file
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:  # of a full disk, which names no file, or of the temporary one
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)
