"""Counts, folders, lists and the contact sheet of a set of scores."""

import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import draw_portrait
from PIL import Image

from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.selection import SelectConfig, select
from artifact_utils.predictions import Prediction
from artifact_utils.scale.scale_options import INSTALL
from artifact_utils.scale.score_parts import About, ScoreParts
from artifact_utils.scale.stages import score_rows
from artifact_utils.scale.stores import LocalStore, open_store

duckdb = pytest.importorskip("duckdb", reason=f"needs DuckDB: {INSTALL}")


@pytest.fixture
def config(tmp_path):
    """Forty pictures in two folders with probabilities of 0, 1/40, ..., 39/40, one unreadable and one too small."""
    about = About(str(tmp_path / "faces"), "0123", 0.5, ("hands",), ("hands",), 1.0)
    parts = ScoreParts(LocalStore(tmp_path / "scores"), about)
    store = open_store(tmp_path / "faces")
    said, entries = [], []
    for i in range(40):
        name = f'{"first" if i < 30 else "second"}/deep/{i:02d}, "odd".png'
        draw_portrait(tmp_path / "faces" / name, seed=i, artifact=False)
        entries.append(store.entry(name))
        said.append(Prediction(i / 40, i >= 20, "hands", {"hands": i / 40}))
    for name, outcome in (("bad.png", "truncated"), ("small.png", Prediction(np.nan, False, too_small=True))):
        draw_portrait(tmp_path / "faces" / name, seed=0, artifact=False)
        entries.append(store.entry(name))
        said.append(outcome)
    parts.append(score_rows(tuple(entries[:15]), said[:15], about))
    parts.append(score_rows(tuple(entries[15:]), said[15:], about))
    return SelectConfig(str(tmp_path / "scores"), out=tmp_path / "out")


def paths_in(file):
    with file.open(newline="") as lines:
        return [row["path"] for row in csv.DictReader(lines)]


def test_everything_at_the_threshold_of_the_scoring(config):
    found = select(config)
    assert (found.n, found.flagged, found.clean, found.unreadable, found.too_small) == (42, 20, 20, 1, 1)
    assert found.families == {"hands": 20}
    assert [(folder.name, folder.n, folder.flagged) for folder in found.folders] == [
        ("first", 30, 10), ("second", 10, 10), (".", 2, 0),
    ]  # fmt: skip
    assert found.folders[0].histogram == (4, 4, 4, 4, 4, 4, 4, 2, 0, 0)
    assert paths_in(config.out / "flagged.csv")[:2] == ['second/deep/39, "odd".png', 'second/deep/38, "odd".png']
    assert len(paths_in(config.out / "clean.csv")) == 20
    with Image.open(config.out / "worst.jpg") as sheet:
        assert sheet.size == (6 * 256, 4 * 276)
    assert "42 pictures: 20 flagged at 0.5 and above (hands 20)" in str(found)


def test_another_threshold_and_one_for_a_share(config):
    assert select(replace(config, threshold=0.9)).flagged == 4
    found = select(replace(config, review=0.1, worst=0, depth=2))
    assert (found.flagged, found.threshold) == (4, 0.9)
    assert [folder.name for folder in found.folders] == ["second/deep", ".", "first/deep"]


def test_a_path_that_leads_out_of_the_folder_is_not_read(config, tmp_path):
    draw_portrait(tmp_path / "outside.png", seed=1, artifact=False)
    store = LocalStore(tmp_path / "scores")
    about = About(str(tmp_path / "faces"), "0123", 0.5, ("hands",), ("hands",), 1.0)
    entry = replace(open_store(tmp_path).entry("outside.png"), path="../outside.png")
    ScoreParts(store, about).known()
    parts = ScoreParts(store, about)
    parts.append(score_rows((entry,), [Prediction(0.99, True, "hands", {"hands": 0.99})], about))
    select(replace(config, worst=1))
    with Image.open(config.out / "worst.jpg") as sheet:
        assert np.asarray(sheet).min() == 255  # white: nothing on it


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.5, "review": 0.1}, "exclude each other"),
        ({"review": 2.0}, "choose a share between 0 and 1"),
        ({"threshold": -1.0}, "choose a probability from 0 to 1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(FilterError, match=message):
        SelectConfig("scores", **options)


def test_a_folder_without_scores_is_named(tmp_path):
    with pytest.raises(FilterError, match="there are no scores in"):
        select(SelectConfig(str(tmp_path), out=tmp_path / "out"))


def test_the_command(config, tmp_path):
    command = [sys.executable, "-m", "artifact_utils.filtering.select", config.scores, "--worst", "0"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("42 pictures: 20 flagged")
    assert (tmp_path / "scores.selected" / "flagged.csv").exists()
