"""Moving the flagged pictures out of a scored folder, and putting them back.

A batch of moves is written down, done and marked as done. Whoever opens the state next finishes what a kill has left in
between, or takes it back.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from artifact_utils.console import progress_bar
from artifact_utils.files.copies import TEMPORARY_NAME
from artifact_utils.files.moves import OpenFolder, beside, move, settle
from artifact_utils.files.writing import FileError, real_path
from artifact_utils.filtering.judging import Judge
from artifact_utils.filtering.labelled import labelled_pictures, path_below
from artifact_utils.filtering.older_tables import OLD_MOVED, import_moves
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.renamed_folder import follow_rename, hint
from artifact_utils.filtering.state import MOVED, MOVING, RETURNED, RETURNING, Move, Score, State, open_state
from artifact_utils.labels import ARTIFACT

logger = logging.getLogger(__name__)

BATCH = 64  # moves written down at once

T = TypeVar("T")


def move_flagged(config: FilterConfig) -> int:
    """Move what the last scoring flags to ``config.move_flagged``, in the same subfolders; return how many were moved.

    What a person says of a picture overrules the detector. Links, and pictures that have changed since they were
    scored, stay where they are.

    Raises:
        FilterError: a picture of that name is there already; nothing was moved then.
        FileError: another run is at work on this folder.
    """
    follow_rename(config)
    if not Outputs.of(config).state.exists():
        raise FilterError(f"{config.folder} was not scored yet, so nothing is flagged in it: {hint(config)}")
    with open_state(config) as state:
        return move_from(state, config)


def move_from(state: State, config: FilterConfig) -> int:
    """``move_flagged`` with a state that is open already."""
    target = _target(config)
    with OpenFolder(config.folder) as folder:
        settle_moves(state)
        flagged = _movable(state, config, folder)
        for path in flagged:
            if os.path.lexists(target / os.fsdecode(path)):
                source = config.folder / os.fsdecode(path)
                raise FilterError(
                    f"{os.fsdecode(path)} exists already in {config.move_flagged}, {source} was not moved: "
                    "choose another --move-flagged"
                )
        if not flagged:
            return 0
        bar = progress_bar(flagged, "move", unit="img")
        return sum(_move_batch(state, folder, target, batch) for batch in _batches(bar))


def _movable(state: State, config: FilterConfig, folder: OpenFolder) -> list[bytes]:
    """The flagged regular files that are as they were scored."""
    judge = Judge.of(config, state)
    if judge is None:
        return []
    movable, left = [], 0
    said = {picture.file: picture.label for picture in labelled_pictures(state)}
    for score in state.scores():
        if said.get(state.folder / path_below(score.path), int(judge(score).flagged)) == ARTIFACT:
            if _is_unchanged(folder, score):
                movable.append(score.path)
            else:
                left += 1
    if left:
        logger.warning(
            "%d flagged pictures stay in %s: they are links, or not the files that were scored", left, folder.path
        )
    return movable


def _is_unchanged(folder: OpenFolder, score: Score) -> bool:
    if not folder.is_file(score.path):
        return False
    status = folder.status(score.path)
    return status is not None and (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == score[3:6]


def _move_batch(state: State, folder: OpenFolder, target: Path, paths: list[bytes]) -> int:
    contents = [(path, folder.content(path)) for path in paths]
    moves = state.intend([(path, target, path, content) for path, content in contents if content is not None])
    with OpenFolder(target, create=True) as moved:  # now that it is written down, whatever is made in there
        done = _each(moves, lambda m: move(folder, m.source, moved, m.destination, m.content, m.part))
        moved.sync(m.destination for m in done)
        folder.sync(m.source for m in done)
    state.set_step(done, MOVED)
    state.set_step([m for m in moves if m not in done], RETURNED)
    return len(done)


def undo(config: FilterConfig) -> int:
    """Put the pictures that were moved to ``config.move_flagged`` back; return how many were put back.

    Raises:
        FilterError: nothing was ever moved there, or another picture is in the way; that one stays where it is.
        FileError: another run is at work on this folder.
    """
    target = _target(config)
    follow_rename(config)
    if not Outputs.of(config).state.exists() and not (target / OLD_MOVED).is_file():
        raise _nothing(config)
    with open_state(config) as state:
        return put_back(state, config)


def put_back(state: State, config: FilterConfig) -> int:
    """``undo`` with a state that is open already."""
    target = _target(config)
    with OpenFolder(config.folder, create=True) as folder:
        outside = import_moves(config, state, target)
        settle_moves(state)
        moves = state.moves(MOVED, target=target)
        finished = state.moves(RETURNED, target=target)
        if not moves and not finished and not outside:
            raise _nothing(config)
        n, left = 0, []
        if target.is_dir():
            with OpenFolder(target) as moved:
                free = [m for m in moves if moved.is_file(m.destination) and folder.status(m.source) is None]
                back = progress_bar(free, "put back", unit="img")
                n = sum(_return_batch(state, folder, moved, batch) for batch in _batches(back))
                left = [m for m in state.moves(MOVED, target=target) if moved.is_file(m.destination)]
                _tidy_up(state, moved, target, keep_table=bool(left or outside))
        if left:
            first, more = config.folder / os.fsdecode(left[0].source), len(left) - 1
            raise FilterError(f"{first} and {more} more exist again: theirs stay in {config.move_flagged}")
        state.forget_moves(state.moves(RETURNED, target=target))
        if gone := state.moves(MOVED, target=target):  # remembered: the drive may be there again tomorrow
            logger.warning("%d pictures that were moved to %s are not there", len(gone), config.move_flagged)
        if outside:
            raise FilterError(
                f"{target / OLD_MOVED} names {outside} pictures that do not come from {config.folder}: "
                "they stay; name the folder that they come from"
            )
        return n


def _return_batch(state: State, folder: OpenFolder, moved: OpenFolder, moves: list[Move]) -> int:
    moves = [m._replace(content=moved.content(m.destination) or m.content) for m in moves]  # it may have been edited
    state.set_step(moves, RETURNING)
    done = _each(moves, lambda m: move(moved, m.destination, folder, m.source, m.content, m.part))
    folder.sync(m.source for m in done)
    moved.sync(m.destination for m in done)
    state.set_step(done, RETURNED)
    state.set_step([m for m in moves if m not in done], MOVED)
    return len(done)


def _tidy_up(state: State, moved: OpenFolder, target: Path, *, keep_table: bool) -> None:
    """Remove what moving has left in the target: an older table, and folders that are empty now."""
    if not keep_table:
        moved.remove(OLD_MOVED.encode())
    for m in state.moves(RETURNED, target=target):
        moved.remove(beside(m.destination, TEMPORARY_NAME))
        moved.remove_empty_folders(m.destination)
    with contextlib.suppress(OSError):  # other files are in it
        target.rmdir()


def settle_moves(state: State) -> None:
    """Finish the moves that a kill has cut off, or take them back."""
    for m in state.moves(MOVING, RETURNING):
        with _opened(state.folder) as folder, _opened(m.target) as moved:
            if moved is None and (folder is None or not folder.is_file(m.source)):
                continue  # it must be where the target was: perhaps on a drive that is not mounted
            if m.step == MOVING:
                is_there = settle(folder, m.source, moved, m.destination, m.content, m.part)
            else:
                is_there = not settle(moved, m.destination, folder, m.source, m.content, m.part)
        state.set_step([m], MOVED if is_there else RETURNED)


def _each(moves: list[Move], do: Callable[[Move], None]) -> list[Move]:
    """Those that could be done; of the others a line says why not."""
    done = []
    for m in moves:
        try:
            do(m)
            done.append(m)
        except FileError as error:
            logger.warning("%s", error)
    return done


NO_SUCH_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}  # the last: of a stranger's state


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[OpenFolder | None]:
    try:
        folder = OpenFolder(path)
    except OSError as error:
        if error.errno not in NO_SUCH_FOLDER:
            raise
        yield None
        return
    with folder:
        yield folder


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _nothing(config: FilterConfig) -> FilterError:
    return FilterError(
        f"nothing was moved from {config.folder} to {config.move_flagged}, as far as {Outputs.of(config).state} says: "
        f"{hint(config)}"
    )


def _target(config: FilterConfig) -> Path:
    """The folder of the flagged, with all links followed."""
    if config.move_flagged is None:
        raise FilterError("no folder for the flagged pictures: name one with --move-flagged")
    return real_path(config.move_flagged)
