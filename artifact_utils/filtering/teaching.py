"""Lessons of a folder that is open in a page: learned in the background, looked at, and then used or thrown away."""

import contextlib
import json
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.detector import checkpoint_file, pretrained_file
from artifact_utils.files.writing import file_digest, real_path
from artifact_utils.filtering.learning import MADE, MIN_LABELS, MIN_OF_A_CLASS, fit_generator, learn
from artifact_utils.filtering.lesson_report import RUN_FILES, Learned, Turned, read_learned
from artifact_utils.filtering.live_folder import LiveFolder
from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.scoring import learned_runs

logger = logging.getLogger(__name__)

LESSONS = {"labels": learn, "generator": fit_generator}
"""From what is labelled, or from clean portraits alone."""


@dataclass(frozen=True)
class LessonProgress:
    """How far a lesson is."""

    done: int
    total: int
    """Steps; 0 until they are known."""
    running: bool
    seconds: float
    error: str
    """What ended it, if it was an error."""


class StoppedError(Exception):
    """A lesson that somebody has stopped."""


class Teaching:
    """What a page can learn from the labels of its folder; one lesson at a time, and none while pictures are scored.

    A lesson is a run folder beside the folder, so that the next page finds it again.

    Args:
        live: the folder.
    """

    def __init__(self, live: LiveFolder) -> None:
        self.live = live
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._worker: threading.Thread | None = None
        self._progress = LessonProgress(0, 0, running=False, seconds=0.0, error="")
        self.learned = self._latest()
        self.before = self._find_before()
        """The model that the one in use was learned from; None if it was not, or that is gone or has changed."""

    def close(self) -> None:
        """Stop the lesson that is under way."""
        self.stop()

    @property
    def progress(self) -> LessonProgress:
        return self._progress

    def start(self, kind: str) -> None:
        """Learn in the background, from the ``labels`` or what passes of the ``generator``.

        Raises:
            FilterError: something else is going on, or there is no such kind.
        """
        if kind not in LESSONS:
            raise FilterError(f"no lesson {kind!r}: choose of {', '.join(LESSONS)}")
        with self._lock:
            if self._progress.running:
                raise FilterError("something is being learned: stop that first, or wait until it is done")
            self._check_idle()
            self._stopped.clear()
            self._progress = LessonProgress(0, 0, running=True, seconds=0.0, error="")
            self._worker = threading.Thread(target=self._learn, args=(kind,), name="lesson", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """Stop the lesson; nothing of it is kept."""
        self._stopped.set()
        if self._worker is not None:
            self._worker.join()

    def _learn(self, kind: str) -> None:
        started, error = time.monotonic(), "the lesson ended early: the terminal of the page says why"

        def noted(done: int, total: int) -> None:
            if self._stopped.is_set():
                raise StoppedError
            self._progress = LessonProgress(done, total, True, time.monotonic() - started, "")

        try:
            self.learned = LESSONS[kind](self.live.config, self.live.material(), on_progress=noted)
            error = ""
        except StoppedError:
            error = ""
        except (ArtifactUtilsError, OSError, sqlite3.Error) as failure:
            error = str(failure)
            logger.warning("a lesson of %s ended: %s", self.live.config.folder, error)
        finally:
            seconds = time.monotonic() - started
            self._progress = replace(self._progress, running=False, seconds=seconds, error=error)

    def _check_idle(self) -> None:
        if self.live.progress.running:
            raise FilterError("pictures are being scored: stop that first, or wait until it is done")

    # What was learned

    def turned(self) -> list[tuple[Turned, int | None]]:
        """The pictures whose verdict would turn, and their numbers in the folder, None of one that is gone."""
        if self.learned is None:
            return []
        numbers = self.live.numbers()
        return [(turned, numbers.get(turned.path.removesuffix(MADE))) for turned in self.learned.turned]

    def use(self, name: str) -> None:
        """Score the folder anew with what was learned; labels and moves stay.

        Args:
            name: of the run, as it was looked at.

        Raises:
            FilterError: another lesson was learned meanwhile, or something else is going on.
        """
        self._change(self._asked(name).run)

    def discard(self, name: str) -> None:
        """Remove the run that was learned.

        Raises:
            FilterError: another lesson was learned meanwhile, or it is in use.
        """
        learned = self._asked(name)
        with self._lock:
            if self.in_use:
                raise FilterError(f"{name} is in use: go back to the model before, then remove it")
            for file in reversed(RUN_FILES):  # what says that it is complete goes first
                (learned.run / file).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody has put more into it
                learned.run.rmdir()
            self.learned = None

    def go_back(self) -> None:
        """Score the folder anew with the model that the one in use was learned from.

        Raises:
            FilterError: there is none, it has changed, or something else is going on.
        """
        before = self._find_before()
        if before is None:
            raise FilterError(f"the model that {self.name} was learned from is not there any more")
        if real_path(before) == real_path(pretrained_file()):
            self._change(None)
        else:
            self._change(before.parent if before.name == "best.safetensors" else before)

    def _change(self, run: Path | None) -> None:
        with self._lock:
            if self._progress.running:
                raise FilterError("something is being learned: stop that first, or wait until it is done")
            self.live.use(run)
            self.before = self._find_before()

    def _asked(self, name: str) -> Learned:
        learned = self.learned
        if learned is None or learned.run.name != name:
            raise FilterError("another lesson was learned meanwhile: look at that first")
        return learned

    def _latest(self) -> Learned | None:
        for run in learned_runs(self.live.config):
            try:
                return read_learned(run)
            except FilterError as error:
                logger.warning("%s", error)
        return None

    # The model in use

    @property
    def in_use(self) -> bool:
        """Whether what was learned last is the model that scores."""
        run = self.live.config.run
        if self.learned is None or run is None:
            return False
        return real_path(checkpoint_file(run)) == real_path(checkpoint_file(self.learned.run))

    @property
    def name(self) -> str:
        """Of the model that scores."""
        return name_of(self.live.config.run)

    def _find_before(self) -> Path | None:
        run = self.live.config.run
        if run is None:
            return None
        try:
            said = json.loads((checkpoint_file(run).parent / "config.json").read_text())
            file = Path(said["model"])
            return file if file_digest(file) == said["model_sha256"] else None
        except (OSError, ValueError, KeyError, TypeError):  # not learned here, or a stranger's JSON
            return None


def missing_labels(clean: int, artifacts: int) -> dict[str, int]:
    """How many labels are missing before anything can be learned: in all, and of each class at least."""
    of_each = {"clean": max(MIN_OF_A_CLASS - clean, 0), "artifact": max(MIN_OF_A_CLASS - artifacts, 0)}
    return {"all": max(MIN_LABELS - clean - artifacts, sum(of_each.values()))} | of_each


def name_of(run: Path | None) -> str:
    """What people call a model: by its run folder."""
    file = pretrained_file() if run is None else checkpoint_file(run)
    if real_path(file) == real_path(pretrained_file()):
        return "the packaged detector"
    return file.parent.name if file.name == "best.safetensors" else file.name
