"""Scoring a whole folder, going on where it was stopped."""

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_utils.console import progress_bar
from artifact_utils.files.model_files import checkpoint_file, pretrained_file
from artifact_utils.files.writing import file_digest, real_path, write_bytes
from artifact_utils.filtering.contact_sheet import Worst, draw_contact_sheet
from artifact_utils.filtering.judging import Judge, write_details
from artifact_utils.filtering.listing import list_pictures
from artifact_utils.filtering.moving import settle_moves
from artifact_utils.filtering.older_tables import import_scores
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.renamed_folder import follow_rename
from artifact_utils.filtering.scores_csv import write_scores
from artifact_utils.filtering.state import Score, State, open_state
from artifact_utils.images import ImageError
from artifact_utils.predictions import TOO_SMALL, Prediction

if TYPE_CHECKING:
    from artifact_utils.detector import Detector

COMMIT_ROWS, COMMIT_SECONDS = 64, 1.0  # what a kill can cost
SHEET_COMMENT = b"contact sheet of artifact_utils"
"""In the JPEG of a contact sheet, which tells it from a portrait."""
COMMENT_WITHIN = 4096  # bytes of the file
LOOK_UP = 500  # pictures that the state is asked about at once


@dataclass(frozen=True)
class Scored:
    """Result of scoring a folder; as text, two lines for people."""

    n: int
    """Pictures in the table."""
    flagged: int
    unreadable: int
    too_small: int
    """Pictures with less than 128 pixels a side: neither clean nor flagged."""
    families: dict[str, int]
    """Flagged pictures by the most probable family of their artifact, where the model tells families apart."""
    new: int
    """Pictures scored in this run; the others were in the table already."""
    seconds: float
    threshold: float
    scores: Path

    def __str__(self) -> str:
        speed = f" ({self.new / self.seconds:.0f} img/s)" if self.new else ""
        named = ", ".join(f"{name} {n}" for name, n in self.families.items() if n)
        return (
            f"{self.n} pictures, {self.new} of them new{speed}: "
            f"{self.flagged} flagged at {self.threshold:.3f} and above{f' ({named})' if named else ''}, "
            f"{self.unreadable} unreadable{f', {self.too_small} too small' if self.too_small else ''}\n"
            f"{self.scores} has the scores, {self.scores.with_suffix('.jpg')} the worst"
        )


def score_folder(config: FilterConfig) -> Scored:
    """Score every picture below ``config.folder`` and write the table, with the columns ``SCORE_COLUMNS``.

    Scores of an earlier, perhaps interrupted, scoring of the same folder with the same model are kept as long as their
    file has not changed since. The table and the contact sheet of the pictures that look worst are written at the end,
    the table also after Ctrl-C; what the next scoring goes on from is the state beside them.

    Raises:
        FilterError: no such folder, a state that cannot be used, or one that belongs to another folder or model.
        FileError: another run is at work on this folder.
        CheckpointError, ConfigError: as ``Detector.load``.
    """
    if not config.folder.is_dir():
        raise FilterError(f"no folder {config.folder}: name a folder of portraits")
    follow_rename(config)
    outputs, started, config = Outputs.of(config), time.time(), with_run_in_use(config)
    check_sheet(config)
    model = _Model(config)
    if not outputs.state.exists():
        model.detector()  # one that cannot be used says so before anything is made
    earlier = [] if outputs.state.exists() else import_scores(config, model.sha256)
    with open_state(config) as state:
        judge = Judge.of_model(config, state, model.sha256) or Judge.by(model.detector())
        prepare(state, judge, model.sha256, own_threshold=model.own_threshold, rescore=config.rescore)
        state.add_scores(earlier)
        try:
            new = score_new(state, config, model.detector)
        finally:  # also after Ctrl-C
            counts = write_scores(state, outputs, judge)
        write_sheet(config, counts.worst, judge.threshold)
    return Scored(
        n=counts.n,
        flagged=counts.flagged,
        unreadable=counts.unreadable,
        too_small=counts.too_small,
        families=counts.families,
        new=new,
        seconds=time.time() - started,
        threshold=judge.threshold,
        scores=outputs.table,
    )


class _Model:
    """The model that a config names; PyTorch is loaded when its detector is asked for, which takes seconds."""

    def __init__(self, config: FilterConfig) -> None:
        self._config = config
        self._detector: Detector | None = None
        self.sha256 = file_digest(model_file(config)) or ""  # the detector says what is wrong with it

    @property
    def own_threshold(self) -> float | None:
        """Of the file, where that was read and another one was not asked for."""
        return None if self._detector is None or self._config.threshold is not None else self._detector.threshold

    def detector(self) -> "Detector":
        """The detector; errors are those of ``load_detector``."""
        if self._detector is None:
            self._detector, sha256 = load_detector(self._config)
            if sha256 != self.sha256:
                raise FilterError(f"{model_file(self._config)} has just been replaced: run again")
        return self._detector


def model_file(config: FilterConfig) -> Path:
    """The checkpoint that a config names."""
    return checkpoint_file(config.run) if config.run else pretrained_file()


def learned_runs(config: FilterConfig) -> list[Path]:
    """The runs that were learned for a folder and lie beside it, the latest first."""
    beside = Outputs.of(config).beside("learned")
    if not beside.parent.is_dir():
        return []
    names = re.compile(re.escape(beside.name) + r"(-\d+)?")
    runs = [run for run in beside.parent.iterdir() if names.fullmatch(run.name) and (run / "metrics.json").is_file()]
    return sorted(runs, key=lambda run: (run / "metrics.json").stat().st_mtime_ns, reverse=True)


def with_run_in_use(config: FilterConfig) -> FilterConfig:
    """The config with the learned run that the scores of its folder are of, where it names none.

    So what a person has chosen once stays in use; ``--rescore`` without a run goes back to the packaged detector.

    Raises:
        FilterError, FileError: as ``open_state``.
    """
    if config.run is not None or config.rescore or not Outputs.of(config).state.exists():
        return config
    with open_state(config) as state:
        model = state.model
    for run in learned_runs(config) if model else ():
        if file_digest(checkpoint_file(run)) == model:
            return replace(config, run=run)
    return config


def load_detector(config: FilterConfig) -> "tuple[Detector, str]":
    """The detector that a config names, and the SHA-256 of its file.

    Raises:
        CheckpointError, ConfigError: as ``Detector.load``.
    """
    from artifact_utils.detector import Detector  # PyTorch takes seconds to load, and is not always needed
    from artifact_utils.device import keep_freed_memory

    keep_freed_memory()
    model = model_file(config)
    detector = Detector.load(
        model,
        threshold=config.threshold,
        device=config.device,
        only=config.only_families,
        ignore=config.ignored_families,
    )
    return detector, str(file_digest(model))


def prepare(
    state: State, judge: Judge, sha256: str, *, own_threshold: float | None = None, rescore: bool = False
) -> None:
    """Make a state ready for scores of a detector: moves that were cut off are settled first.

    Args:
        state: that is open.
        judge: of the detector.
        sha256: of its file.
        own_threshold: that its file names, where that is known.
        rescore: whether the scores of another model are given up; labels and moves stay.

    Raises:
        FilterError: the scores so far are those of another model.
    """
    settle_moves(state)
    state.use_model(
        sha256,
        judge.threshold,
        own_threshold=own_threshold,
        counted=judge.families,
        families=judge.known,
        sharpness=judge.sharpness,
        rescore=rescore,
    )


def check_sheet(config: FilterConfig) -> None:
    """Make sure that the contact sheet takes the place of no portrait.

    Raises:
        FilterError: a file of its name lies in the folder, and is no contact sheet.
    """
    sheet = Outputs.of(config).sheet
    if _sheet_inside(config) is None or not sheet.is_file():
        return
    with sheet.open("rb") as file:
        if SHEET_COMMENT not in file.read(COMMENT_WITHIN):
            raise FilterError(f"{sheet} would be replaced by the contact sheet: name another table with --scores")


def _sheet_inside(config: FilterConfig) -> bytes | None:
    """The path of the contact sheet in the scored folder; None where it lies elsewhere."""
    sheet, folder = real_path(Outputs.of(config).sheet), real_path(config.folder)
    return os.fsencode(sheet.relative_to(folder)) if sheet.is_relative_to(folder) else None


def write_sheet(config: FilterConfig, worst: list[tuple[float, bytes, str]], threshold: float) -> None:
    """Write the contact sheet of the pictures that look worst: probability, path and family, the worst first.

    Raises:
        FilterError: as ``check_sheet``.
    """
    check_sheet(config)
    sheet = io.BytesIO()
    named = [Worst(probability, os.fsdecode(path), family) for probability, path, family in worst]
    draw_contact_sheet(config.folder, named, threshold).save(sheet, "jpeg", quality=90, comment=SHEET_COMMENT)
    write_bytes(Outputs.of(config).sheet, sheet.getvalue())


def score_new(
    state: State,
    config: FilterConfig,
    detector: "Callable[[], Detector]",
    *,
    on_scores: Callable[[list[Score]], object] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> int:
    """Score what a state does not hold yet, drop what is gone from the folder; returns how many are new.

    Args:
        state: made ready by ``prepare``.
        config: names the folder.
        detector: gives the one that ``prepare`` was told of; it is not asked where nothing is to be scored.
        on_scores: called with scores when they are kept; the bar in the terminal is left out then.
        stopped: asked after every picture whether to end here; what is scored by then is kept.
    """
    sheet = _sheet_inside(config)
    still_there = bytearray(state.last_score() + 1)  # whether the file that has the score of this number is
    ahead: dict[Path, tuple[bytes, os.stat_result]] = {}  # of files that are being read

    def unknown() -> Iterator[Path]:
        listed = list_pictures(config.folder, config.move_flagged)
        pictures = (found for found in listed if found[0] != sheet)
        while found := list(islice(pictures, LOOK_UP)):
            known = state.find(path for path, _ in found)
            for path, status in found:
                number, *times = known.get(path, (None,))
                if number is not None:
                    still_there[number] = True
                if times != [status.st_size, status.st_mtime_ns, status.st_ctime_ns]:
                    file = config.folder / os.fsdecode(path)
                    ahead[file] = path, status
                    yield file

    def keep() -> None:
        state.add_scores(waiting)
        if on_scores is not None and waiting:
            on_scores(waiting)

    new, waiting, committed = 0, list[Score](), time.monotonic()
    files = unknown()
    first = next(files, None)
    outcomes: Iterator[tuple[Path, Prediction | ImageError]] = iter(())
    if first is not None:
        outcomes = detector().predict_files(chain((first,), files), batch_size=config.batch_size)
    predictions = progress_bar(outcomes, "score", unit="img", shown=on_scores is None)
    try:
        for file, outcome in predictions:
            path, status = ahead.pop(file)
            probability, reason, details = _outcome(outcome)
            times = status.st_size, status.st_mtime_ns, status.st_ctime_ns
            waiting.append(
                Score(path, probability, reason.encode("utf-8", "backslashreplace").decode(), *times, details)
            )
            new += 1
            if len(waiting) >= COMMIT_ROWS or time.monotonic() > committed + COMMIT_SECONDS:
                keep()
                waiting, committed = [], time.monotonic()
            if stopped is not None and stopped():
                return new
    finally:
        predictions.close()
        keep()
    n = len(still_there)
    state.forget_scores([number for number in state.score_numbers() if number < n and not still_there[number]])
    return new


def _outcome(outcome: Prediction | ImageError) -> tuple[float | None, str, str]:
    """Probability, reason and details of a score."""
    if isinstance(outcome, ImageError):
        return None, outcome.reason, ""
    return (None, TOO_SMALL, "") if outcome.too_small else (outcome.probability, "", write_details(outcome))
