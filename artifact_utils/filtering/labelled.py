"""The pictures that people have labelled, wherever they lie now, and which of them belong together."""

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from artifact_utils.files.tables import read_csv
from artifact_utils.files.writing import file_digest, real_path
from artifact_utils.filtering.corrections import Correction
from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.state import MOVED, State

logger = logging.getLogger(__name__)

CLOCK_SECONDS = 2.0
"""How far the clock of a drive may be behind ours."""


@dataclass(frozen=True)
class Labelled:
    """A picture and what a person says of it."""

    file: Path
    """Where it is: in the scored folder, or where it was moved to."""
    correction: Correction

    @property
    def label(self) -> int:
        """1 artifact, 0 none."""
        return self.correction.verdict


def labelled_pictures(state: State) -> list[Labelled]:
    """The corrected pictures that are still what they were, in the order in which they were labelled.

    Those that were moved away are found there, renamed ones by their content. A line says how many are gone or edited.

    Raises:
        FilterError: a path in the state leads out of the folder.
    """
    corrections = state.corrections.list()
    moved = {move.content.sha256: move.target / path_below(move.destination) for move in state.moves(MOVED)}
    found: dict[str, Path] = {}
    for correction in corrections:
        for file in (moved.get(correction.sha256), state.folder / path_below(correction.path)):
            if file is not None and file_digest(real_path(file)) == correction.sha256:
                found[correction.sha256] = file
                break
    missing = [correction for correction in corrections if correction.sha256 not in found]
    if missing:
        found |= _by_content(state, missing, skip=set(found.values()))
        again = {c.path: c.sha256 for c in corrections}  # an edited picture may have been labelled again
        if n := sum(c.sha256 not in found and again[c.path] == c.sha256 for c in missing):
            logger.warning("%d labelled pictures are gone from %s or were edited since: left out", n, state.folder)
    return [Labelled(found[c.sha256], c) for c in corrections if c.sha256 in found]


def _by_content(state: State, missing: Sequence[Correction], skip: Collection[Path]) -> dict[str, Path]:
    """Files with the content of the missing.

    A file that was renamed after it was labelled, or a folder that it lies in, has a later time of change.
    """
    wanted = {correction.sha256 for correction in missing}
    since = min(correction.time for correction in missing) - CLOCK_SECONDS

    @cache
    def is_new(folder: Path) -> bool:
        if folder == state.folder:
            return False
        try:
            return folder.stat().st_ctime >= since or is_new(folder.parent)
        except OSError:  # it is gone
            return False

    found = {}
    for score in state.scores():
        file = state.folder / path_below(score.path)
        if file not in skip and (score.ctime_ns / 1e9 >= since or is_new(file.parent)):
            digest = file_digest(real_path(file))
            if digest in wanted:
                found[str(digest)] = file
    return found


def path_below(path: bytes) -> Path:
    """A path in the state as one below a folder.

    Raises:
        FilterError: it leads out of there, so that the state is a stranger's.
    """
    below = Path(os.fsdecode(path))
    if below.is_absolute() or ".." in below.parts or not below.parts:
        raise FilterError(f"the state names {os.fsdecode(path)!r}, no place below a folder: name another with --scores")
    return below


def groups_of(folder: Path, pictures: Sequence[Labelled]) -> list[str]:
    """A name for each picture, shared by those that must not be parted when some are learned from and others tested on.

    Pictures of one group in ``FOLDER/groups.csv`` (columns ``file,group``, the file below the folder) belong together,
    and near-duplicates do.
    """
    from artifact_utils.audit.duplicates import near_duplicate_groups, united_groups  # loads PyTorch's company

    said = {row["file"]: row["group"] for row in read_csv(folder / "groups.csv", ("file", "group"))}
    names = [said.get(os.fsdecode(picture.correction.path), "") for picture in pictures]
    numbers = united_groups(names, near_duplicate_groups([picture.file for picture in pictures]).to_numpy())
    shown: dict[int, str] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        shown[number] = shown.get(number) or name
    return [shown[number] or f"picture {number + 1}" for number in numbers.tolist()]
