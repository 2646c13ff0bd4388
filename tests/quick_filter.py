"""A filter whose detector takes microseconds."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.filtering import FilterConfig, move_flagged, score_folder
from artifact_utils.predictions import Prediction

INFO = ModelInfo("quick", 64, 0.5)


@dataclass
class QuickDetector:
    """Takes the number at the beginning of a file for its probability."""

    threshold: float
    families: tuple[str, ...] = ()
    info: ModelInfo = INFO

    @classmethod
    def load(cls, run: Path, *, threshold: float | None = None, **_: object) -> "QuickDetector":
        return cls(0.5 if threshold is None else threshold)

    def predict_files(self, paths: Iterable[Path], batch_size: int | None) -> Iterator[tuple[Path, Prediction]]:
        for path in paths:
            probability = float(path.read_bytes().split()[0])
            yield path, Prediction(probability, probability >= self.threshold)


@contextmanager
def quick_filter(folder: Path) -> Iterator[FilterConfig]:
    """The config of an empty folder below ``folder``, with small batches and no waiting for the disk."""
    (folder / "model.safetensors").write_bytes(b"model")
    (folder / "portraits").mkdir()
    with ExitStack() as stack:
        stack.enter_context(patch("artifact_utils.detector.Detector", QuickDetector))
        stack.enter_context(patch("artifact_utils.filtering.moving.BATCH", 3))
        stack.enter_context(patch("artifact_utils.files.databases.SYNCHRONOUS", "OFF"))  # a kill is no power cut
        stack.enter_context(patch("os.fsync"))
        yield FilterConfig(folder / "portraits", folder / "model.safetensors", move_flagged=folder / "bad")


def score_and_move(config: FilterConfig) -> None:
    score_folder(config)
    move_flagged(config)
