"""Full or read-only drives and folders of others: one line, exit 2, nothing lost, and it goes on afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import draw_noise, files_below
from quick_filter import quick_filter

from faults.commands import run_command
from faults.killing import run_child

NOBODY = 65534
KIB = 1024
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount drives and become somebody else")


@pytest.fixture(autouse=True)
def no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands print is looked at line by line."""
    monkeypatch.setenv("TQDM_DISABLE", "1")


class World:
    """A folder with portraits for the filter and flat folders to organise, and drives mounted below it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.drive = folder, folder / "drive"
        self.drive.mkdir()
        self.mounts: list[Path] = []

    def draw(self, home: Path) -> dict[str, bytes]:
        """Draw the portraits in ``home/portraits`` and the labelled pictures in ``home/raw``, each about 8 KB."""
        for i in range(20):
            file = home / "portraits" / f"part_{i % 3}" / f"{i:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{0.9 if i % 3 else 0.1} {i:05d}".encode() * 800)
            picture = draw_noise(home / "raw/train" / f"{i:02d}_{int(i % 4 == 0)}.png", i)
            picture.write_bytes(picture.read_bytes() + bytes(8000))
        return self.pictures()

    def pictures(self) -> dict[str, bytes]:
        """Every picture, wherever it is, by its name; the filler is none."""
        return {name: data for name, data in files_below(self.folder).items() if name.endswith(".png")}

    def mount(self, *arguments: str) -> None:
        shown = subprocess.run(["mount", *arguments, str(self.drive)], capture_output=True, text=True)
        if shown.returncode != 0:
            pytest.skip(f"nothing can be mounted here: {shown.stderr.strip()}")
        self.mounts.append(self.drive)

    def make_read_only(self) -> None:
        """Mount the drive folder, as it is now, upon itself, to be read only."""
        self.mount("--bind", str(self.drive))
        subprocess.run(["mount", "-o", "remount,ro,bind", str(self.drive)], check=True)

    def unmount(self) -> None:
        while self.mounts:
            subprocess.run(["umount", str(self.mounts.pop())], check=True)

    def fill(self, free: int) -> Path:
        """Write a file that leaves that many bytes free on the drive."""
        filler = self.drive / "filler"
        status = os.statvfs(self.drive)
        filler.write_bytes(bytes(max(status.f_bavail * status.f_bsize - free, 0)))
        return filler

    def run(self, name: str, *arguments: object, code: int = 0, user: int = 0) -> str:
        """Run a script in a child, of another user perhaps; returns what it says, one line if it fails."""

        def job() -> None:
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
                os.chdir(self.folder)
            run_command(name, *arguments)

        text = run_child(job, self.folder, codes=(code,)).output
        assert "Traceback" not in text
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        assert len(errors) == (1 if code == 2 else 0), text
        return text


@pytest.fixture
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp())  # not tmp_path: other users may not enter it
    folder.chmod(0o755)
    made = World(folder)
    try:
        with quick_filter(folder) as config:
            config.folder.rmdir()
            yield made
    finally:
        made.unmount()
        shutil.rmtree(folder)


def filter_arguments(world: World, home: Path, bad: Path) -> tuple[object, ...]:
    return (home / "portraits", "--run", world.folder / "model.safetensors", "--move-flagged", bad)


def contents(pictures: dict[str, bytes]) -> list[bytes]:
    return sorted(pictures.values())


@pytest.mark.parametrize("free", [0, 12 * KIB, 60 * KIB])
def test_flagged_pictures_are_moved_to_a_full_drive(world: World, free: int) -> None:
    world.mount("-t", "tmpfs", "-o", "size=300k", "none")
    before, bad = world.draw(world.folder), world.drive / "bad"
    arguments = filter_arguments(world, world.folder, bad)
    filler = world.fill(free)
    assert "No space left on device" in world.run("filter_images.py", *arguments, code=2)
    assert contents(world.pictures()) == contents(before)
    filler.unlink()
    world.run("filter_images.py", *arguments)
    assert len(files_below(bad)) == 13
    world.run("filter_images.py", *arguments, "--undo")
    assert world.pictures() == before


@pytest.mark.parametrize("free", [0, 8 * KIB, 40 * KIB])
def test_scores_are_kept_on_a_full_drive(world: World, free: int) -> None:
    world.mount("-t", "tmpfs", "-o", "size=1m", "none")
    before, bad = world.draw(world.drive), world.folder / "bad"
    filler = world.fill(free)
    arguments = filter_arguments(world, world.drive, bad)
    assert "full" in (text := world.run("filter_images.py", *arguments, code=2)) or "No space left" in text
    assert world.pictures() == before
    filler.unlink()
    world.run("filter_images.py", *arguments)
    filler = world.fill(free)  # now nothing can go back
    world.run("filter_images.py", *arguments, "--undo", code=2)
    assert contents(world.pictures()) == contents(before)
    filler.unlink()
    world.run("filter_images.py", *arguments, "--undo")
    assert world.pictures() == before


@pytest.mark.parametrize("free", [0, 60 * KIB])
@pytest.mark.parametrize("mode", ["copy", "move"])
def test_pictures_are_organised_on_a_full_drive(world: World, mode: str, free: int) -> None:
    world.mount("-t", "tmpfs", "-o", "size=500k", "none")
    before = world.draw(world.folder)
    arguments = ("--source", world.folder / "raw", "--output", world.drive / "dataset")
    filler = world.fill(free)
    world.run("organize_dataset.py", *arguments, "--mode", mode, code=2)
    assert set(contents(world.pictures())) == set(contents(before))
    filler.unlink()
    world.run("organize_dataset.py", *arguments, "--mode", mode)
    world.run("organize_dataset.py", *arguments, "--undo")
    assert world.pictures() == before


def test_organised_pictures_go_back_to_a_full_drive(world: World) -> None:
    world.mount("-t", "tmpfs", "-o", "size=1m", "none")
    before = world.draw(world.drive)
    arguments = ("--source", world.drive / "raw", "--output", world.folder / "dataset")
    world.run("organize_dataset.py", *arguments, "--mode", "move")
    filler = world.fill(40 * KIB)
    world.run("organize_dataset.py", *arguments, "--undo", code=2)
    assert set(contents(world.pictures())) == set(contents(before))
    filler.unlink()
    world.run("organize_dataset.py", *arguments, "--undo")
    assert world.pictures() == before


def stays_where_it_is(world: World, home: Path, user: int, undo_restriction: Callable[[], None]) -> None:
    """Nothing in ``home`` can be changed: it can be scored and copied from, and not be moved from."""
    before, own = world.pictures(), world.folder / "own"
    own.mkdir()
    own.chmod(0o777)
    filtering = filter_arguments(world, home, own / "bad")
    assert "--scores" in world.run("filter_images.py", *filtering[:3], code=2, user=user)
    scores = ("--scores", own / "scores.csv")
    world.run("filter_images.py", *filtering[:3], *scores, user=user)
    world.run("filter_images.py", *filtering, *scores, code=2, user=user)
    assert world.pictures() == before
    organizing = ("--source", home / "raw", "--output", own / "dataset")
    world.run("organize_dataset.py", *organizing, "--mode", "move", code=2, user=user)
    assert {name: data for name, data in world.pictures().items() if "dataset" not in name} == before
    world.run("organize_dataset.py", *organizing, "--undo", user=user)
    assert world.pictures() == before
    world.run("organize_dataset.py", *organizing, user=user)
    world.run("organize_dataset.py", *organizing, "--undo", user=user)
    world.run("organize_dataset.py", "--source", home / "raw", "--output", home / "dataset", code=2, user=user)
    assert world.pictures() == before
    undo_restriction()
    world.run("filter_images.py", *filtering, *scores, user=user)
    world.run("filter_images.py", *filtering, *scores, "--undo", user=user)
    assert world.pictures() == before


def test_on_a_read_only_drive_nothing_is_moved(world: World) -> None:
    world.draw(world.drive)
    world.make_read_only()
    stays_where_it_is(world, world.drive, 0, world.unmount)


def test_in_a_folder_of_somebody_else_nothing_is_moved(world: World) -> None:
    world.draw(world.drive)

    def hand_over() -> None:
        for path in [world.drive, *world.drive.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)

    stays_where_it_is(world, world.drive, NOBODY, hand_over)


def test_pictures_that_may_not_be_read_are_named(world: World) -> None:
    before = world.draw(world.folder)
    (world.folder / "portraits/part_0/00.png").chmod(0)
    scores = world.folder / "own/scores.csv"
    scores.parent.mkdir()
    scores.parent.chmod(0o777)
    arguments = (*filter_arguments(world, world.folder, world.folder)[:3], "--scores", scores)
    assert "Permission denied" in world.run("filter_images.py", *arguments, user=NOBODY, code=2)
    assert world.pictures() == before
