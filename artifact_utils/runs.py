"""The run folder: opening it, saving and restoring everything in it, stopping without losing anything."""

import hashlib
import io
import json
import logging
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch

from artifact_utils import distributed
from artifact_utils.config import ResolvedConfig, TrainConfig, flag, resolve
from artifact_utils.console import INTERRUPTED, ArtifactUtilsError
from artifact_utils.files.tables import write_csv
from artifact_utils.files.writing import is_part, write_bytes, write_json

logger = logging.getLogger(__name__)

STATES = ("last.pt", "previous.pt")
"""Files that a run can be continued from, the newest first."""
CHECKSUM_BYTES = 16  # at the end of a state, where the readers of its zip format look for nothing
OF_THE_MACHINE = ("out", "device", "workers", "cache", "cache_gb")
"""What a run may be continued with anew; everything else stays as it was."""


class RunError(ArtifactUtilsError):
    """A run that cannot be started or continued as asked."""


class TrainingInterrupted(ArtifactUtilsError):  # noqa: N818 (it is no error: what was done is saved)
    """Training was asked to stop; what was done is saved, and the message says how to continue."""

    exit_code = INTERRUPTED


class Stateful(Protocol):
    """A model, an optimiser, a schedule: whatever can be saved and restored."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass
class Progress:
    """How far a run is; with the state of the ``Learner`` it is all that continuing needs."""

    epoch: int = 0
    """The epoch to go on with, from 0."""
    first_loss: float | None = None
    """Mean loss of the first steps of the run."""
    best_epoch: int = -1
    best_score: tuple[float, float] = (-1.0, 0.0)
    """Validation macro-F1 of the best epoch, then minus its loss."""
    history: list[dict[str, float]] = field(default_factory=list)
    """A row for each whole epoch."""

    def is_best(self, row: Mapping[str, float]) -> bool:
        """Whether no epoch before had a better validation macro-F1, or the same with a smaller loss."""
        return _score(row) > tuple(self.best_score)

    def add(self, row: dict[str, float]) -> None:
        """Take in a whole epoch."""
        if self.is_best(row):
            self.best_score, self.best_epoch = _score(row), self.epoch
        self.history.append(row)
        self.epoch += 1


def _score(row: Mapping[str, float]) -> tuple[float, float]:
    return row["val_macro_f1"], -row["val_loss"]


def open_run(config: TrainConfig) -> tuple[ResolvedConfig, Path]:
    """Resolve the config and choose the run folder: a new one, or the one to continue.

    A continued run keeps the config it was started with; only what belongs to the machine, the device, the workers and
    the cache, is taken anew. Nothing is written yet.

    Raises:
        RunError: the folder cannot be written, holds another run, or there is nothing to continue.
        ConfigError: a value in the config cannot be used.
    """
    if config.resume:
        run = config.out or newest_run()
        return stored_config(run, config), run
    resolved = resolve(config)
    run = config.out or free_folder(Path("runs"), resolved.arch)
    if run.exists() and (
        not run.is_dir() or any(not is_part(file.name) for file in run.iterdir())
    ):  # a kill may leave it
        raise RunError(f"{run} is already in use: continue it with --resume --out {run}, or choose another --out")
    check_writable(run)
    return replace(resolved, out=run), run


def newest_run(root: Path = Path("runs")) -> Path:
    """The run under ``root`` that was started or continued last.

    Raises:
        RunError: there is none.
    """
    files = sorted(root.glob("*/config.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise RunError(f"no run in {root}: train one with python model_training.py, or name a run")
    return files[-1].parent


def free_folder(root: Path, name: str) -> Path:
    """``root/name``, or the first of ``root/name-2``, ``root/name-3`` and so on that is not taken."""
    candidate, number = root / name, 2
    while os.path.lexists(candidate):
        candidate, number = root / f"{name}-{number}", number + 1
    return candidate


def check_writable(run: Path) -> None:
    """Make sure that the folder can be made and written, without leaving a trace."""
    parent = next(folder for folder in (run, *run.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise RunError(f"cannot write to {parent} ({error.strerror}): choose another folder with --out") from error


def stored_config(run: Path, asked: TrainConfig) -> ResolvedConfig:
    """Read the config a run was started with and check that nothing else is asked for now.

    Raises:
        RunError: it cannot be read, is of an earlier version, or something else is asked for.
    """
    file = run / "config.json"
    known = {f.name: f for f in fields(TrainConfig)}
    try:
        stored: dict[str, Any] = json.loads(file.read_text())
        values = {name: _as_field(name, value) for name, value in stored.items() if name in known}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:  # whatever the file holds
        raise RunError(f"cannot continue {run}: {file} cannot be read ({error})") from error
    if other := [*(stored.keys() - known.keys()), *(known.keys() - stored.keys())]:
        raise RunError(
            f"cannot continue {run}: it was started by an earlier version (its config differs in {sorted(other)[0]}); "
            "use it and evaluate it as it is, or start a new run"
        )
    config = TrainConfig(**(values | {"out": run}))
    asked_for = {name: getattr(asked, name) for name, f in known.items() if getattr(asked, name) != f.default}
    for name, value in asked_for.items():
        if name not in ("resume", *OF_THE_MACHINE) and value != getattr(config, name):
            raise RunError(
                f"{run} was started with {name}={getattr(config, name)}, not {value}: "
                f"leave {flag(name)} out, or start a new run without --resume"
            )
    machine: dict[str, Any] = {name: value for name, value in asked_for.items() if name in ("cache", "cache_gb")}
    return resolve(replace(config, device=asked.device, workers=asked.workers, **machine, resume=True))


def _as_field(name: str, value: Any) -> Any:
    """A value of ``config.json`` as the field of that name holds it."""
    match name:
        case "data" | "cache" if value is not None:
            return Path(value)
        case "teachers":
            return tuple(map(Path, value))
        case "also_at":
            return tuple(value)
    return value


def start_run(run: Path, config: ResolvedConfig) -> None:
    """Make the folder and write ``config.json`` into it: from now on the run can be continued.

    Raises:
        RunError: another process has started the run since ``open_run``.
    """
    if (run / "config.json").exists() and not config.resume:
        raise RunError(f"{run} was started by another process meanwhile: choose another --out")
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", asdict(config))


def save(run: Path, learner: Stateful, progress: Progress) -> None:
    """Write ``last.pt``: everything that is needed to go on as if nothing had happened.

    The one before stays as ``previous.pt``, in case a disk damages the last. With several processes the first writes:
    the weights are the same in all.
    """
    if distributed.rank() > 0:
        return
    content = io.BytesIO()
    torch.save({"state": learner.state_dict(), "progress": asdict(progress)}, content)
    if (run / "last.pt").exists():
        (run / "last.pt").replace(run / "previous.pt")
    content.write(_checksum(content.getbuffer()))
    write_bytes(run / "last.pt", content.getbuffer())


def has_state(run: Path) -> bool:
    """Whether there is a state to go on from."""
    return any((run / name).exists() for name in STATES)


def restore(run: Path, learner: Stateful, device: torch.device) -> Progress:
    """Put everything back as the newest good state has it; where there is none yet, the run starts at the beginning.

    Raises:
        RunError: there are states, but none can be read.
    """
    failures = []
    for name in STATES:
        if not (run / name).exists():
            continue
        try:
            progress = _restore(run / name, learner, device)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a damaged pickle can raise nearly anything
            failures.append(f"{run / name} cannot be read ({str(error).partition(chr(10))[0]})")
            continue
        if failures:
            logger.warning("%s: going on from %s, epoch %d", failures[0], name, progress.epoch + 1)
        return progress
    if failures:
        raise RunError(f"cannot continue {run}: {'; '.join(failures)}; start a new run")
    return Progress()


def _restore(file: Path, learner: Stateful, device: torch.device) -> Progress:
    data = memoryview(file.read_bytes())
    if _checksum(data[:-CHECKSUM_BYTES]) != data[-CHECKSUM_BYTES:]:  # PyTorch would not notice a weight that changed
        raise RunError("its checksum does not fit")
    content = torch.load(io.BytesIO(data[:-CHECKSUM_BYTES]), map_location=device, weights_only=True)
    progress = Progress(**content["progress"])
    learner.load_state_dict(content["state"])
    return progress


def _checksum(data: memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECKSUM_BYTES).digest()


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of one shape as CSV with a header."""
    write_csv(path, tuple(rows[0]) if rows else (), [row.values() for row in rows])


class EventLog:
    """The history as TensorBoard reads it: ``tensorboard --logdir runs``.

    Args:
        run: the run folder; the events go to ``tensorboard/`` in it.
        progress: what is there of later epochs, since the run went on from an earlier state, is hidden.
        enabled: with several processes one of them writes.
    """

    def __init__(self, run: Path, progress: Progress, *, enabled: bool = True) -> None:
        self.folder, self.first, self.enabled = run / "tensorboard", progress.epoch + 1, enabled

    def __enter__(self) -> "EventLog":
        if self.enabled:
            from torch.utils.tensorboard import SummaryWriter  # takes a second to import

            self._writer = SummaryWriter(str(self.folder), purge_step=self.first)
        return self

    def add(self, row: Mapping[str, float]) -> None:
        """Write a row of the history, and make it visible at once."""
        for name, value in row.items():
            if name != "epoch" and value is not None:
                group, _, rest = name.partition("_")
                tag = f"{rest or group}/{group}" if group in ("train", "val") else name
                self._writer.add_scalar(tag, value, int(row["epoch"]))
        self._writer.flush()

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self._writer.close()


class StopRequest:
    """Turns Ctrl-C and SIGTERM into a wish that the loop asks for between two steps; a second one stops at once.

    With several processes a wish in one of them becomes a request in all at the next ``agree``. There a second signal
    changes nothing: the terminal sends one to each process, and ``torchrun`` another.

    Args:
        run: the run folder, for the message that says how to continue.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.requested = self._wished = False
        self.exit_code = INTERRUPTED
        self._alone = distributed.world_size() == 1
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # only the main thread may: elsewhere Ctrl-C stops at once, as ever
                break
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and self._alone:
            raise KeyboardInterrupt
        self._wished, self.requested = True, self.requested or self._alone
        self.exit_code = 128 + number if self._alone else INTERRUPTED

    def agree(self) -> None:
        """Let every process know whether any is to stop."""
        if not self._alone:
            self.requested = distributed.anywhere(self._wished)

    def check(self, where: str) -> None:
        """Stop here if that was requested.

        Raises:
            TrainingInterrupted: it says ``where``, and how to go on, in one line.
        """
        if self.requested:
            go_on = f"python model_training.py --resume --out {self.run}"
            error = TrainingInterrupted(f"stopped {where}; to go on: {go_on}")
            error.exit_code = self.exit_code
            raise error

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
