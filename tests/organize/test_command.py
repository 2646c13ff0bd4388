import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import draw_noise, files_below, read_rows

from artifact_utils.files.writing import FileError
from artifact_utils.organize import OrganizeConfig, OrganizeError, undo
from artifact_utils.organize.command import run

MODES = ("copy", "move", "link")
SCRIPT = Path(__file__).parents[2] / "organize_dataset.py"


@pytest.mark.parametrize("mode", MODES)
def test_flat_files_become_class_folders_and_back(source: Path, mode: str) -> None:
    output, before = source.parent / "dataset", files_below(source)
    assert run(OrganizeConfig(source, output, mode)) == 0
    pictures = {name: data for name, data in files_below(output).items() if name.endswith(".png")}
    assert pictures == {
        f"{Path(name).parent}/{'artifacts' if '_1.' in name else 'no_artifacts'}/{Path(name).name}": data
        for name, data in before.items()
        if "text" not in name
    }
    assert set(files_below(source)) == ({"train/text_1.png"} if mode == "move" else set(before))
    linked = (output / "test/artifacts/image_00001_1.png").stat().st_nlink == 2
    assert linked == (mode == "link")

    assert run(OrganizeConfig(output=output, undo=True)) == 0
    assert files_below(source) == before
    assert not output.exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_second_run_changes_nothing(source: Path, mode: str) -> None:
    config = OrganizeConfig(source, source.parent / "dataset", mode)
    assert run(config) == 0
    before = {path: path.stat().st_mtime_ns for path in source.parent.rglob("*") if path.is_file()}
    assert run(config) == 0
    assert {path: path.stat().st_mtime_ns for path in source.parent.rglob("*") if path.is_file()} == before


def test_dry_run_writes_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_below(source.parent)
    assert run(OrganizeConfig(source, source.parent / "dataset", dry_run=True)) == 0
    assert files_below(source.parent) == before
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


def test_inverted_labels_are_noticed_and_can_be_read(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = source.parent / "dataset"
    assert run(OrganizeConfig(source, output)) == 0
    assert not caplog.messages
    with pytest.raises(OrganizeError, match="--undo first"):  # it would put every picture in both classes
        run(OrganizeConfig(source, output, artifact_label=0))

    undo(output)
    assert run(OrganizeConfig(source, output, artifact_label=0)) == 0
    assert "inverted" in caplog.text
    assert {row["label"] for row in read_rows(output / "manifest.csv") if row["path"].endswith("_0.png")} == {"1"}


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
        draw_noise(source / "train" / name, 40 + seed)
    output, before = source.parent / "dataset", files_below(source)
    assert run(OrganizeConfig(source, output, mode)) == 0
    assert {row["path"].split("/")[2] for row in read_rows(output / "manifest.csv")} >= set(names)
    assert run(OrganizeConfig(source, output, mode)) == 0
    assert undo(output) == []
    assert files_below(source) == before


def organize_dataset(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_user_errors_say_what_to_do(source: Path) -> None:
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
        with pytest.raises(OrganizeError, match=message):
            run(config)
    (source / "groups.csv").write_text("picture,person\na,b\n")
    with pytest.raises(FileError, match="columns file,group"):
        run(OrganizeConfig(source, output))
    assert not output.exists()


def test_the_script_reports_errors_in_one_line_with_exit_code_2(source: Path) -> None:
    (source.parent / "file").touch()
    for arguments in (
        ["--source", source.parent / "missing"],
        ["--source", source, "--output", source.parent / "file/x"],
    ):
        shown = organize_dataset(*arguments)
        assert (shown.returncode, shown.stdout) == (2, "")
        assert shown.stderr.startswith("error: ") and shown.stderr.count("\n") == 1
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(SCRIPT), "--source", str(source), "--dry-run"]
    closed = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(SCRIPT.parent)}, stdout=write, stderr=-1)
    os.close(write)
    assert (closed.returncode, closed.stderr) == (141, b"")


def test_the_script_shows_names_that_the_terminal_cannot(source: Path) -> None:
    draw_noise(source / "train" / os.fsdecode(b"\xff.png"), 40)
    shown = organize_dataset("--source", source, "--output", source.parent / "dataset", "--dry-run")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "no label in '\\udcff.png'" in shown.stdout


def test_a_full_disk_loses_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, before = source.parent / "dataset", files_below(source)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        with pytest.raises(OrganizeError, match=r"No space left on device\. No picture is lost"):
            run(OrganizeConfig(source, output))
    assert not list(output.rglob("*.p*"))
    assert run(OrganizeConfig(source, output)) == 0
    assert files_below(source) == before
    assert len([name for name in files_below(output) if name.endswith(".png")]) == 8
