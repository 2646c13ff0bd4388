"""The options of ``filter_images.py``; nothing heavy is imported before they are checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from artifact_utils.files.writing import FileError, real_path
from artifact_utils.labels import FAMILY_NAMES


class FilterError(FileError):
    """A folder that cannot be scored, or flagged pictures that cannot be moved, as asked."""


@dataclass(frozen=True)
class FilterConfig:
    """What to score with which model, and what to do with the result."""

    folder: tyro.conf.Positional[Path]
    """Folder of portraits, nested or not."""
    run: Path | None = None
    """Run folder or .safetensors file of the model. Default: the run that was learned for this folder, where it is in
    use, else the detector that comes with the package."""
    scores: Path | None = None
    """Table to write; the contact sheet of the worst (.jpg) and the state (.sqlite) go beside it. Default:
    FOLDER.scores.csv, beside the folder."""
    threshold: float | None = None
    """Flag from this probability on, instead of the model's own threshold."""
    only: str = ""
    """Families of artifacts that count, with commas between them: hands, face, text, objects, glitch, gaze. Default:
    all but gaze, which many call no fault. Known scores are kept."""
    ignore: str = ""
    """Families that do not count: --ignore text where a signature is no fault."""
    move_flagged: Path | None = None
    """Folder to move the flagged pictures to."""
    undo: bool = False
    """Put back what --move-flagged has moved there."""
    labels: Path | None = None
    """Table of labels to take over, columns file (below FOLDER) and label (artifact or clean), as given on the page."""
    export_labels: Path | None = None
    """New folder to copy the labelled pictures to, as organize_dataset.py reads them: image_00001_1.png and so on."""
    learn: bool = False
    """Learn from what is labelled what you call a fault: 30 pictures or more, at least 5 of each class. Writes a new
    run and says what it would change; nothing uses it yet."""
    fit_generator: bool = False
    """Fit the model to your generator: FOLDER holds clean portraits of it, or 30 and more are labelled clean. Writes a
    new run that flags at most 5% of such portraits."""
    learned: Path | None = None
    """Run folder for --learn and --fit-generator. Default: FOLDER.learned, beside the table."""
    rescore: bool = False
    """Score everything anew where the scores are another model's, without --run with the detector that comes with the
    package; labels and moves stay."""
    batch_size: int | None = None
    """Pictures that the network scores at once. Default: 8 on a CPU, where more take memory and no less time, else
    32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    engine: Literal["builtin", "ray"] = "builtin"
    """ray: for pictures in object storage, and for several machines. Its options: --engine ray --help"""

    @property
    def only_families(self) -> tuple[str, ...] | None:
        """The families of ``only``; None where nothing was asked for."""
        return _names(self.only) or None

    @property
    def ignored_families(self) -> tuple[str, ...]:
        """The families of ``ignore``."""
        return _names(self.ignore)

    def __post_init__(self) -> None:
        for option, text in (("only", self.only), ("ignore", self.ignore)):
            for family in _names(text):
                if family not in FAMILY_NAMES:
                    raise FilterError(f"--{option} {text}: no family {family!r}: choose of {', '.join(FAMILY_NAMES)}")
        if self.batch_size is not None and self.batch_size < 1:
            raise FilterError(f"--batch-size {self.batch_size}: choose 1 or more")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise FilterError(f"--threshold {self.threshold}: choose a probability from 0 to 1")
        if self.scores is not None and self.scores.is_dir():
            raise FilterError(f"--scores {self.scores} is a folder: name a file in it, such as scores.csv")
        if self.scores is not None and self.scores.suffix.lower() in (".jpg", ".sqlite"):
            raise FilterError(f"--scores {self.scores}: {self.scores.suffix} is for a file beside it, say .csv")
        if self.undo and self.move_flagged is None:
            raise FilterError("--undo needs to know what to undo: name the folder with --move-flagged")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True)
class Outputs:
    """The files that a scored folder has."""

    table: Path
    """What people read, written anew by every scoring."""
    sheet: Path
    """Contact sheet of the worst."""
    state: Path
    """What the program believes: scores, corrections and moves."""

    @classmethod
    def of(cls, config: FilterConfig) -> "Outputs":
        """Those that the config names, by default beside the folder and under its name.

        Raises:
            FilterError: there is nothing beside the root folder.
        """
        if config.scores is not None:
            table = config.scores
        else:
            folder = real_path(config.folder) if config.folder.name in ("", "..") else config.folder
            if not folder.name:
                raise FilterError(f"nothing can lie beside {folder}: name a table with --scores")
            table = folder.with_name(f"{folder.name}.scores.csv")
        return cls(table, table.with_suffix(".jpg"), table.with_suffix(".sqlite"))

    def beside(self, what: str) -> Path:
        """Where something else of the folder lies: ``FOLDER.what``, beside the table."""
        return self.table.with_name(f"{self.table.name.removesuffix('.csv').removesuffix('.scores')}.{what}")
