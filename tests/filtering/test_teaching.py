"""Lessons in the background, as the page gives them: looked at first, then used, and taken back."""

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from helpers import draw_portrait

from artifact_utils.filtering import FilterConfig, FilterError, score_folder, teaching
from artifact_utils.filtering.live_folder import LiveFolder
from artifact_utils.filtering.scoring import load_detector, with_run_in_use
from artifact_utils.filtering.teaching import Teaching, missing_labels, name_of

pytestmark = pytest.mark.usefixtures("few_folds")


@pytest.fixture
def scored(located_run, tmp_path):
    """36 portraits with scores, every other with a torn block."""
    folder = tmp_path / "portraits"
    for i in range(36):
        draw_portrait(folder / f"{i:02d}.png", seed=i, artifact=i % 2 == 1, size=128)
    config = FilterConfig(folder, located_run, device="cpu")
    score_folder(config)
    return config


@contextmanager
def opened(config):
    live = LiveFolder(config, *load_detector(config))
    taught = Teaching(live)
    try:
        yield taught
    finally:
        taught.close()
        live.close()


def settle(part) -> None:
    end = time.monotonic() + 300
    while part.progress.running and time.monotonic() < end:
        time.sleep(0.02)
    assert not part.progress.running


def label(live: LiveFolder, n: int = 36) -> None:
    numbers = live.numbers()
    for i in range(n):
        live.label(numbers[f"{i:02d}.png"], i % 2)


def labels(live: LiveFolder) -> dict[str, int]:
    rows = live.rows_since(0)
    return {name: label for name, label in zip(rows["name"], rows["label"], strict=True) if label is not None}


def test_the_labels_that_are_missing_are_counted():
    assert missing_labels(0, 0) == {"all": 30, "clean": 5, "artifact": 5}
    assert missing_labels(40, 3) == {"all": 2, "clean": 0, "artifact": 2}
    assert missing_labels(25, 5) == {"all": 0, "clean": 0, "artifact": 0}


def test_a_lesson_is_looked_at_then_used_then_taken_back(scored):
    with opened(scored) as taught:
        live = taught.live
        label(live, 31)
        assert live.label_counts() == (16, 15)
        live.label(live.numbers()["35.png"], 1)
        before = live.rows_since(0)
        taught.start("labels")
        settle(taught)
        assert taught.progress.error == ""
        learned = taught.learned
        assert learned.run == scored.folder.with_name("portraits.learned") and learned.before["n"] == 32
        assert live.rows_since(0)["probability"] == before["probability"]  # nothing uses it
        assert not taught.in_use and taught.name == scored.run.name
        assert all(live.file(number).name == turned.path for turned, number in taught.turned())

        with pytest.raises(FilterError, match="another lesson was learned meanwhile"):
            taught.use("portraits.learned-2")
        taught.use("portraits.learned")
        settle(live)
        after = live.rows_since(0)
        assert taught.in_use and taught.name == "portraits.learned"
        assert live.detector.threshold == learned.threshold
        assert (after["id"], after["label"]) == (before["id"], before["label"])
        assert after["probability"] != before["probability"] and None not in after["probability"]
        assert after["model"] != before["model"]
        assert live.unlabel() == live.numbers()["35.png"]  # labels are undone as before
        with pytest.raises(FilterError, match="is in use: go back"):
            taught.discard("portraits.learned")

        taught.go_back()
        settle(live)
        assert live.rows_since(0)["probability"] == before["probability"]
        assert live.detector.threshold == 0.3
        (learned.run / "mine.txt").write_text("not the lesson's")
        taught.discard("portraits.learned")
        assert taught.learned is None and [file.name for file in learned.run.iterdir()] == ["mine.txt"]
        with pytest.raises(FilterError, match="is not there any more"):
            taught.go_back()


def test_whoever_comes_next_finds_the_lesson_and_the_model_in_use(scored):
    with opened(scored) as taught:
        label(taught.live)
        taught.start("labels")
        settle(taught)
        said = str(taught.learned)
    with opened(with_run_in_use(scored)) as taught:
        assert str(taught.learned) == said and not taught.in_use
        taught.use("portraits.learned")
        taught.live.stop()  # in mid-scoring, perhaps
    unnamed = replace(scored, run=None)
    in_use = with_run_in_use(unnamed)
    assert in_use.run == scored.folder.with_name("portraits.learned")
    with opened(in_use) as taught:
        assert taught.in_use and len(labels(taught.live)) == 36
        taught.live.start()
        settle(taught.live)
        assert taught.live.progress.done == 36
        assert name_of(taught.before) == scored.run.name
    assert score_folder(unnamed).new == 0  # filter_images.py goes on with it, too
    assert with_run_in_use(replace(unnamed, rescore=True)).run is None


def test_a_lesson_can_be_stopped_and_nothing_goes_on_beside_it(scored, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(config, material, *, on_progress):
        on_progress(1, 3)
        begun.set()
        assert go_on.wait(60)
        on_progress(2, 3)
        raise AssertionError("it was stopped")

    monkeypatch.setitem(teaching.LESSONS, "labels", slowly)
    with opened(scored) as taught:
        taught.start("labels")
        assert begun.wait(60)
        assert taught.progress.running and (taught.progress.done, taught.progress.total) == (1, 3)
        for action in (lambda: taught.start("generator"), taught.go_back, lambda: taught.use("portraits.learned")):
            with pytest.raises(FilterError):
                action()
        threading.Timer(0.05, go_on.set).start()
        taught.stop()
        assert taught.progress.error == "" and not taught.progress.running
        assert taught.learned is None


def test_what_goes_wrong_is_a_sentence(scored, monkeypatch):
    with opened(scored) as taught:
        with pytest.raises(FilterError, match="no lesson 'x': choose of labels, generator"):
            taught.start("x")
        taught.start("labels")
        settle(taught)
        assert "0 pictures of" in taught.progress.error and "learning needs 30" in taught.progress.error
        monkeypatch.setattr(LiveFolder, "progress", property(lambda self: replace(taught.progress, running=True)))
        with pytest.raises(FilterError, match="pictures are being scored"):
            taught.start("labels")


def test_a_model_is_fitted_to_the_portraits_that_are_labelled_clean(scored):
    with opened(scored) as taught:
        for number in list(taught.live.numbers().values())[:31]:
            taught.live.label(number, 0)
        taught.start("generator")
        settle(taught)
        assert taught.progress.error == ""
        assert (taught.learned.before["n"], taught.learned.before["n_artifacts"]) == (62, 31)
        numbers = set(taught.live.numbers().values())
        assert {number for _, number in taught.turned()} <= numbers


def test_a_strangers_or_damaged_lesson_is_left_alone(scored, caplog):
    run = scored.folder.with_name("portraits.learned")
    run.mkdir()
    (run / "metrics.json").write_text('{"validation": 1}')
    with opened(scored) as taught:
        assert taught.learned is None
        assert "does not say what was learned" in caplog.text
        assert taught.before is None
    os.symlink("/nowhere", scored.folder.with_name("portraits.learned-2"))  # noqa: PTH211
    with opened(scored) as taught:
        assert taught.learned is None
