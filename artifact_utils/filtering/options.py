"""The options of ``filter_images.py``; nothing heavy is imported before they are checked."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from artifact_utils.files import FileError


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

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise FilterError(f"--batch-size {self.batch_size}: choose 1 or more")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise FilterError(f"--threshold {self.threshold}: choose a probability from 0 to 1")
        if self.scores.is_dir():
            raise FilterError(f"--scores {self.scores} is a folder: name a file in it, such as scores.csv")
        if self.scores.suffix.lower() in (".jpg", ".json"):
            raise FilterError(f"--scores {self.scores}: {self.scores.suffix} is for a file beside it, say .csv")
        if self.undo and self.move_flagged is None:
            raise FilterError("--undo needs to know what to undo: name the folder with --move-flagged")
