"""Moving the flagged pictures out of a scored folder, and putting them back."""

from pathlib import Path

from artifact_utils.console import progress_bar
from artifact_utils.files import move_file, read_csv, write_csv
from artifact_utils.filtering.options import FilterConfig, FilterError
from artifact_utils.filtering.score_table import SCORE_COLUMNS, is_inside

MOVED, MOVED_COLUMNS = "moved.csv", ("source", "destination")


def move_flagged(config: FilterConfig) -> int:
    """Move what the table flags to ``config.move_flagged``, in the same subfolders; return how many were moved.

    ``moved.csv`` there says where everything came from; it is written before the first picture is touched, so a kill
    loses nothing and ``undo`` works at any time.

    Raises:
        FilterError: a picture of that name is there already; nothing was moved then.
    """
    target = _target(config)
    flagged = [row["path"] for row in read_csv(config.scores, SCORE_COLUMNS) if row["flagged"] == "1"]
    if outside := [path for path in flagged if not is_inside(path)]:
        raise FilterError(f"{config.scores} names {outside[0]}, which is not in {config.folder}: score the folder anew")
    pairs = [(config.folder / path, target / path) for path in flagged if (config.folder / path).is_file()]
    for source, destination in pairs:
        if destination.exists():
            raise FilterError(f"{destination} exists already, {source} was not moved: choose another --move-flagged")
    earlier = _read_moved(target)
    paths = {destination: source.absolute() for source, destination in [*earlier, *pairs]}
    if paths:
        target.mkdir(parents=True, exist_ok=True)
        write_csv(target / MOVED, MOVED_COLUMNS, [(source, path.relative_to(target)) for path, source in paths.items()])
    for source, destination in progress_bar(pairs, "move", unit="img"):
        move_file(source, destination)
    return len(pairs)


def undo(config: FilterConfig) -> int:
    """Put everything that ``moved.csv`` lists back where it came from; return how many pictures were put back.

    Raises:
        FilterError: nothing was ever moved there, or another picture is in the way; that one stays where it is.
    """
    target = _target(config)
    pairs = _read_moved(target)
    if not pairs:
        raise FilterError(f"no {target / MOVED}: nothing was moved there")
    moved = [(source, destination) for source, destination in pairs if destination.is_file()]
    blocked = [source for source, _ in moved if source.exists()]
    for source, destination in progress_bar([pair for pair in moved if pair[0] not in blocked], "put back", unit="img"):
        move_file(destination, source)
    if blocked:
        raise FilterError(f"{blocked[0]} and {len(blocked) - 1} more exist again: theirs stay in {target}")
    (target / MOVED).unlink()
    for folder in sorted({destination.parent for _, destination in pairs}, key=lambda path: -len(path.parts)):
        _remove_empty(folder, target)
    return len(moved)


def _target(config: FilterConfig) -> Path:
    if config.move_flagged is None:
        raise FilterError("no folder for the flagged pictures: name one with --move-flagged")
    return config.move_flagged


def _read_moved(target: Path) -> list[tuple[Path, Path]]:
    """Where every picture came from and where it was to go."""
    rows = read_csv(target / MOVED, MOVED_COLUMNS)
    if outside := [row["destination"] for row in rows if not is_inside(row["destination"])]:
        raise FilterError(f"{target / MOVED} names {outside[0]}, which is not in {target}: it is not ours")
    return [(Path(row["source"]), target / row["destination"]) for row in rows]


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, up to and with ``top``, as long as they are empty."""
    while folder == top or top in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
