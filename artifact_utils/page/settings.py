"""The options of ``app.py``; nothing heavy is imported before they are checked."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

import tyro

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.filtering.options import FilterConfig


class PageError(ArtifactUtilsError):
    """A page that cannot be opened as asked."""


@dataclass(frozen=True)
class PageConfig:
    """What the page shows, and who may see it."""

    folder: tyro.conf.Positional[Path | None] = None
    """Folder of portraits to sort. Without one there is only what people drop in."""
    select: str = ""
    """Look into scores that filter_images.py --engine ray has written, in a folder or at a URL such as
    s3://bucket/scores, instead of sorting a folder."""
    run: Path | None = None
    """Run folder or .safetensors file of the model. Default: the detector that comes with the package."""
    scores: Path | None = None
    """Table of the folder, with the state (.sqlite) beside it, as filter_images.py has it. Default:
    FOLDER.scores.csv, beside the folder."""
    threshold: float | None = None
    """Flag from this probability on, instead of the model's own threshold; the page has a slider."""
    only: str = ""
    """Families of artifacts that count, with commas between them: hands, face, text, objects, glitch, gaze. Default:
    all but gaze."""
    ignore: str = ""
    """Families that do not count."""
    move_flagged: Path | None = None
    """Where the page moves flagged pictures. Default: FOLDER.flagged, beside the folder."""
    runs: Path = Path("runs")
    """Folder of run folders whose reports the page shows."""
    port: int = 7860
    """0 takes any that is free."""
    host: str = "127.0.0.1"
    """Address to listen on. Another than 127.0.0.1 lets others in, and wants --auth."""
    share: bool = False
    """Open a public address for 72 hours through Gradio's servers; wants --auth."""
    auth: str = ""
    """NAME:PASSWORD that the page asks for. Set in the environment as PAGE_AUTH, it is in no list of processes."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise PageError(f"--port {self.port}: choose one from 1024 to 65535, or 0 for any that is free")
        if self.select and self.folder is not None:
            raise PageError(f"{self.folder} and --select {self.select} exclude each other: open a page for each")
        name, colon, password = self.credentials.partition(":")
        if self.credentials and not (name and colon and len(password) >= 8):
            raise PageError("--auth: write NAME:PASSWORD, with a password of 8 characters or more")
        if self.is_public and not self.credentials and not on_space():
            option = "--share" if self.share else f"--host {self.host}"
            raise PageError(
                f"{option} lets anybody who finds the address look at the pictures, and move them: choose a password "
                "with --auth NAME:PASSWORD"
            )
        if self.folder is not None:
            self.filter_config(self.folder)
            if not self.folder.is_dir():
                raise PageError(f"no folder {self.folder}: name a folder of portraits, or none")

    @property
    def credentials(self) -> str:
        """``auth``, or what the environment has instead."""
        return self.auth or os.environ.get("PAGE_AUTH", "")

    @property
    def is_public(self) -> bool:
        """Whether anybody but programs of this machine may reach the page."""
        return self.share or not is_loopback(self.host)

    def filter_config(self, folder: Path) -> FilterConfig:
        """What ``filter_images.py`` would be told.

        Raises:
            FilterError: a threshold, family or path that cannot be.
        """
        return FilterConfig(
            folder, self.run, self.scores, self.threshold, self.only, self.ignore, self.move_flagged, device=self.device
        )


def is_loopback(host: str) -> bool:
    """Whether an address or name is that of this machine, for itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, not an address
        return host == "localhost" or host.endswith(".localhost")


def on_space() -> bool:
    """Whether this is a Hugging Face Space, whose owner says there who may see it."""
    return "SPACE_ID" in os.environ
