"""Scoring a whole folder into a table, going on where it was stopped."""

import csv
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artifact_utils.console import os_error_text, progress_bar
from artifact_utils.detector import Detector, checkpoint_file, pretrained_file
from artifact_utils.device import keep_freed_memory
from artifact_utils.files import real_path, write_json
from artifact_utils.filtering.contact_sheet import draw_contact_sheet
from artifact_utils.filtering.options import FilterConfig, FilterError
from artifact_utils.filtering.score_table import Tally, refresh
from artifact_utils.images import PICTURE_SUFFIXES, ImageError

logger = logging.getLogger(__name__)

FLUSH_EVERY = 64  # rows: what a kill can cost


@dataclass(frozen=True)
class Scored:
    """Result of scoring a folder; as text, two lines for people."""

    n: int
    """Pictures in the table."""
    flagged: int
    unreadable: int
    new: int
    """Pictures scored in this run; the others were in the table already."""
    seconds: float
    threshold: float
    scores: Path

    def __str__(self) -> str:
        speed = f" ({self.new / self.seconds:.0f} img/s)" if self.new else ""
        return (
            f"{self.n} pictures, {self.new} of them new{speed}: "
            f"{self.flagged} flagged at {self.threshold:.3f} and above, {self.unreadable} unreadable\n"
            f"{self.scores} has the scores, {self.scores.with_suffix('.jpg')} the worst"
        )


def score_folder(config: FilterConfig) -> Scored:
    """Score every picture below ``config.folder`` into ``config.scores``, in rows of ``SCORE_COLUMNS``.

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
    identity = {"folder": str(real_path(folder)), "model": hashlib.sha256(model.read_bytes()).hexdigest()}
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
    return Scored(
        n=tally.n,
        flagged=tally.flagged,
        unreadable=tally.unreadable,
        new=tally.n - n_known,
        seconds=time.time() - started,
        threshold=tally.threshold,
        scores=scores,
    )


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
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:  # whatever it holds, it is not ours
        raise FilterError(f"{scores} exists, but {state_file} does not say what it belongs to: {way_out}") from error
    for name in ("folder", "model"):
        if state.get(name) != identity[name]:
            raise FilterError(f"{scores} belongs to another {name}: {way_out}")
    return since


def _pictures(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    """Every file below the folder whose suffix is a picture's; links to folders are not followed."""
    skip = real_path(leave_out) if leave_out else None
    for parent, folders, _ in os.walk(folder, onerror=_complain):
        folders[:] = sorted(name for name in folders if real_path(Path(parent, name)) != skip)
        with os.scandir(parent) as entries:
            for entry in entries:
                if not entry.is_dir() and Path(entry.name).suffix.lower() in PICTURE_SUFFIXES:
                    yield Path(entry.path)


def _complain(error: OSError) -> None:
    logger.warning("left out %s", os_error_text(error))


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()
