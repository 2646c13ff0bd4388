from pathlib import Path

import pytest
from helpers import draw_noise, files_below, reasons_in

from artifact_utils.files.writing import FileError
from artifact_utils.organize import OrganizeConfig, apply, plan, read_manifest, undo
from artifact_utils.organize.command import run

MODES = ("copy", "move", "link")


@pytest.mark.parametrize("mode", MODES)
def test_new_files_are_added_and_lost_ones_come_back(source: Path, mode: str) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output, mode=mode))
    (source / "test").rename(source / "test_data")  # both names mean test
    draw_noise(source / "val/new_1.webp", 20)
    draw_noise(source / "test_data/new_0.JPG", 21)
    if mode == "copy":
        (output / "train/artifacts/image_00002_1.png").unlink()
    apply(plan(source, output, mode=mode))
    assert len(read_manifest(output)) == 10
    assert sum(path.suffix not in (".csv", ".sqlite") for path in output.rglob("*.*")) == 10
    assert (output / "val/artifacts/new_1.webp").exists()
    assert (output / "test/no_artifacts/new_0.JPG").exists()


@pytest.mark.parametrize("mode", MODES)
def test_the_same_picture_twice_is_placed_once(source: Path, mode: str) -> None:
    output, twin = source.parent / "dataset", source / "test_data/image_00001_1.png"
    draw_noise(twin, 11)
    for _ in range(2):
        apply(plan(source, output, mode=mode))
        assert len(read_manifest(output)) == 8
        assert "same picture as" in reasons_in(output)["image_00001_1.png"]
        assert twin.exists()


def test_a_move_to_another_drive_copies_and_comes_back(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_drive(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", other_drive)
    output, before = source.parent / "dataset", files_below(source)
    with pytest.raises(FileError, match="cross-device link; use --mode copy"):
        apply(plan(source, output, mode="link"))
    apply(plan(source, output, mode="move"))
    assert set(files_below(source)) == {"train/text_1.png"}
    assert undo(output) == []
    assert files_below(source) == before


def test_names_that_a_kill_left_without_content_are_no_pictures(source: Path) -> None:
    output, before = source.parent / "dataset", files_below(source)
    placed, moved = output / "train/artifacts/image_00002_1.png", source / "train/image_00002_1.png"
    apply(plan(source, output, mode="move"))
    moved.write_bytes(placed.read_bytes())
    placed.write_bytes(b"")
    apply(plan(source, output, mode="move"))
    assert placed.read_bytes() == before["train/image_00002_1.png"]
    moved.touch()
    assert undo(output) == []
    assert files_below(source) == before


def test_a_source_that_changes_meanwhile_is_not_placed(source: Path) -> None:
    made = plan(source, source.parent / "dataset", mode="move")
    draw_noise(source / "train/image_00002_1.png", 99)
    with pytest.raises(FileError, match="changed while it was read"):
        apply(made)
    assert (source / "train/image_00002_1.png").exists()
    assert not list(source.parent.rglob(".organize*"))


def test_undo_leaves_what_is_not_its_own(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output))
    edited = draw_noise(output / "train/artifacts/image_00002_1.png", 99)
    stranger = draw_noise(output / "train/artifacts/mine_1.png", 98)
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
    output, before = source.parent / "dataset", files_below(source)
    apply(plan(source, output, mode="move"))
    other = draw_noise(source / "test/image_00001_1.png", 99)
    assert len(undo(output)) == 1
    assert [entry.source for entry in read_manifest(output)] == [str(other)]
    other.unlink()
    assert undo(output) == []
    assert files_below(source) == before
