"""The options of ``filter_images.py --engine ray``; nothing heavy is imported before they are checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from artifact_utils.filtering.options import FilterConfig, FilterError

INSTALL = 'python -m pip install -e ".[scale]"'
"""What installs Ray, DuckDB and the file system of S3."""


class ScaleError(FilterError):
    """Pictures that cannot be scored on this engine as asked; the scores so far are kept."""


@dataclass(frozen=True)
class ScaleConfig:
    """What to score with which model, where the scores go, and on which machines."""

    folder: tyro.conf.Positional[str]
    """Folder of portraits, nested or not: a local one, s3://BUCKET/FOLDER, or a URL of any other file system that
    fsspec knows."""
    scores: str
    """Folder for the scores, of the same kinds: Parquet files, a row a picture."""
    engine: Literal["ray"] = "ray"
    """Leave this out to score a local folder without Ray."""
    run: Path | None = None
    """Run folder or file of the model. Default: the detector that comes with the package."""
    threshold: float | None = None
    """Flag from this probability on, instead of the model's own threshold."""
    only: str = ""
    """Families of artifacts that count, with commas between them: hands, face, text, objects, glitch, gaze. Default:
    all but gaze."""
    ignore: str = ""
    """Families that do not count."""
    address: str | None = None
    """Ray cluster to work on: auto for the one that this machine is part of. Default: this machine alone."""
    workers: int | None = None
    """Processes that hold the model. Default: one a GPU, or one for two cores."""
    batch_size: int | None = None
    """Pictures that the network scores at once. Default: 8 on a CPU, else 32."""
    device: str = "auto"
    """auto, cpu, cuda: where the model runs."""

    def __post_init__(self) -> None:
        assert self.model_options  # checks what it has in common with this
        if self.workers is not None and self.workers < 1:
            raise ScaleError(f"--workers {self.workers}: choose 1 or more")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ScaleError(f"--device {self.device}: choose auto, cpu or cuda")

    @property
    def model_options(self) -> FilterConfig:
        """The options that say which detector scores, on the CPU."""
        return FilterConfig(
            Path(),
            run=self.run,
            threshold=self.threshold,
            only=self.only,
            ignore=self.ignore,
            batch_size=self.batch_size,
            device="cpu",
        )
