import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from helpers import draw_portrait, files_below, middle_threshold, scores_by_path

from artifact_utils.files import moves
from artifact_utils.files.moves import Content, OpenFolder, move
from artifact_utils.filtering import FilterError, move_flagged, score_folder, undo
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import MOVING, RETURNING, open_state


def test_moving_the_flagged_and_putting_them_back(config, tmp_path):
    original = files_below(config.folder)
    score_folder(config)
    config = replace(config, threshold=middle_threshold(config), move_flagged=tmp_path / "bad")
    score_folder(config)
    flagged = {path for path, row in scores_by_path(config).items() if row["flagged"] == "1"}
    assert move_flagged(config) == len(flagged) == 7
    assert set(files_below(tmp_path / "bad")) == flagged
    assert set(files_below(config.folder)) == set(original) - flagged
    assert undo(config) == 7
    assert files_below(config.folder) == original
    assert not (tmp_path / "bad").exists()


def test_a_target_inside_the_folder_is_not_scored(config):
    config = replace(config, threshold=0.0, move_flagged=config.folder / "bad")
    score_folder(config)
    moved = move_flagged(config)
    assert moved == 13
    assert score_folder(config).n == 1  # the broken one stays
    assert undo(config) == 13


def test_an_undo_after_ctrl_c_in_mid_move(all_flagged, monkeypatch):
    original = files_below(all_flagged.folder)
    calls = []

    def stop_at_the_fifth(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        move(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("artifact_utils.filtering.moving.move", stop_at_the_fifth)
        move_flagged(all_flagged)
    assert undo(all_flagged) == 4
    assert files_below(all_flagged.folder) == original
    assert not all_flagged.move_flagged.exists()


def test_nothing_is_overwritten(all_flagged):
    (all_flagged.move_flagged / "part_0").mkdir(parents=True)
    (all_flagged.move_flagged / "part_0" / "00.png").write_text("another picture")
    before = files_below(all_flagged.folder)
    with pytest.raises(FilterError, match="exists already"):
        move_flagged(all_flagged)
    assert files_below(all_flagged.folder) == before


def test_undo_does_not_overwrite_what_came_in_between(all_flagged):
    move_flagged(all_flagged)
    (all_flagged.folder / "part_0" / "00.png").write_text("a new picture")
    with pytest.raises(FilterError, match=r"00.png .*exist again"):
        undo(all_flagged)
    assert (all_flagged.folder / "part_0" / "00.png").read_text() == "a new picture"
    assert (all_flagged.move_flagged / "part_0" / "00.png").exists()
    assert (all_flagged.folder / "part_1" / "01.png").exists()
    (all_flagged.folder / "part_0" / "00.png").unlink()
    assert undo(all_flagged) == 1
    with pytest.raises(FilterError, match="nothing was moved from"):
        undo(all_flagged)


def test_links_are_scored_and_stay(config, tmp_path):
    draw_portrait(tmp_path / "elsewhere" / "a.png", seed=60, artifact=True)
    (config.folder / "link.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (config.folder / "circle_1.png").symlink_to("circle_2.png")
    (config.folder / "circle_2.png").symlink_to("circle_1.png")
    (config.folder / "part_0" / "folder.png").symlink_to(tmp_path / "elsewhere")
    config = replace(config, threshold=0.0, move_flagged=tmp_path / "bad")
    assert (score_folder(config).n, score_folder(config).new) == (17, 0)
    rows = scores_by_path(config)
    assert rows["link.png"]["flagged"] == "1"
    assert "symbolic links" in rows["circle_1.png"]["reason"]
    assert move_flagged(config) == 13
    assert (config.folder / "link.png").is_symlink()
    assert (tmp_path / "elsewhere" / "a.png").exists()


def test_a_subfolder_swapped_for_a_link_has_nothing_moved(all_flagged, tmp_path):
    (all_flagged.folder / "part_0").rename(tmp_path / "elsewhere")
    (all_flagged.folder / "part_0").symlink_to(tmp_path / "elsewhere")
    before = files_below(tmp_path / "elsewhere")
    assert move_flagged(all_flagged) == 9
    assert files_below(tmp_path / "elsewhere") == before


def test_undo_goes_through_no_link(all_flagged, tmp_path):
    move_flagged(all_flagged)
    secret = tmp_path / "secret.txt"
    secret.write_text("of somebody else")
    (all_flagged.move_flagged / "part_1" / "01.png").unlink()
    (all_flagged.move_flagged / "part_1" / "01.png").symlink_to(secret)
    (all_flagged.folder / "part_2").rmdir()
    (all_flagged.folder / "part_2").symlink_to(tmp_path)
    with pytest.raises(FilterError, match="theirs stay"):
        undo(all_flagged)
    assert not (all_flagged.folder / "part_1" / "01.png").exists()
    assert secret.stat().st_nlink == 1
    assert not (tmp_path / "02.png").exists()


def test_a_picture_that_changed_since_it_was_scored_stays(all_flagged):
    draw_portrait(all_flagged.folder / "part_0" / "00.png", seed=70, artifact=False)
    assert move_flagged(all_flagged) == 12
    assert (all_flagged.folder / "part_0" / "00.png").exists()


def test_names_that_look_like_others_are_told_apart(config, tmp_path):
    names = ["bad\r_0.png", "_0.png", "=1+1.png", "-n.png", "a\n.png"]
    for i, name in enumerate(names):
        draw_portrait(config.folder / name, seed=80 + i, artifact=True)
    original = files_below(config.folder)
    config = replace(config, threshold=0.0, move_flagged=tmp_path / "bad")
    assert (score_folder(config).n, score_folder(config).new) == (19, 0)
    assert move_flagged(config) == 18
    assert set(names) <= set(files_below(config.move_flagged))
    assert undo(config) == 18
    assert files_below(config.folder) == original


def test_two_folders_share_a_folder_for_the_flagged(all_flagged, tmp_path):
    move_flagged(all_flagged)
    other = replace(all_flagged, folder=tmp_path / "other", scores=tmp_path / "other.csv")
    draw_portrait(other.folder / "of_the_other.png", seed=90, artifact=True)
    score_folder(other)
    assert move_flagged(other) == 1
    assert undo(all_flagged) == 13
    assert list(files_below(tmp_path / "bad")) == ["of_the_other.png"]
    assert undo(other) == 1


def test_what_lies_on_a_drive_that_is_not_there_is_not_forgotten(all_flagged, tmp_path, caplog):
    original = files_below(all_flagged.folder)
    move_flagged(all_flagged)
    (tmp_path / "bad").rename(tmp_path / "unmounted")
    assert undo(all_flagged) == 0
    assert "13 pictures that were moved to" in caplog.text
    (tmp_path / "unmounted").rename(tmp_path / "bad")
    assert undo(all_flagged) == 13
    assert files_below(all_flagged.folder) == original


def test_a_move_to_where_no_folder_can_be_is_passed_over(all_flagged):
    score_folder(all_flagged)
    with open_state(all_flagged) as state:
        state.intend([(b"gone.png", Path("/" + "x" * 5000), b"gone.png", Content(1, "0" * 64))])
    score_folder(all_flagged)
    with open_state(all_flagged) as state:
        assert [move.step for move in state.moves(MOVING)] == [MOVING]


@pytest.mark.parametrize("drive", ["one", "another"])
def test_what_was_edited_after_it_was_moved_comes_back_as_it_is(all_flagged, monkeypatch, drive):
    move_flagged(all_flagged)
    moved = next(path for path in sorted(all_flagged.move_flagged.rglob("*.png")))
    moved.write_bytes(b"edited")
    if drive == "another":
        refused = OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        monkeypatch.setattr(moves, "rename_to_free_name", Mock(side_effect=refused))
    undo(all_flagged)
    assert (all_flagged.folder / moved.relative_to(all_flagged.move_flagged)).read_bytes() == b"edited"
    assert not all_flagged.move_flagged.exists()


def test_the_state_of_a_stranger_removes_nothing(config, tmp_path):
    """A folder that was unpacked here with its state, whose moves lead to files of this machine."""
    home, theirs = tmp_path / "home", replace(config, scores=None)
    home.mkdir()
    (home / "empty").touch()
    (home / "LICENSE").write_bytes((config.folder / "notes.txt").read_bytes())
    score_folder(theirs)
    with open_state(theirs) as state, OpenFolder(config.folder) as folder:
        for source, name, step in ((b"part_0/00.png", b"empty", MOVING), (b"notes.txt", b"LICENSE", RETURNING)):
            content = folder.content(source)
            state.intend([(source, home, name, content)], step)
    mine = replace(theirs, folder=tmp_path / "mine" / "portraits")
    shutil.copytree(config.folder, mine.folder)
    Outputs.of(theirs).state.rename(Outputs.of(mine).state)
    shutil.rmtree(config.folder)
    score_folder(mine)
    assert sorted(path.name for path in home.iterdir()) == ["LICENSE", "empty"]
