import shutil
from dataclasses import replace

import pytest
from helpers import draw_portrait, files_below

from artifact_utils.filtering import FilterError, move_flagged, score_folder, undo
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import open_state


@pytest.fixture
def scored(all_flagged):
    """A folder with its outputs beside it, all but the broken picture moved to ``bad``."""
    config = replace(all_flagged, scores=None)
    score_folder(config)
    return config


def rename(config, name):
    return replace(config, folder=config.folder.rename(config.folder.with_name(name)))


def test_scores_labels_and_moves_go_on_under_the_new_name(scored):
    original = files_below(scored.folder)
    with open_state(scored) as state:
        state.corrections.add(b"part_0/00.png", 0)
    assert move_flagged(scored) == 12
    renamed = rename(scored, "new")
    assert undo(renamed) == 12
    assert files_below(renamed.folder) == original
    assert score_folder(renamed).new == 12  # their time of change is another one since they were moved
    with open_state(renamed) as state:
        assert [correction.path for correction in state.corrections.list()] == [b"part_0/00.png"]
    beside = {path.name for path in renamed.folder.parent.glob("*.scores.*")}
    assert beside == {"new.scores.csv", "new.scores.jpg", "new.scores.sqlite"}


@pytest.mark.parametrize("inside", [True, False])
def test_what_was_moved_along_is_put_back(scored, tmp_path, inside):
    """With the folder above them, or in the folder itself."""
    config = replace(scored, move_flagged=(scored.folder if inside else tmp_path) / "bad")
    original = files_below(config.folder)
    assert move_flagged(config) == 13
    home = config.folder if inside else tmp_path.rename(tmp_path.with_name("home")) / config.folder.name
    renamed = rename(replace(config, folder=home), "new")
    renamed = replace(renamed, move_flagged=(renamed.folder if inside else home.parent) / "bad", run=None)
    assert undo(renamed) == 13
    assert files_below(renamed.folder) == original


def test_another_folder_takes_nothing_over(scored):
    other = scored.folder.with_name("other")
    shutil.copytree(scored.folder, other)
    shutil.rmtree(scored.folder)
    copied = replace(scored, folder=other)
    with pytest.raises(FilterError, match=r"add --scores .*portraits.scores.csv$"):
        undo(copied)
    assert Outputs.of(scored).state.exists()
    assert score_folder(replace(copied, scores=Outputs.of(scored).table)).n == 14  # the user says so


def test_who_of_two_is_meant_is_not_guessed(scored, tmp_path):
    first = Outputs.of(scored).state
    shutil.copy(first, tmp_path / "second.scores.sqlite")
    renamed = rename(scored, "new")
    score_folder(renamed)
    assert not first.exists() and (tmp_path / "second.scores.sqlite").exists()  # it says that its folder is another one


def test_a_folder_with_a_state_of_its_own_keeps_that(scored):
    other = replace(scored, folder=scored.folder.with_name("other"))
    draw_portrait(other.folder / "a.png", seed=1, artifact=True)
    score_folder(other)
    shutil.rmtree(other.folder)
    scored.folder.rename(other.folder)
    with pytest.raises(FilterError, match="nothing was moved"):
        undo(other)
    assert Outputs.of(scored).state.exists()
