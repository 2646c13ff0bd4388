"""A folder that a person sorts and labels while it is scored in the background."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.detector import Detector
from artifact_utils.files.writing import real_path
from artifact_utils.filtering.clean_archive import zip_clean
from artifact_utils.filtering.judging import Judge
from artifact_utils.filtering.label_export import Exported, export_state
from artifact_utils.filtering.labelled import labelled_pictures, path_below
from artifact_utils.filtering.learning import Material, gather
from artifact_utils.filtering.listing import list_pictures
from artifact_utils.filtering.moving import move_from, put_back
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.renamed_folder import follow_rename
from artifact_utils.filtering.score_table import ScoreTable, threshold_curve
from artifact_utils.filtering.scores_csv import write_scores
from artifact_utils.filtering.scoring import load_detector, prepare, score_new, write_sheet
from artifact_utils.filtering.state import MOVED, NOT_SCORED, Score, State, open_state
from artifact_utils.labels import ARTIFACT, CLEAN
from artifact_utils.metrics.bootstrap import share_interval
from artifact_utils.predictions import counting
from artifact_utils.runs import free_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far the scoring is."""

    done: int
    total: int
    running: bool
    seconds: float
    """Since it began, or that it took."""
    error: str
    """What ended it, if it was an error."""


@dataclass(frozen=True)
class Agreement:
    """How many of the pictures that a person gave a label are flagged, and the 95% Wilson interval of that share."""

    label: int
    n: int
    flagged: int
    low: float
    high: float


class LiveFolder:
    """The state of a folder, its lock held until ``close``; every method may be called from any thread.

    Each call has a connection of its own to the state, so that SQLite keeps them apart.

    Args:
        config: of the folder; ``move_flagged`` is by default ``FOLDER.flagged``, beside it, and labels are exported to
            ``FOLDER.labels``.
        detector: to score with.
        sha256: of the detector's file.

    Raises:
        FilterError: no such folder, or its state cannot be used.
        FileError: another process is at work on it.
    """

    def __init__(self, config: FilterConfig, detector: Detector, sha256: str) -> None:
        if not config.folder.is_dir():
            raise FilterError(f"no folder {config.folder}: name a folder of portraits")
        self.config = replace(config, move_flagged=config.move_flagged or Outputs.of(config).beside("flagged"))
        self.detector = detector
        self.table = ScoreTable(detector.info.families, detector.info.sharpness)
        self._lock = threading.RLock()  # of the table and of what is said of the scoring
        self._labelled: list[tuple[int, int | None]] = []  # to be undone: number, label before
        self._worker: threading.Thread | None = None
        self._stopped = threading.Event()
        self._progress = Progress(0, 0, running=False, seconds=0.0, error="")
        follow_rename(config)
        with ExitStack() as stack:
            self._state: State = stack.enter_context(open_state(config))  # used by this thread alone
            self._n_moved = 0
            self._judge, self._sha256 = Judge.by(detector), sha256
            self._prepare(self._state)
            self._read(self._state)
            self._held = stack.pop_all()

    def close(self) -> None:
        """Stop scoring and give the folder back; in the thread that opened it."""
        self.stop()
        self._held.close()

    def _target(self) -> Path:
        """Where this page moves to, and brings back from; other commands may have moved elsewhere."""
        assert self.config.move_flagged is not None
        return real_path(self.config.move_flagged)

    @contextmanager
    def _opened(self) -> Iterator[State]:
        try:
            with closing(State(self._state.path, self._state.folder)) as state:
                yield state
        except sqlite3.Error as error:
            path = self._state.path
            raise FilterError(f"{path} cannot be used ({error}): set that right, and try again") from error

    # Scoring

    def _prepare(self, state: State) -> None:
        own_threshold = self.detector.threshold if self.config.threshold is None else None
        prepare(state, self._judge, self._sha256, own_threshold=own_threshold)

    def start(self) -> None:
        """Score in the background what has no score yet; nothing if that is going on already."""
        with self._lock:
            if self._worker is not None and self._worker.is_alive():
                return
            self._stopped.clear()
            self._progress = Progress(0, 0, running=True, seconds=0.0, error="")
            self._worker = threading.Thread(target=self._score, name="score", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """Stop scoring, and wait until what is scored is kept."""
        self._stopped.set()
        worker = self._worker
        if worker is not None:
            worker.join()

    @property
    def progress(self) -> Progress:
        return self._progress

    def _score(self) -> None:
        started, error = time.monotonic(), ""
        try:
            with self._opened() as state:
                self._prepare(state)
                total = sum(1 for _ in list_pictures(self.config.folder, self.config.move_flagged))
                known = {row.path for row in self.table.rows.values() if not row.moved and row.reason != NOT_SCORED}
                done = len(known)
                self._progress = Progress(done, total, running=True, seconds=0.0, error="")

                def noted(scores: list[Score]) -> None:
                    known.update(score.path for score in scores)
                    numbers = state.find(score.path for score in scores)
                    with self._lock:
                        self.table.put((numbers[score.path][0], score) for score in scores)
                        seconds = time.monotonic() - started
                        self._progress = Progress(min(len(known), total), total, True, seconds, "")

                score_new(state, self.config, lambda: self.detector, on_scores=noted, stopped=self._stopped.is_set)
                self._read(state)
                counts = write_scores(state, Outputs.of(self.config), self._judge)
                write_sheet(self.config, counts.worst, self._judge.threshold)
        except (ArtifactUtilsError, OSError, sqlite3.Error) as failure:
            error = str(failure)
            logger.warning("scoring %s ended: %s", self.config.folder, error)
        finally:
            n = sum(not row.moved and row.reason != NOT_SCORED for row in self.table.rows.values())
            total = self._progress.total if self._stopped.is_set() or error else n
            self._progress = Progress(n, total, running=False, seconds=time.monotonic() - started, error=error)

    def _read(self, state: State) -> None:
        """Take the whole table from the state."""
        table = ScoreTable(self.detector.info.families, self.detector.info.sharpness)
        numbers = list(state.score_numbers_by_path())
        table.put(zip(numbers, state.scores(), strict=True))
        labels = {picture.file: picture.label for picture in labelled_pictures(state)}
        moved = {move.source: move.target / path_below(move.destination) for move in state.moves(MOVED)}
        for row in table.rows.values():
            here = state.folder / path_below(row.path)
            row.moved = row.path in moved and not os.path.lexists(here)
            row.label = labels.get(moved[row.path] if row.moved else here)
        with self._lock:
            self._n_moved = len(state.moves(MOVED, target=self._target()))
            table.version = self.table.version + 1
            for row in table.rows.values():
                row.version = table.version
            self.table = table

    def use(self, run: Path | None) -> None:
        """Score everything anew with another model from now on, at its own threshold; labels and moves stay.

        Args:
            run: folder or file of it; by default the detector that comes with the package.

        Raises:
            FilterError: scoring is going on.
            CheckpointError, ConfigError: as ``Detector.load``.
        """
        config = replace(self.config, run=run, threshold=None)
        detector, sha256 = load_detector(config)
        with self._settled() as state:
            judge = Judge.by(detector)
            prepare(state, judge, sha256, own_threshold=detector.threshold, rescore=True)
            self._judge = judge
            self.config, self.detector, self._sha256 = config, detector, sha256
        self.start()

    # Looking

    def rows_since(self, version: int, only: Collection[str] | None = None) -> dict[str, Any]:
        """What changed in the table since a version of it, as columns; of all rows if that was another table.

        Raises:
            ConfigError: a family that the model does not tell apart.
        """
        with self._lock:
            table = self.table
            numbers = [n for n, row in table.rows.items() if row.version > version]
            rows = [table.rows[n] for n in numbers]
            probabilities, families = table.probabilities(numbers, only)
            here = [n for n, row in table.rows.items() if not row.moved]
            flagged, alarms = threshold_curve(table.probabilities(here, only)[0])
            return {
                "flagged": flagged,
                "false_alarms": alarms,
                "version": table.version,
                "count": len(table.rows),
                "moved_away": self._n_moved,
                "id": numbers,
                "name": [os.fsdecode(row.path).encode("utf-8", "replace").decode() for row in rows],
                "probability": [round(p, 5) if p == p else None for p in probabilities.tolist()],
                "family": families,
                "label": [row.label for row in rows],
                "moved": [row.moved for row in rows],
                "reason": ["" if row.chances else row.reason for row in rows],
                "model": self._sha256,
            }

    def numbers(self) -> dict[str, int]:
        """The number of each picture, by its path below the folder."""
        with self._lock:
            return {os.fsdecode(row.path): number for number, row in self.table.rows.items()}

    def chances(self, number: int) -> dict[str, float]:
        """The probability of each family that the model tells apart, in one picture.

        Raises:
            FilterError: there is none of this number.
        """
        with self._lock:
            row = self.table.row(number)
        return dict(zip(self.table.known, row.chances, strict=False))

    def file(self, number: int) -> Path:
        """Where a picture is, in the folder or where it was moved to.

        Raises:
            FilterError: there is none of this number.
        """
        with self._lock:
            row = self.table.row(number)
        if row.moved:
            with self._opened() as state:
                for move in reversed(state.moves(MOVED)):
                    if move.source == row.path:
                        return move.target / path_below(move.destination)
        return self.config.folder / path_below(row.path)

    def agreement(self, threshold: float, only: Collection[str] | None = None) -> list[Agreement]:
        """How often the detector agrees with the labels at a threshold: on the clean ones, and on the artifacts."""
        judge = self.judge(threshold, only)
        with self._lock:
            labelled = [n for n, row in self.table.rows.items() if row.label is not None and row.chances]
            labels = [self.table.rows[n].label for n in labelled]
            probabilities, _ = self.table.probabilities(labelled, judge.families or None)
        flagged = [bool(p >= threshold) for p in probabilities]
        found = []
        for label in (CLEAN, ARTIFACT):
            answers = [f for f, said in zip(flagged, labels, strict=True) if said == label]
            interval = share_interval(sum(answers), len(answers)) if answers else (0.0, 1.0)
            found.append(Agreement(label, len(answers), sum(answers), *interval))
        return found

    # Labelling

    def label(self, number: int, verdict: int) -> None:
        """Say what a picture is: 1 artifact, 0 none.

        Raises:
            FilterError: no such picture or verdict.
        """
        if verdict not in (CLEAN, ARTIFACT):
            raise FilterError(f"verdict {verdict!r}: choose {ARTIFACT} for an artifact, {CLEAN} for none")
        with self._lock:
            row = self.table.touch(number)
            with self._opened() as state:
                state.corrections.add(row.path, verdict)
            self._labelled.append((number, row.label))
            row.label = verdict

    def unlabel(self) -> int | None:
        """Take back the last label that was given since the folder was opened; returns its picture, None if none."""
        with self._lock:
            while self._labelled:
                number, before = self._labelled.pop()
                if number not in self.table.rows:
                    continue
                row = self.table.touch(number)
                with self._opened() as state:
                    state.corrections.remove(row.path)
                    if before is not None:
                        state.corrections.add(row.path, before)
                row.label = before
                return number
        return None

    def label_counts(self) -> tuple[int, int]:
        """How many labels there are: clean ones, and artifacts."""
        with self._opened() as state:
            verdicts = [correction.verdict for correction in state.corrections.list()]
        return verdicts.count(CLEAN), verdicts.count(ARTIFACT)

    def material(self) -> Material:
        """What there is to learn from."""
        with self._opened() as state:
            return gather(state, self.config)

    # Results

    def judge(self, threshold: float | None = None, only: Collection[str] | None = None) -> Judge:
        """The judge at a threshold, by default the detector's, of these families, by default all that count.

        Raises:
            FilterError, ConfigError: no probability, or a family that the model does not tell apart.
        """
        threshold = self.detector.threshold if threshold is None else threshold
        if not 0 <= threshold <= 1:
            raise FilterError(f"threshold {threshold}: choose a probability from 0 to 1")
        families = self.detector.families if only is None else counting(self.table.known, only)
        return replace(self._judge, threshold=threshold, families=families)

    def move(self, threshold: float | None = None, only: Collection[str] | None = None) -> int:
        """Move away what is flagged, a person's labels first; returns how many.

        Raises:
            FilterError: scoring is going on, or as ``move_flagged``.
        """
        judge = self.judge(threshold, only)
        with self._settled() as state:
            config = replace(self.config, threshold=judge.threshold, only=",".join(judge.families), ignore="")
            return move_from(state, config)

    def bring_back(self) -> int:
        """Put back what was moved away, and score it where its file has changed; returns how many.

        Raises:
            FilterError: scoring is going on, or as ``undo``.
        """
        with self._settled() as state:
            n = put_back(state, self.config)
        self.start()
        return n

    @contextmanager
    def _settled(self) -> Iterator[State]:
        """The state while nothing is scored; then the table is read anew."""
        with self._lock:
            if self._progress.running:
                raise FilterError("pictures are being scored: stop that first, or wait until it is done")
            with self._opened() as state:
                try:
                    yield state
                finally:
                    self._read(state)

    def write_table(self, path: Path, threshold: float | None = None, only: Collection[str] | None = None) -> None:
        """Write the table of scores, as people read it."""
        with self._opened() as state:
            write_scores(state, Outputs(path, path, path), self.judge(threshold, only))

    def write_clean(self, file: IO[bytes], threshold: float | None = None, only: Collection[str] | None = None) -> int:
        """Write the clean pictures as a zip; returns how many."""
        with self._opened() as state:
            return zip_clean(state, self.judge(threshold, only), file)

    def export_labels(self) -> Exported:
        """Copy the labelled pictures as a labelled data set to a new folder; errors are those of ``export_state``."""
        labels = Outputs.of(self.config).beside("labels")
        with self._opened() as state:
            return export_state(state, free_folder(labels.parent, labels.name))
