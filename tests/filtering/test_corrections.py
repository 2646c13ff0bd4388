import hashlib
from dataclasses import replace

import pytest
from quick_filter import quick_filter

from artifact_utils.filtering import FilterError, move_flagged, score_folder
from artifact_utils.filtering.labelled import labelled_pictures
from artifact_utils.filtering.state import open_state


@pytest.fixture
def config(tmp_path):
    with quick_filter(tmp_path) as config:
        for i in range(4):
            (config.folder / f"{i}.png").write_bytes(f"0.{2 * i + 1} picture".encode())
        score_folder(replace(config, threshold=0.4))
        yield config


def test_a_person_overrules_the_detector_and_may_think_again(config):
    with open_state(config) as state:
        first = state.corrections.add(b"3.png", 0)
        assert (first.verdict, first.old_verdict, first.score) == (0, 1, 0.7)
        assert first.sha256 == hashlib.sha256(b"0.7 picture").hexdigest()
        state.corrections.add(b"0.png", 1)
        again = state.corrections.add(b"3.png", 1)
        assert (again.verdict, again.old_verdict) == (1, 0)
    with open_state(config) as state:
        assert [(c.path, c.verdict) for c in state.corrections.list()] == [(b"0.png", 1), (b"3.png", 1)]
        assert state.corrections.remove(b"0.png")
        assert not state.corrections.remove(b"0.png")
        assert state.corrections.list() == [again]


def test_a_correction_follows_the_content_of_a_picture(config):
    with open_state(config) as state:
        made = state.corrections.add(b"3.png", 0)
    (config.folder / "3.png").rename(config.folder / "new name.png")
    (config.folder / "3.png").write_bytes(b"0.9 another picture")
    score_folder(replace(config, threshold=0.1))
    with open_state(config) as state:
        find = state.corrections.find
        assert find(b"new name.png", made.sha256) == made
        assert find(b"3.png", hashlib.sha256(b"0.9 another picture").hexdigest()) is None
        renamed = state.corrections.add(b"new name.png", 1)
        assert (renamed.old_verdict, state.corrections.list()) == (0, [renamed])


def test_a_picture_that_was_moved_away_can_be_corrected(config):
    move_flagged(config)
    assert not (config.folder / "3.png").exists()
    with open_state(config) as state:
        assert state.corrections.add(b"3.png", 0).sha256 == hashlib.sha256(b"0.7 picture").hexdigest()


@pytest.mark.parametrize(("path", "verdict"), [(b"x.png", 1), (b"../model.safetensors", 1), (b"3.png", 2)])
def test_what_cannot_be_corrected_is_told(config, path, verdict):
    with open_state(config) as state, pytest.raises(FilterError):
        state.corrections.add(path, verdict)


def test_a_picture_that_is_gone_cannot_be_corrected(config):
    (config.folder / "3.png").unlink()
    with open_state(config) as state, pytest.raises(FilterError, match="is gone"):
        state.corrections.add(b"3.png", 0)


def test_a_label_stays_with_a_renamed_picture_whatever_takes_its_name(config):
    (config.folder / "sub").mkdir()
    (config.folder / "0.png").rename(config.folder / "sub" / "0.png")
    score_folder(replace(config, threshold=0.4))
    with open_state(config) as state:
        state.corrections.add(b"3.png", 0)
        state.corrections.add(b"sub/0.png", 1)
    (config.folder / "3.png").rename(config.folder / "renamed.png")
    (config.folder / "3.png").write_bytes(b"0.9 another picture")
    (config.folder / "sub").rename(config.folder / "other")
    score_folder(replace(config, threshold=0.4))
    with open_state(config) as state:
        state.corrections.add(b"3.png", 1)
        found = {str(p.file.relative_to(config.folder)): p.label for p in labelled_pictures(state)}
        assert found == {"renamed.png": 0, "other/0.png": 1, "3.png": 1}
    assert move_flagged(replace(config, threshold=0.4)) == 3  # those, and 2.png
    assert (config.folder / "renamed.png").exists()
    with open_state(config) as state:
        assert {picture.label for picture in labelled_pictures(state)} == {0, 1}
        assert len(labelled_pictures(state)) == 3
        assert state.corrections.remove(b"renamed.png")
        assert len(labelled_pictures(state)) == 2
