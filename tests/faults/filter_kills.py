"""Scoring, moving and putting back, killed: no picture is lost, the next run ends as one without kills."""

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from helpers import files_below
from quick_filter import quick_filter, score_and_move

from artifact_utils.filtering import FilterConfig, score_folder, undo
from artifact_utils.filtering.options import Outputs
from faults.killing import Ended, Moment, moment_at, run_child

ODD_NAMES = ["_0.png", "\r_0.png", "=1+1.png", "-n.jpg", "x\n.png", "@.png", os.fsdecode(b"\xff.png")]
NAMES = ["a.png", "part/b.jpg", "part/deep/c.png", *ODD_NAMES, *(f"many/{i:02d}.png" for i in range(30))]
DRIVES = ("renames", "copies", "copies without links")


@contextmanager
def on_drive(kind: str) -> Iterator[None]:
    """Moves as they are on a drive of that kind."""

    def no_rename(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with ExitStack() as stack:
        if kind != "renames":
            stack.enter_context(patch("artifact_utils.files.moves.rename_to_free_name", no_rename))
        if kind == "copies without links":
            stack.enter_context(patch("os.link", no_link))
        yield


class FilterJob:
    """Pictures with every odd name, a third of them clean; state and flagged folder lie beside them."""

    def __init__(self, folder: Path, stack: ExitStack, drive: str | None = None) -> None:
        self.folder, self.drive, self.drives = folder, drive or DRIVES[0], (drive,) if drive else DRIVES
        stack.enter_context(patch("artifact_utils.filtering.scoring.COMMIT_ROWS", 4))
        self.config = stack.enter_context(quick_filter(folder))
        for i, name in enumerate(NAMES):
            file = self.config.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{0.9 if i % 3 else 0.1} {name!a}".encode() * 100)
        self.original = files_below(self.config.folder)
        self.child(score_and_move)
        self.table = Outputs.of(self.config).table.read_bytes()
        self.moved = self.both()
        assert len(self.moved[1]) == sum(i % 3 != 0 for i in range(len(NAMES)))
        self.child(undo)
        assert self.both() == (self.original, {})

    def child(self, what: Callable[[FilterConfig], object], moment: Moment = Moment()) -> Ended:  # noqa: B008
        def job() -> None:
            with on_drive(self.drive):
                what(self.config)

        return run_child(job, self.folder, moment)

    def both(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The scored folder and that of the flagged."""
        assert self.config.move_flagged is not None
        return files_below(self.config.folder), files_below(self.config.move_flagged)

    def check(self) -> None:
        parts = [files.values() for files in self.both()]
        assert {content for files in parts for content in files} >= set(self.original.values()), "a picture is lost"

    def put_back(self) -> None:
        assert self.config.move_flagged is not None
        if self.config.move_flagged.exists():
            self.child(undo)
        assert self.both() == (self.original, {}), "undone, the pictures are not where they were"
        assert not self.config.move_flagged.exists()

    def again(self, what: Callable[[FilterConfig], object], rng: random.Random) -> int:
        """Run again, and once more if that was killed, too, which it is now and then."""
        kills = 0
        if rng.random() < 0.3:
            whole = Ended(0, 40, 0.02, 0, "")
            kills += self.child(what, moment_at(rng.random(), whole, rng)).killed
            self.check()
        self.child(what)
        return kills


class Score(FilterJob):
    name = "filter: score"

    def start(self) -> None:
        for file in self.folder.glob("portraits.scores.*"):
            file.unlink()

    def run(self) -> None:
        score_folder(self.config)

    def check(self) -> None:
        assert self.both() == (self.original, {}), "scoring has changed a picture"
        table = Outputs.of(self.config).table
        assert not table.exists() or table.read_bytes() == self.table, "half a table"

    def finish(self, rng: random.Random) -> int:
        kills = self.again(score_folder, rng)
        self.check()
        assert Outputs.of(self.config).table.exists()
        assert not list(self.folder.glob("*.lock"))
        return kills


class Move(FilterJob):
    name = "filter: move"

    def start(self) -> None:
        self.drive = self.drives[0]
        self.put_back()

    def run(self) -> None:
        with on_drive(self.drive):
            score_and_move(self.config)

    def finish(self, rng: random.Random) -> int:
        self.drives = (*self.drives[1:], self.drives[0])
        kills = 0
        if rng.random() < 0.5:
            kills = self.again(score_and_move, rng)
            assert self.both() == self.moved, "run again, the pictures are not where they belong"
        self.put_back()
        return kills


class Undo(FilterJob):
    name = "filter: undo"

    def start(self) -> None:
        self.drive = self.drives[0]
        self.child(score_and_move)

    def run(self) -> None:
        with on_drive(self.drive):
            undo(self.config)

    def finish(self, rng: random.Random) -> int:
        self.drives = (*self.drives[1:], self.drives[0])
        kills = 0
        if rng.random() < 0.5:  # any run finishes what is open
            kills = self.again(lambda config: score_folder(replace(config, threshold=0.0)), rng)
            found = Counter(content for files in self.both() for content in files.values())
            assert found == Counter(self.original.values()), "not every picture is there once"
        self.put_back()
        return kills
