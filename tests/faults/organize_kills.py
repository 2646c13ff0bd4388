"""Organising and taking back, killed: every picture is somewhere, the next run ends as one without kills."""

import random
from contextlib import ExitStack
from pathlib import Path
from typing import get_args
from unittest.mock import patch

from helpers import draw_noise, files_below

from artifact_utils.files.copies import Mode
from artifact_utils.organize import OrganizeConfig, organize, undo
from faults.filter_kills import ODD_NAMES
from faults.killing import Ended, import_what_it_needs, moment_at, run_child

MODES: tuple[Mode, ...] = get_args(Mode)


class OrganizeJob:
    """Flat folders with a picture of every odd name, and one file that is none."""

    def __init__(self, folder: Path, stack: ExitStack, mode: Mode) -> None:
        stack.enter_context(patch("os.fsync"))  # a kill is no power cut
        stack.enter_context(patch("artifact_utils.files.databases.SYNCHRONOUS", "OFF"))
        self.folder, self.mode = folder, mode
        self.source, self.output = folder / "raw", folder / "dataset"
        names = [f"{i:02d}" for i in range(12)] + [name.removesuffix(".png").removesuffix("_0") for name in ODD_NAMES]
        for i, name in enumerate(names):
            draw_noise(self.source / ("train" if i % 3 else "test") / f"{name}_{int(i % 4 == 0)}.png", i)
        (self.source / "train/text_1.png").write_text("not a picture")
        self.before = files_below(self.source)
        import_what_it_needs(self.organize, folder)
        self.organized = files_below(folder)
        self.take_back()

    def organize(self) -> None:
        organize(OrganizeConfig(self.source, self.output, self.mode))

    def undo(self) -> None:
        assert undo(self.output) == []

    def take_back(self) -> None:
        run_child(self.undo, self.folder)
        assert files_below(self.source) == self.before, "undone, the sources are not as they were"
        assert not self.output.exists()

    def check(self) -> None:
        assert set(files_below(self.folder).values()) >= set(self.before.values()), "a picture is lost"

    def finish(self, rng: random.Random) -> int:
        kills = 0
        if rng.random() < 0.6:
            if rng.random() < 0.3:
                whole = Ended(0, 150, 0.05, 0, "")
                kills += run_child(self.organize, self.folder, moment_at(rng.random(), whole, rng)).killed
                self.check()
            run_child(self.organize, self.folder)
            assert files_below(self.folder) == self.organized, "run again, it does not end as one without kills"
        self.take_back()
        return kills


class Organize(OrganizeJob):
    def __init__(self, folder: Path, stack: ExitStack, mode: Mode) -> None:
        super().__init__(folder, stack, mode)
        self.name = f"organize: {mode}"

    def start(self) -> None:
        self.take_back()

    def run(self) -> None:
        self.organize()


class TakeBack(OrganizeJob):
    def __init__(self, folder: Path, stack: ExitStack, mode: Mode) -> None:
        super().__init__(folder, stack, mode)
        self.name = f"organize: undo of {mode}"

    def start(self) -> None:
        run_child(self.organize, self.folder)

    def run(self) -> None:
        self.undo()
