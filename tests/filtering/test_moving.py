from dataclasses import replace

import pytest
from helpers import files_below, middle_threshold, scores_by_path

from artifact_utils.files import move_file
from artifact_utils.filtering import FilterError, move_flagged, score_folder, undo


def test_moving_the_flagged_and_putting_them_back(config, tmp_path):
    original = files_below(config.folder)
    score_folder(config)
    config = replace(config, threshold=middle_threshold(config), move_flagged=tmp_path / "bad")
    score_folder(config)
    flagged = {path for path, row in scores_by_path(config).items() if row["flagged"] == "1"}
    assert move_flagged(config) == len(flagged) == 7
    assert set(files_below(tmp_path / "bad")) == flagged | {"moved.csv"}
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


def test_an_undo_after_a_kill_in_mid_move(all_flagged, monkeypatch):
    original = files_below(all_flagged.folder)
    calls = []

    def die_at_the_fifth(source, destination):
        calls.append(source)
        if len(calls) == 5:
            raise KeyboardInterrupt
        move_file(source, destination)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("artifact_utils.filtering.moving.move_file", die_at_the_fifth)
        move_flagged(all_flagged)
    assert undo(all_flagged) == 4
    assert files_below(all_flagged.folder) == original


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
    assert (all_flagged.move_flagged / "moved.csv").exists()
    assert (all_flagged.folder / "part_1" / "01.png").exists()
