"""Taking over what earlier versions have left: ``scores.csv`` with ``scores.json``, and ``moved.csv``.

The tables may come from strangers: nothing outside the folder that the user has named is believed.
"""

import contextlib
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

from artifact_utils.files.moves import Content, OpenFolder
from artifact_utils.files.tables import read_csv
from artifact_utils.files.writing import real_path
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.state import MOVED, MOVING, Score, State

OLD_SCORES, OLD_MOVED = "scores.csv", "moved.csv"
MOVED_COLUMNS = ("source", "destination")


def import_scores(config: FilterConfig, model: str) -> list[Score]:
    """The rows of an earlier table of this folder and model that still hold.

    Raises:
        FilterError: there is a table in the way that is not ours.
    """
    table, folder = Outputs.of(config).table, real_path(config.folder)
    if table.exists():
        _check_belongs(table, folder, model)
        return list(_valid_rows(table, config.folder))
    if config.scores is None and Path(OLD_SCORES).is_file():  # where the table lay by default
        with contextlib.suppress(FilterError):
            _check_belongs(Path(OLD_SCORES), folder, model)
            return list(_valid_rows(Path(OLD_SCORES), config.folder))
    return []


def _check_belongs(table: Path, folder: Path, model: str) -> None:
    way_out = f"name another table with --scores, or remove {table}"
    known = _state_of(table)
    if known is None:
        raise FilterError(f"{table} exists, but nothing beside it says what it belongs to: {way_out}")
    for name, value in (("folder", str(folder)), ("model", model)):
        if known.get(name) != value:
            raise FilterError(f"{table} belongs to another {name}: {way_out}")


def _state_of(table: Path) -> dict[str, object] | None:
    try:
        state = json.loads(table.with_suffix(".json").read_text())
        return {**state, "started": float(state["started"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # whatever it holds, it is not ours
        return None


def _valid_rows(table: Path, folder: Path) -> Iterator[Score]:
    since = (_state_of(table) or {"started": 0.0})["started"]
    assert isinstance(since, float)
    for path, probability, _, reason in _whole_rows(table):
        with contextlib.suppress(OSError, ValueError):  # it is gone, or the table holds anything
            status = (folder / path).stat()
            value = float(probability) if probability else None
            if _is_inside(path) and (value is None or 0.0 <= value <= 1.0) and status.st_ctime < since:
                times = status.st_size, status.st_mtime_ns, status.st_ctime_ns
                yield Score(os.fsencode(Path(path)), value, reason.encode("utf-8", "replace").decode(), *times)


def _whole_rows(table: Path) -> Iterator[list[str]]:
    """The rows of the table, without a last one that a kill has cut off."""
    content = table.read_bytes()
    text = content[: content.rfind(b"\n") + 1].decode("utf-8", "surrogateescape")
    reader = csv.reader(f"{line}\n" for line in text.split("\n")[:-1])  # other ends of lines belong to names
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:  # of a name with a carriage return, which earlier versions did not quote
            continue
        if len(row) >= 4:
            yield row[:4]


def import_moves(config: FilterConfig, state: State, target: Path) -> int:
    """Take the moves over that ``moved.csv`` lists; returns how many do not come from the folder.

    Args:
        config: names the folder.
        state: gets the moves.
        target: folder of the flagged, with all links followed.

    Raises:
        FilterError: the table leads out of the target.
    """
    table = target / OLD_MOVED
    known = {move.destination for move in state.moves(MOVED, MOVING, target=target)}
    outside = 0
    if not table.is_file() or table.is_symlink():
        return outside
    with OpenFolder(config.folder, create=True) as folder, OpenFolder(target) as moved:
        moves: dict[str, list[tuple[bytes, Path, bytes, Content]]] = {MOVED: [], MOVING: []}
        for row in read_csv(table, MOVED_COLUMNS):
            if not _is_inside(row["destination"]):
                raise FilterError(f"{table} names {row['destination']}, which is not in {target}: it is not ours")
            source = _below(Path(row["source"]), state.folder)
            if source is None:
                outside += 1
                continue
            destination = os.fsencode(Path(row["destination"]))
            content = moved.content(destination)
            if content is not None and destination not in known:
                step = MOVING if folder.content(source) == content else MOVED  # killed before it removed the source
                moves[step].append((source, target, destination, content))
        for step, planned in moves.items():
            state.intend(planned, step)
    return outside


def _below(path: Path, folder: Path) -> bytes | None:
    """The path relative to the folder; None if it is not below it."""
    if ".." in path.parts or not path.is_absolute():
        return None
    path = real_path(path.parent) / path.name
    return os.fsencode(path.relative_to(folder)) if path != folder and path.is_relative_to(folder) else None


def _is_inside(path: str) -> bool:
    pure = Path(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path
