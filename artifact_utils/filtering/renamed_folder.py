"""What a folder was called when it was scored: its state goes on under the new name, or the error says where it is."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from artifact_utils.files.databases import connect
from artifact_utils.files.locks import output_lock
from artifact_utils.files.writing import FileError
from artifact_utils.filtering.options import FilterConfig, Outputs
from artifact_utils.filtering.state import N_LOOKED_AT, SCHEMA, UPGRADES, holds_a_picture_of

logger = logging.getLogger(__name__)


def follow_rename(config: FilterConfig) -> None:
    """Rename state, table and sheet like their folder was renamed, where a picture in it says that it is the same one.

    A picture keeps its size and times when a folder above it is renamed; a copy gets another time of change. Nothing is
    done where the folder has a state, the table was named, or more than one state could be meant.
    """
    new = Outputs.of(config)
    if config.scores is not None or os.path.lexists(new.state) or not config.folder.is_dir():
        return
    found = [old for old in orphans(config) if _knows_a_picture(old.state, config.folder)]
    if len(found) != 1:
        return
    old = found[0]
    try:
        with output_lock(new.state), output_lock(old.state):
            connect(old.state, SCHEMA, upgrades=UPGRADES).close()  # what a kill has left beside it comes into it
            for before, now in ((old.state, new.state), (old.table, new.table), (old.sheet, new.sheet)):
                if before.is_file() and not os.path.lexists(now):
                    before.rename(now)
    except (FileError, sqlite3.Error, OSError) as error:
        logger.warning("%s may be the state of %s, but cannot be renamed: %s", old.state, config.folder, error)
        return
    logger.info("%s was renamed since it was scored: its scores are in %s now", config.folder, new.table)


def hint(config: FilterConfig) -> str:
    """The option that names the state of a folder under its earlier name, or what such an option would be."""
    found = list(orphans(config))
    if config.scores is None and len(found) == 1:
        return f"if the folder had another name, add --scores {found[0].table}"
    return (
        "if the move had another --scores, or the folder another name (OLDNAME.scores.csv beside it), name that with "
        "--scores"
    )


def orphans(config: FilterConfig) -> Iterator[Outputs]:
    """The outputs beside a folder that are called like another one, which is gone."""
    parent = Outputs.of(config).state.parent
    for state in sorted(parent.glob("*.scores.sqlite")):
        name = state.name.removesuffix(".scores.sqlite")
        if state.is_symlink() or os.path.lexists(parent / name):
            continue
        folder = _read(state, "SELECT folder FROM about")
        if folder and _is_gone(Path(os.fsdecode(folder[0][0])), name):
            yield Outputs(parent / f"{name}.scores.csv", state.with_suffix(".jpg"), state)


def _is_gone(folder: Path, name: str) -> bool:
    return folder.name == name and "\0" not in str(folder) and not os.path.lexists(folder)


def _knows_a_picture(state: Path, folder: Path) -> bool:
    query = f"SELECT path, size, mtime_ns, ctime_ns FROM scores LIMIT {N_LOOKED_AT}"
    return holds_a_picture_of(folder, _read(state, query))


def _read(state: Path, query: str) -> list[tuple[bytes, ...]]:
    """The rows of a query; none of what is no state. The file is only read, and whoever writes it does not wait."""
    try:
        connection = sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    except (sqlite3.Error, ValueError):  # of a name that is not UTF-8
        return []
    try:
        rows = connection.execute(query).fetchall()
    except (sqlite3.Error, UnicodeDecodeError):
        return []
    finally:
        connection.close()
    return [row for row in rows if isinstance(row[0], bytes)]
