"""The clean pictures of a scored folder in one zip file, written as it is read: to a disk or to a browser."""

import logging
import os
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO

from artifact_utils.filtering.judging import Judge
from artifact_utils.filtering.labelled import labelled_pictures, path_below
from artifact_utils.filtering.state import Score, State
from artifact_utils.labels import ARTIFACT

logger = logging.getLogger(__name__)

_UNSAFE = {ord(c): "_" for c in '\\:*?"<>|'} | dict.fromkeys([*range(32), 127], "_")
"""What a name must not hold on Windows, or on a terminal."""
FIRST_DAY, LAST_DAY = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
"""The dates that a zip file can hold."""


def zip_clean(
    state: State, judge: Judge, file: IO[bytes], *, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the pictures that are not flagged as a zip, in their subfolders; returns how many.

    What a person says of a picture overrules the judge. Pictures that are unreadable or too small, or that changed
    since they were scored, are left out; a line says how many changed. Names are such that no system takes them for
    anything else: no ``..``, no drive, no control characters, no two alike.

    Args:
        state: of the folder, open.
        judge: ``Judge.of(config, state)``, or one with another threshold or other families.
        file: to write to; it need not be seekable.
        on_progress: called with the number of pictures written and of all, after each.
    """
    clean = list(clean_scores(state, judge))
    taken: set[str] = set()
    left = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for done, score in enumerate(clean, 1):
            left += not _add(archive, state, score, taken)
            if on_progress is not None:
                on_progress(done, len(clean))
    if left:
        logger.warning("%d pictures are gone or have changed since they were scored: left out of the zip", left)
    return len(clean) - left


def clean_scores(state: State, judge: Judge) -> Iterator[Score]:
    """The scores of the pictures that a person says are clean or, where nobody said anything, the judge."""
    said = {picture.file: picture.label for picture in labelled_pictures(state)}
    for score in state.scores():
        if score.probability is not None:
            verdict = said.get(state.folder / path_below(score.path), int(judge(score).flagged))
            if verdict != ARTIFACT:
                yield score


def _add(archive: zipfile.ZipFile, state: State, score: Score, taken: set[str]) -> bool:
    """Whether the file could be added: it has to be the one that was scored."""
    path = state.folder / path_below(score.path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # links to files are scored, a pipe would block
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as picture:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns, status.st_ctime_ns) != score[3:6]:
            return False
        day = time.localtime(status.st_mtime)[:6]
        info = zipfile.ZipInfo(_free_name(score.path, taken), min(max(day, FIRST_DAY), LAST_DAY))
        info.file_size = status.st_size  # says whether ZIP64 is needed
        info.external_attr = 0o644 << 16
        with archive.open(info, "w") as entry:
            shutil.copyfileobj(picture, entry, 1 << 20)
    return True


def _free_name(path: bytes, taken: set[str]) -> str:
    """A safe name for the picture in the archive that no other has, upper and lower case taken for one."""
    names = os.fsdecode(path).encode("utf-8", "replace").decode().translate(_UNSAFE).split("/")
    whole = PurePosixPath(*(name.rstrip(". ") or "_" for name in names))
    name, number = whole.as_posix(), 2
    while name.casefold() in taken:
        name, number = whole.with_stem(f"{whole.stem}-{number}").as_posix(), number + 1
    taken.add(name.casefold())
    return name
