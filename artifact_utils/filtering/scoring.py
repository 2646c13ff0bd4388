"""Scoring a whole folder into a table, going on where it was stopped, and moving the flagged pictures away."""

import csv
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from artifact_utils.console import progress_bar
from artifact_utils.detector import Detector, checkpoint_file, pretrained_file
from artifact_utils.files import FileError, move_file, read_csv, write_csv, write_json
from artifact_utils.filtering.contact_sheet import draw_contact_sheet
from artifact_utils.filtering.score_table import COLUMNS, Tally, is_inside, refresh
from artifact_utils.images import PICTURE_SUFFIXES, ImageError
from artifact_utils.optimisation import keep_freed_memory

MOVED, MOVED_COLUMNS = "moved.csv", ("source", "destination")
FLUSH_EVERY = 64  # rows: what a kill can cost
"""Files that are meant to be pictures. What cannot be read of them is listed with its reason, other files are not."""


class FilterError(FileError):
    """A folder that cannot be scored, or flagged pictures that cannot be moved, as asked."""


@dataclass(frozen=True)
class FilterConfig:
    """What to score with which model, and what to do with the result."""

    folder: tyro.conf.Positional[Path]
    """Folder of portraits, nested or not."""
    run: Path | None = None
    """Run folder or .safetensors file of the model. Default: the detector that comes with the package."""
    scores: Path = Path("scores.csv")
    """Table to write; the contact sheet of the worst goes beside it as .jpg."""
    threshold: float | None = None
    """Flag from this probability on, instead of the model's own threshold."""
    move_flagged: Path | None = None
    """Folder to move the flagged pictures to."""
    undo: bool = False
    """Put back what --move-flagged has moved there."""
    batch_size: int = 32
    """Pictures that the network scores at once."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class Summary:
    """What a scoring came to."""

    n: int
    """Pictures in the table."""
    flagged: int
    unreadable: int
    new: int
    """Of them scored just now; the others were in the table already."""
    seconds: float
    threshold: float

    def describe(self, config: FilterConfig) -> str:
        """Two lines for people: what was found, and where it lies."""
        speed = f" ({self.new / self.seconds:.0f} img/s)" if self.new else ""
        return (
            f"{self.n} pictures, {self.new} of them new{speed}: "
            f"{self.flagged} flagged at {self.threshold:.3f} and above, {self.unreadable} unreadable\n"
            f"{config.scores} has the scores, {config.scores.with_suffix('.jpg')} the worst"
        )


def score_folder(config: FilterConfig) -> Summary:
    """Score every picture below ``config.folder`` into ``config.scores``, in rows of ``COLUMNS``.

    Rows of an earlier, perhaps interrupted, scoring of the same folder with the same model are kept as long as their
    file has not changed since; only their ``flagged`` is brought up to date with the threshold. The contact sheet of
    the pictures that look worst lies beside the table, as ``.jpg``.

    Raises:
        FilterError: no such folder, or the table belongs to another folder or model.
        CheckpointError, ConfigError: as ``Detector.load``.
    """
    folder, scores = config.folder, config.scores
    if not folder.is_dir():
        raise FilterError(f"no folder {folder}: name a folder of portraits")
    model = checkpoint_file(config.run) if config.run else pretrained_file()
    keep_freed_memory()
    detector = Detector.load(model, threshold=config.threshold, device=config.device)

    started, state_file = time.time(), scores.with_suffix(".json")
    identity = {"folder": str(folder.resolve()), "model": hashlib.sha256(model.read_bytes()).hexdigest()}
    since = _scored_since(scores, state_file, identity)
    scores.parent.mkdir(parents=True, exist_ok=True)
    write_json(state_file, {**identity, "started": since or started})  # before the table that it vouches for
    tally = Tally(detector.threshold)
    known = refresh(scores, folder, since, tally)
    write_json(state_file, {**identity, "started": started})  # what is in it by now was unchanged at that time, too

    new_files = (file for file in _pictures(folder, config.move_flagged) if not known.has(_relative(file, folder)))
    n_known = tally.n
    with (
        scores.open("a", newline="", encoding="utf-8", errors="surrogateescape") as table,
        progress_bar(
            detector.predict_files(new_files, batch_size=config.batch_size), "score", unit="img"
        ) as predictions,
    ):
        writer = csv.writer(table, lineterminator="\n")
        for file, outcome in predictions:
            if isinstance(outcome, ImageError):
                probability, reason = "", outcome.reason
            else:
                probability, reason = str(outcome.probability), ""
            writer.writerow(tally.add(_relative(file, folder), probability, reason))
            if tally.n % FLUSH_EVERY == 0:
                table.flush()
    draw_contact_sheet(folder, tally.worst(), detector.threshold).save(scores.with_suffix(".jpg"), quality=90)
    return Summary(tally.n, tally.flagged, tally.unreadable, tally.n - n_known, time.time() - started, tally.threshold)


def move_flagged(config: FilterConfig) -> int:
    """Move what the table flags to ``config.move_flagged``, in the same subfolders; return how many were moved.

    ``moved.csv`` there says where everything came from; it is written before the first picture is touched, so a kill
    loses nothing and ``undo_move`` works at any time.

    Raises:
        FilterError: a picture of that name is there already; nothing was moved then.
    """
    target = _known_target(config)
    flagged = [row["path"] for row in read_csv(config.scores, COLUMNS) if row["flagged"] == "1"]
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


def undo_move(config: FilterConfig) -> int:
    """Put everything that ``moved.csv`` lists back where it came from; return how many pictures were put back.

    Raises:
        FilterError: nothing was ever moved there, or another picture is in the way; that one stays where it is.
    """
    target = _known_target(config)
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


def _scored_since(scores: Path, state_file: Path, identity: dict[str, str]) -> float:
    """When the scoring that the table holds began, in seconds since the epoch; 0 where there is no table.

    Raises:
        FilterError: the table is of another folder or model, or not ours.
    """
    if not scores.exists():
        return 0.0
    way_out = f"name another table with --scores, or remove {scores}"
    try:
        state = json.loads(state_file.read_text())
        since = float(state["started"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FilterError(f"{scores} exists, but {state_file} does not say what it belongs to: {way_out}") from error
    for name in ("folder", "model"):
        if state.get(name) != identity[name]:
            raise FilterError(f"{scores} belongs to another {name}: {way_out}")
    return since


def _pictures(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    """Every file below the folder whose suffix is a picture's; links to folders are not followed."""
    skip = leave_out.resolve() if leave_out else None
    for parent, folders, _ in os.walk(folder, onerror=_complain):
        folders[:] = sorted(name for name in folders if Path(parent, name).resolve() != skip)
        with os.scandir(parent) as entries:
            for entry in entries:
                if not entry.is_dir() and Path(entry.name).suffix.lower() in PICTURE_SUFFIXES:
                    yield Path(entry.path)


def _complain(error: OSError) -> None:
    tqdm.write(f"left out {error.filename}: {error.strerror}")


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _known_target(config: FilterConfig) -> Path:
    if config.move_flagged is None:
        raise FilterError("--undo needs to know what to undo: name the folder with --move-flagged")
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
