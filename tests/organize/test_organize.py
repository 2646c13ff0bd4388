import contextlib
import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact_utils.files import FileError
from artifact_utils.organize import OrganizeConfig, OrganizeError, apply, plan, read_manifest, run, undo

MODES = ("copy", "move", "link")
SCRIPT = Path(__file__).parents[2] / "organize_dataset.py"


def draw(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path, "png")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight pictures, two of them artifacts, and one text file with a picture's name."""
    for i in range(6):
        draw(tmp_path / f"raw/train/image_{i:05}_{int(i == 2)}.png", i)
    for i in range(2):
        draw(tmp_path / f"raw/test/image_{i:05}_{int(i == 1)}.png", 10 + i)
    (tmp_path / "raw/train/text_1.png").write_text("not a picture")
    return tmp_path / "raw"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def rejected(output: Path) -> dict[str, str]:
    return {Path(row["source"]).name: row["reason"] for row in rows(output / "rejected.csv")}


@pytest.mark.parametrize("mode", MODES)
def test_flat_files_become_class_folders_and_back(source: Path, mode: str) -> None:
    output, before = source.parent / "dataset", tree(source)
    assert run(OrganizeConfig(source, output, mode)) == 0
    pictures = {name: data for name, data in tree(output).items() if name.endswith(".png")}
    assert pictures == {
        f"{Path(name).parent}/{'artifacts' if '_1.' in name else 'no_artifacts'}/{Path(name).name}": data
        for name, data in before.items()
        if "text" not in name
    }
    assert set(tree(source)) == ({"train/text_1.png"} if mode == "move" else set(before))
    linked = (output / "test/artifacts/image_00001_1.png").stat().st_nlink == 2
    assert linked == (mode == "link")

    assert run(OrganizeConfig(output=output, undo=True)) == 0
    assert tree(source) == before
    assert not output.exists()


def test_the_manifest_says_where_each_file_came_from(source: Path) -> None:
    (source / "groups.csv").write_text("file,group\ntrain/image_00002_1.png,person 7\n")
    output = source.parent / "dataset"
    apply(plan(source, output))
    assert rows(output / "manifest.csv")[2] == {
        "path": "train/artifacts/image_00002_1.png",
        "split": "train",
        "label": "1",
        "class": "artifacts",
        "source": str(source / "train/image_00002_1.png"),
        "sha256": hashlib.sha256((source / "train/image_00002_1.png").read_bytes()).hexdigest(),
        "group": "person 7",
    }
    assert [entry.label for entry in read_manifest(output)] == [1, 0, 1, 0, 0, 0, 0, 0]
    assert rejected(output) == {"text_1.png": "not a PNG, JPEG, WebP or BMP picture"}


@pytest.mark.parametrize("mode", MODES)
def test_a_second_run_changes_nothing(source: Path, mode: str) -> None:
    config = OrganizeConfig(source, source.parent / "dataset", mode)
    assert run(config) == 0
    before = {path: path.stat().st_mtime_ns for path in source.parent.rglob("*")}
    assert run(config) == 0
    assert {path: path.stat().st_mtime_ns for path in source.parent.rglob("*")} == before


@pytest.mark.parametrize("mode", MODES)
def test_new_files_are_added_and_lost_ones_come_back(source: Path, mode: str) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output, mode=mode))
    (source / "test").rename(source / "test_data")  # both names mean test
    draw(source / "val/new_1.webp", 20)
    draw(source / "test_data/new_0.JPG", 21)
    if mode == "copy":
        (output / "train/artifacts/image_00002_1.png").unlink()
    apply(plan(source, output, mode=mode))
    assert len(read_manifest(output)) == 10
    assert sum(path.suffix != ".csv" for path in output.rglob("*.*")) == 10
    assert (output / "val/artifacts/new_1.webp").exists()
    assert (output / "test/no_artifacts/new_0.JPG").exists()


def test_dry_run_writes_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(source.parent)
    assert run(OrganizeConfig(source, source.parent / "dataset", dry_run=True)) == 0
    assert tree(source.parent) == before
    printed = capsys.readouterr().out
    assert "8 would be copied" in printed
    assert "text_1.png" in printed
    assert [line.split() for line in printed.splitlines()[:5]] == [
        ["no_artifacts", "artifacts", "total"],
        ["train", "5", "1", "6"],
        ["test", "1", "1", "2"],
        ["val", "0", "0", "0"],
        ["all", "6", "2", "8"],
    ]


def test_inverted_labels_are_noticed_and_can_be_read(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = source.parent / "dataset"
    assert run(OrganizeConfig(source, output)) == 0
    assert "WARNING" not in capsys.readouterr().out
    assert run(OrganizeConfig(source, output, artifact_label=0)) == 2  # would put every picture in both classes
    assert "--undo first" in capsys.readouterr().err

    undo(output)
    assert run(OrganizeConfig(source, output, artifact_label=0)) == 0
    assert "inverted" in capsys.readouterr().out
    assert {row["label"] for row in rows(output / "manifest.csv") if row["path"].endswith("_0.png")} == {"1"}


def test_a_clash_stops_before_anything_is_touched(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clashing = draw(source / "test_data/image_00001_1.png", 99)
    before = tree(source.parent)
    assert run(OrganizeConfig(source, source.parent / "dataset", "move")) == 2
    message = capsys.readouterr().err
    assert str(clashing) in message
    assert str(source / "test/image_00001_1.png") in message
    assert tree(source.parent) == before


def test_a_different_file_at_the_destination_is_a_clash(source: Path) -> None:
    taken = draw(source.parent / "dataset/test/artifacts/image_00001_1.png", 99)
    before = tree(source.parent)
    with pytest.raises(OrganizeError, match="different pictures") as caught:
        plan(source, source.parent / "dataset")
    assert str(taken) in str(caught.value)
    assert str(source / "test/image_00001_1.png") in str(caught.value)
    assert tree(source.parent) == before

    taken.unlink()
    taken.mkdir()
    with pytest.raises(OrganizeError, match="different pictures"):
        plan(source, source.parent / "dataset")


@pytest.mark.parametrize("mode", MODES)
def test_the_same_picture_twice_is_placed_once(source: Path, mode: str) -> None:
    output, twin = source.parent / "dataset", source / "test_data/image_00001_1.png"
    draw(twin, 11)
    for _ in range(2):
        apply(plan(source, output, mode=mode))
        assert len(read_manifest(output)) == 8
        assert "same picture as" in rejected(output)["image_00001_1.png"]
        assert twin.exists()


def test_everything_else_is_listed_with_a_reason(source: Path) -> None:
    train = source / "train"
    whole = draw(train / "whole_1.png", 30).read_bytes()
    (train / "cut_1.png").write_bytes(whole[:-20])
    (train / "nolabel.png").write_bytes(whole)
    (train / "empty_0.png").touch()
    (train / ".DS_Store").touch()
    (train / "notes_1.txt").touch()
    (train / "folder_1.png").mkdir()
    draw(train / "deep/er/nested_1.png", 31)
    os.mkfifo(train / "pipe_1.png")
    (train / "loop_1.png").symlink_to("loop_1.png")
    (train / "dangling_1.png").symlink_to("nowhere")
    (train / "link_1.png").symlink_to("whole_1.png")
    before = set(source.rglob("*"))
    apply(plan(source, source.parent / "dataset"))
    reasons = rejected(source.parent / "dataset")
    for name, reason in {
        "cut_1.png": "truncated",
        "nolabel.png": "no label in 'nolabel.png'",
        "empty_0.png": "empty file",
        ".DS_Store": "hidden file",
        "notes_1.txt": "not a picture",
        "folder_1.png": "in a subfolder",
        "nested_1.png": "in a subfolder",
        "pipe_1.png": "not a regular file",
        "loop_1.png": "symbolic links",
        "dangling_1.png": "dangling",
        "text_1.png": "not a PNG",
    }.items():
        assert reason in reasons.pop(name), name
    assert not reasons
    assert set(source.rglob("*")) == before
    assert not (source.parent / "dataset/train/artifacts/link_1.png").is_symlink()  # its content was copied

    undo(source.parent / "dataset")
    apply(plan(source, source.parent / "dataset", mode="move"))
    assert "not moved" in rejected(source.parent / "dataset")["link_1.png"]


@pytest.mark.parametrize("mode", MODES)
def test_odd_names_survive(source: Path, mode: str) -> None:
    names = [
        "caf\u00e9_1.png",
        "cafe\u0301_1.png",
        'a,"b"\r\nc_0.png',
        os.fsdecode(b"\xff\xfe_1.png"),
        "\U0001f600_0.png",
    ]
    names += [
        "UPPER_1.PNG",
        "upper_1.png",
        "=1+1_0.png",
        "n" * 249 + "_1.png",
        "-rf_0.png",
        " _0.png",
        "\x1b[31m_1.png",
    ]
    for seed, name in enumerate(names):
        draw(source / "train" / name, 40 + seed)
    output, before = source.parent / "dataset", tree(source)
    assert run(OrganizeConfig(source, output, mode)) == 0
    assert {row["path"].split("/")[2] for row in rows(output / "manifest.csv")} >= set(names)
    assert run(OrganizeConfig(source, output, mode)) == 0
    assert undo(output) == []
    assert tree(source) == before


def test_user_errors_have_exit_code_2(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = source.parent / "dataset"
    (source.parent / "empty").mkdir()
    (source.parent / "file").touch()
    for config, message in [
        (OrganizeConfig(source.parent / "missing", output), "no folder"),
        (OrganizeConfig(source.parent / "empty", output), "has no folder train, test, test_data or val"),
        (OrganizeConfig(None, output), "--source is missing"),
        (OrganizeConfig(source, source), "overlap"),
        (OrganizeConfig(source, source / "train/sorted"), "overlap"),
        (OrganizeConfig(source, source.parent / "file"), "not a folder"),
        (OrganizeConfig(source, source.parent / "file/below"), "No picture is lost"),
        (OrganizeConfig(source, output, dry_run=True, undo=True), "do not go together"),
    ]:
        assert run(config) == 2
        assert message in capsys.readouterr().err
    (source / "groups.csv").write_text("picture,person\na,b\n")
    assert run(OrganizeConfig(source, output)) == 2
    assert "columns file,group" in capsys.readouterr().err
    assert not output.exists()


def test_a_damaged_manifest_leads_nowhere_else(source: Path) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output))
    manifest = (output / "manifest.csv").read_text()
    (output / "manifest.csv").write_text(manifest.replace("train/artifacts/", "train/../../"))
    before = tree(source.parent)
    with pytest.raises(FileError, match="damaged"):
        undo(output)
    assert tree(source.parent) == before


def test_a_full_disk_loses_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, before = source.parent / "dataset", tree(source)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        assert run(OrganizeConfig(source, output)) == 2
    assert not list(output.rglob("*.p*"))
    assert run(OrganizeConfig(source, output)) == 0
    assert tree(source) == before
    assert len([name for name in tree(output) if name.endswith(".png")]) == 8


def test_a_move_to_another_drive_copies_and_comes_back(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_drive(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", other_drive)
    output, before = source.parent / "dataset", tree(source)
    with pytest.raises(FileError, match="cross-device link; use --mode copy"):
        apply(plan(source, output, mode="link"))
    apply(plan(source, output, mode="move"))
    assert set(tree(source)) == {"train/text_1.png"}
    assert undo(output) == []
    assert tree(source) == before


def test_a_source_that_changes_meanwhile_is_not_placed(source: Path) -> None:
    made = plan(source, source.parent / "dataset", mode="move")
    draw(source / "train/image_00002_1.png", 99)
    with pytest.raises(FileError, match="changed while it was read"):
        apply(made)
    assert (source / "train/image_00002_1.png").exists()
    assert not list(source.parent.rglob(".organize*"))


def test_undo_leaves_what_is_not_its_own(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output))
    edited = draw(output / "train/artifacts/image_00002_1.png", 99)
    stranger = draw(output / "train/artifacts/mine_1.png", 98)
    (source / "test/image_00001_1.png").unlink()  # the placed file is now the last one
    assert run(OrganizeConfig(output=output, undo=True)) == 1
    assert "image_00002_1.png' has changed" in capsys.readouterr().out
    assert {path for path in output.rglob("*") if path.is_file()} == {edited, stranger}
    assert (source / "test/image_00001_1.png").exists()


def test_undo_takes_what_training_decoded_with_it(source: Path) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output))
    (output / ".cache").mkdir()
    (output / ".cache" / "squares-160.bin").write_bytes(b"pixels")
    assert undo(output) == []
    assert not output.exists()


def test_undo_of_a_move_never_overwrites(source: Path) -> None:
    output, before = source.parent / "dataset", tree(source)
    apply(plan(source, output, mode="move"))
    other = draw(source / "test/image_00001_1.png", 99)
    assert len(undo(output)) == 1
    assert [entry.source for entry in read_manifest(output)] == [str(other)]
    other.unlink()
    assert undo(output) == []
    assert tree(source) == before


def test_a_class_folder_that_links_to_the_source_is_refused(source: Path) -> None:
    (source.parent / "dataset/train").mkdir(parents=True)
    (source.parent / "dataset/train/artifacts").symlink_to(source / "train")
    with pytest.raises(OrganizeError, match="overlap"):
        plan(source, source.parent / "dataset", mode="move")


def killed_at(event: int, job: Callable[[], object]) -> bool:
    """Do a job in a child process that is killed (-9) just before its n-th change or opening of a file."""
    child = os.fork()
    if child == 0:
        left = event

        def hook(name: str, _: object) -> None:
            nonlocal left
            if name in ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        code = 1
        try:
            job()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)  # a job that fails by itself is neither done nor killed
    return code != 0


@pytest.mark.filterwarnings("ignore:This process")  # fork with threads: Python 3.12 warns
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_step_nothing_is_lost_or_doubled(source: Path, mode: str) -> None:
    output, start = source.parent / "dataset", tree(source)

    def organise() -> None:
        apply(plan(source, output, mode=mode))

    organise()
    finished = tree(source.parent)
    undo(output)
    event = 1
    while killed_at(event, organise):
        assert set(tree(source.parent).values()) >= set(start.values())
        if event % 2:
            organise()
            assert tree(source.parent) == finished
            killed_at(event, lambda: undo(output))
        undo(output)
        assert tree(source) == start
        assert not output.exists()
        event += 3
    assert event > 30


@pytest.mark.parametrize("mode", MODES)
def test_the_script_killed_at_random_moments_finishes_the_job(source: Path, mode: str) -> None:
    for i in range(100):
        draw(source / f"train/more_{i:03}_0.png", 1000 + i)
    output, pictures = source.parent / "dataset", {data for name, data in tree(source).items() if "text" not in name}
    command = [sys.executable, str(SCRIPT), "--source", str(source), "--output", str(output), "--mode", mode]
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent)}
    moments = random.Random(mode)
    for done in (0, 50):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        enough = done + moments.randrange(40)
        while process.poll() is None and sum(path.suffix == ".png" for path in output.rglob("*")) <= enough:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.002)
        process.kill()
        process.wait()
        assert {data for name, data in tree(source.parent).items() if name.endswith(".png")} >= pictures
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[4].split() == ["all", "106", "2", "108"]
    placed = [data for name, data in tree(output).items() if not name.endswith(".csv")]
    assert len(placed) == 108
    assert set(placed) == pictures
    assert len(list(source.rglob("*.png"))) == (1 if mode == "move" else 109)
