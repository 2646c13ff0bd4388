"""Which files of a folder are taken for pictures, listed while they are asked for."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from artifact_utils.console import os_error_text
from artifact_utils.files.writing import real_path
from artifact_utils.images import PICTURE_SUFFIXES

logger = logging.getLogger(__name__)


def list_pictures(folder: Path, leave_out: Path | None) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every file below the folder whose suffix is a picture's, by its path in there, and its state before it is read.

    Links to files are followed, links to folders are not.
    """
    skip = real_path(leave_out) if leave_out else None
    folders = [folder]
    while folders:
        parent, below = folders.pop(), []
        prefix = b"" if parent == folder else os.fsencode(parent.relative_to(folder)) + b"/"
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        below.append(Path(entry.path))
                    elif is_named_like_a_picture(entry.name) and (status := _status(entry)):
                        yield prefix + os.fsencode(entry.name), status
        except OSError as error:
            logger.warning("left out %s", os_error_text(error))
        folders += sorted((path for path in below if real_path(path) != skip), reverse=True)


def is_named_like_a_picture(name: str) -> bool:
    """Whether the suffix of a file is one that people give to pictures."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and f".{suffix}".lower() in PICTURE_SUFFIXES


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Of the file that an entry leads to, of the link itself where it leads nowhere; None for a link to a folder."""
    try:
        status = entry.stat()
        return None if stat.S_ISDIR(status.st_mode) else status
    except OSError:
        try:
            return entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # removed meanwhile
            return None
