"""The run folder: opening it, saving and restoring everything in it, stopping without losing anything."""

import io
import json
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch

from artifact_utils.config import TrainConfig, resolve
from artifact_utils.files import write_bytes, write_csv


class RunError(RuntimeError):
    """A run that cannot be started or continued as asked."""


class TrainingInterrupted(Exception):  # noqa: N818 (it is no error: everything is saved)
    """Training was asked to stop and has saved where it was; the message says how to continue."""


class Stateful(Protocol):
    """A model, an optimiser, a schedule: whatever can be saved and restored."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass
class Progress:
    """How far a run is; with the model and the optimiser it is all that continuing needs."""

    epoch: int = 0  # the epoch to go on with
    step: int = 0  # steps of it already done
    loss_sum: float = 0.0  # of those steps
    seconds: float = 0.0  # spent on those steps
    best_epoch: int = -1
    best_score: tuple[float, float] = (-1.0, 0.0)  # validation macro-F1, then minus its loss
    history: list[dict[str, float]] = field(default_factory=list)


def open_run(config: TrainConfig) -> tuple[TrainConfig, Path]:
    """Resolve the config and choose the run folder: a new one, or the one to continue.

    A continued run keeps the config it was started with; only ``device`` and ``workers``, which belong to the machine,
    are taken anew. Nothing is written yet.

    Raises:
        RunError: the folder cannot be written, holds another run, or there is nothing to continue.
        ConfigError: a value in the config cannot be used.
    """
    if config.resume:
        run = config.out or newest_run()
        return stored_config(run, config), run
    config = resolve(config)
    run = config.out or free_folder(Path("runs"), config.arch)
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise RunError(f"{run} is already in use: continue it with --resume --out {run}, or choose another --out")
    check_writable(run)
    return replace(config, out=run), run


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
    while candidate.exists():
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


def stored_config(run: Path, asked: TrainConfig) -> TrainConfig:
    """Read the config a run was started with and check that nothing else is asked for now."""
    file = run / "config.json"
    try:
        stored: dict[str, Any] = json.loads(file.read_text())
        known = {f.name: f for f in fields(TrainConfig)}
        values = {name: value for name, value in stored.items() if name in known}
        config = TrainConfig(**(values | {"data": Path(values["data"]), "out": run}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"cannot continue {run}: {file} cannot be read ({error})") from error
    for name, f in known.items():
        value = getattr(asked, name)
        own_default = f.default is not MISSING and value == f.default
        if name not in ("out", "resume", "device", "workers") and not own_default and value != getattr(config, name):
            raise RunError(
                f"{run} was started with {name}={getattr(config, name)}, not {value}: "
                f"leave --{name.replace('_', '-')} out, or start a new run without --resume"
            )
    return resolve(replace(config, device=asked.device, workers=asked.workers, resume=True))


def save(run: Path, parts: Mapping[str, Stateful], progress: Progress) -> None:
    """Write ``last.pt``: everything that is needed to go on as if nothing had happened."""
    state = {name: part.state_dict() for name, part in parts.items()}
    random = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
    content = io.BytesIO()
    torch.save({"state": state, "random": random, "progress": asdict(progress)}, content)
    write_bytes(run / "last.pt", content.getbuffer())


def restore(run: Path, parts: Mapping[str, Stateful], device: torch.device) -> Progress:
    """Put everything back as ``last.pt`` has it; where there is none yet, the run starts at the beginning.

    Raises:
        RunError: the file cannot be read.
    """
    file = run / "last.pt"
    if not file.exists():
        return Progress()
    try:
        content = torch.load(file, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content["state"][name])
        progress = Progress(**content["progress"])
        torch.set_rng_state(content["random"]["cpu"].cpu())
        if torch.cuda.is_available() and len(content["random"]["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in content["random"]["cuda"]])
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise RunError(f"cannot continue {run}: {file} cannot be read ({error}); start a new run") from error
    return progress


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of one shape as CSV with a header."""
    write_csv(path, tuple(rows[0]) if rows else (), [row.values() for row in rows])


class StopRequest:
    """Turns Ctrl-C and SIGTERM into a wish that the loop asks for between two steps; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # only the main thread may: elsewhere Ctrl-C stops at once, as ever
                break
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
