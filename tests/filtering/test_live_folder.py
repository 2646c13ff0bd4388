"""A folder that is scored, labelled and sorted at the same time, as the page does it."""

import io
import os
import threading
import time
import zipfile
from dataclasses import replace

import pytest
from helpers import files_below, read_rows

from artifact_utils.detector import Detector
from artifact_utils.files.writing import FileError
from artifact_utils.filtering import FilterError, move_flagged, score_folder
from artifact_utils.filtering.live_folder import LiveFolder
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.scoring import load_detector
from artifact_utils.filtering.state import open_state


@pytest.fixture
def detector(config):
    return load_detector(config)


@pytest.fixture
def live(config, detector):
    score_folder(config)
    live = LiveFolder(config, *detector)
    yield live
    live.close()


def wait(live: LiveFolder) -> None:
    end = time.monotonic() + 60
    while live.progress.running and time.monotonic() < end:
        time.sleep(0.01)
    assert not live.progress.running


def by_name(live: LiveFolder) -> dict[str, dict]:
    rows = live.rows_since(0)
    columns = ("id", "name", "probability", "family", "label", "moved", "reason")
    return {row[1]: dict(zip(columns, row, strict=True)) for row in zip(*(rows[c] for c in columns), strict=True)}


def test_it_scores_what_filter_images_would_and_goes_on_where_that_stopped(config, detector):
    live = LiveFolder(config, *detector)
    try:
        assert live.rows_since(0)["count"] == 0
        live.start()
        live.start()  # does nothing
        wait(live)
        progress, rows = live.progress, by_name(live)
        assert (progress.done, progress.total, progress.error) == (14, 14, "")
        with pytest.raises(FileError, match="another run is at work"):
            score_folder(config)
    finally:
        live.close()
    assert score_folder(config).new == 0
    for row in read_rows(config.scores):
        shown = rows[row["path"]]
        assert (shown["probability"] or 0) == pytest.approx(float(row["probability"] or 0), abs=1e-5)
        assert bool(shown["reason"]) == bool(row["reason"])


def test_scoring_can_be_stopped_and_goes_on(config, detector, monkeypatch):
    config = replace(config, batch_size=2)
    seen, go_on = threading.Event(), threading.Event()
    real = Detector.predict_files

    def slowly(self, paths, **options):
        for i, item in enumerate(real(self, paths, **options)):
            if i == 3:
                seen.set()
                assert go_on.wait(60)
            yield item

    live = LiveFolder(config, *detector)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Detector, "predict_files", slowly)
            live.start()
            assert seen.wait(60)
            with pytest.raises(FilterError, match="pictures are being scored: stop that first"):
                live.move()
            threading.Timer(0.05, go_on.set).start()
            live.stop()
        stopped = live.progress
        assert not stopped.running
        assert 3 <= stopped.done < stopped.total == 14
        live.start()
        wait(live)
        assert live.progress.done == 14
    finally:
        live.close()


def test_labels_are_kept_also_where_they_agree_and_the_last_is_taken_back_first(live, config):
    rows = by_name(live)
    first, second = rows["part_0/03.png"]["id"], rows["part_1/01.png"]["id"]
    before = live.rows_since(0)["version"]
    live.label(first, 1)
    live.label(second, 0)
    live.label(first, 0)
    assert {row["name"]: row["label"] for row in by_name(live).values() if row["label"] is not None} == {
        "part_0/03.png": 0,
        "part_1/01.png": 0,
    }
    assert set(live.rows_since(before)["id"]) == {first, second}
    assert live.unlabel() == first
    assert by_name(live)["part_0/03.png"]["label"] == 1
    assert [live.unlabel(), live.unlabel(), live.unlabel()] == [second, first, None]
    live.label(first, 1)
    with pytest.raises(FilterError, match="verdict 2: choose 1"):
        live.label(first, 2)
    with pytest.raises(FilterError, match="load the page anew"):
        live.label(10_000, 1)
    live.close()
    with open_state(config) as state:
        (kept,) = state.corrections.list()
    assert (kept.path, kept.verdict, kept.old_verdict) == (
        b"part_0/03.png",
        1,
        int(rows["part_0/03.png"]["probability"] >= 0.5),
    )


def test_labels_are_there_when_the_folder_is_opened_again(live, config, detector):
    number = by_name(live)["part_0/03.png"]["id"]
    live.label(number, 1)
    live.close()
    again = LiveFolder(config, *detector)
    assert by_name(again)["part_0/03.png"]["label"] == 1
    again.close()


def test_what_a_person_says_is_moved_first_and_everything_comes_back(live, config):
    before = files_below(config.folder)
    rows = by_name(live)
    live.label(rows["part_0/03.png"]["id"], 1)
    live.label(rows["part_1/01.png"]["id"], 0)
    assert live.move(threshold=1.0) == 1  # the label alone
    assert not (config.folder / "part_0/03.png").exists()
    number = rows["part_0/03.png"]["id"]
    assert live.file(number).read_bytes() == before["part_0/03.png"]
    assert by_name(live)["part_0/03.png"]["moved"]
    assert live.rows_since(0)["moved_away"] == 1
    assert live.bring_back() == 1
    wait(live)
    assert live.move(threshold=0.0) == 12  # all that have a probability, but the one that is called clean
    assert live.file(rows["part_1/01.png"]["id"]).parent == config.folder / "part_1"
    live.bring_back()
    wait(live)
    assert files_below(config.folder) == before
    assert Outputs.of(config).table.with_name("scores.flagged").exists() is False


def test_what_was_moved_elsewhere_is_brought_back_by_a_page_for_that_folder(config, detector, tmp_path):
    moved = replace(config, threshold=0.0, move_flagged=tmp_path / "bad")
    score_folder(moved)
    n = move_flagged(moved)
    live = LiveFolder(config, *detector)
    assert live.rows_since(0)["moved_away"] == 0
    live.close()
    live = LiveFolder(moved, *detector)
    assert live.rows_since(0)["moved_away"] == n == live.bring_back()
    wait(live)
    live.close()


def test_tables_zips_and_labelled_sets_are_written_at_any_threshold(live, config, tmp_path):
    live.write_table(tmp_path / "table.csv", 0.0)
    assert sum(row["flagged"] == "1" for row in read_rows(tmp_path / "table.csv")) == 13
    number = by_name(live)["part_0/03.png"]["id"]
    live.label(number, 0)
    content = io.BytesIO()
    assert live.write_clean(content, 0.0) == 1
    with zipfile.ZipFile(content) as archive:
        assert archive.namelist() == ["part_0/03.png"]
    exported = [live.export_labels(), live.export_labels()]
    assert [(e.clean, e.folder.name) for e in exported] == [(1, "scores.labels"), (1, "scores.labels-2")]


def test_agreement_counts_labels_that_are_flagged_with_intervals(live):
    rows = sorted((r for r in by_name(live).values() if r["probability"] is not None), key=lambda r: r["probability"])
    live.label(rows[0]["id"], 0)
    live.label(rows[-1]["id"], 1)
    live.label(rows[-2]["id"], 0)
    clean, artifacts = live.agreement(rows[-2]["probability"] - 1e-4)
    assert (clean.n, clean.flagged, artifacts.n, artifacts.flagged) == (2, 1, 1, 1)
    assert clean.low < 0.5 < clean.high
    assert artifacts.high == pytest.approx(1)


def test_a_damaged_folder_says_so_and_bad_choices_are_refused(live, config):
    with pytest.raises(FilterError, match="choose a probability from 0 to 1"):
        live.judge(1.5)
    (config.folder / "part_0").rename(config.folder / "part_9")
    live.start()
    wait(live)
    assert live.progress.error == ""
    assert not any(name.startswith("part_0") for name in by_name(live))
    os.rename(config.folder, config.folder.with_name("elsewhere"))  # noqa: PTH104
    live.start()
    wait(live)
    assert live.progress.done == 0 or live.progress.error
