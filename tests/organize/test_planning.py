import os
from pathlib import Path

import pytest
from helpers import draw_noise, files_below, reasons_in

from artifact_utils.organize import OrganizeConfig, OrganizeError, apply, organize, plan, undo


def test_a_clash_stops_before_anything_is_touched(source: Path) -> None:
    clashing = draw_noise(source / "test_data/image_00001_1.png", 99)
    before = files_below(source.parent)
    with pytest.raises(OrganizeError, match="nothing was touched") as caught:
        organize(OrganizeConfig(source, source.parent / "dataset", "move"))
    assert str(clashing) in str(caught.value)
    assert str(source / "test/image_00001_1.png") in str(caught.value)
    assert files_below(source.parent) == before


def test_a_different_file_at_the_destination_is_a_clash(source: Path) -> None:
    taken = draw_noise(source.parent / "dataset/test/artifacts/image_00001_1.png", 99)
    before = files_below(source.parent)
    with pytest.raises(OrganizeError, match="different pictures") as caught:
        plan(source, source.parent / "dataset")
    assert str(taken) in str(caught.value)
    assert str(source / "test/image_00001_1.png") in str(caught.value)
    assert files_below(source.parent) == before

    taken.unlink()
    taken.mkdir()
    with pytest.raises(OrganizeError, match="different pictures"):
        plan(source, source.parent / "dataset")


def test_everything_else_is_listed_with_a_reason(source: Path) -> None:
    train = source / "train"
    whole = draw_noise(train / "whole_1.png", 30).read_bytes()
    (train / "cut_1.png").write_bytes(whole[:-20])
    (train / "nolabel.png").write_bytes(whole)
    (train / "empty_0.png").touch()
    (train / ".DS_Store").touch()
    (train / "notes_1.txt").touch()
    (train / "folder_1.png").mkdir()
    draw_noise(train / "deep/er/nested_1.png", 31)
    os.mkfifo(train / "pipe_1.png")
    (train / "loop_1.png").symlink_to("loop_1.png")
    (train / "dangling_1.png").symlink_to("nowhere")
    (train / "link_1.png").symlink_to("whole_1.png")
    before = set(source.rglob("*"))
    apply(plan(source, source.parent / "dataset"))
    reasons = reasons_in(source.parent / "dataset")
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
    assert "not moved" in reasons_in(source.parent / "dataset")["link_1.png"]


def test_a_class_folder_that_links_to_the_source_is_refused(source: Path) -> None:
    (source.parent / "dataset/train").mkdir(parents=True)
    (source.parent / "dataset/train/artifacts").symlink_to(source / "train")
    with pytest.raises(OrganizeError, match="overlap"):
        plan(source, source.parent / "dataset", mode="move")
