"""Which families count can be chosen anew without scoring anything again."""

import sqlite3
from dataclasses import replace

import pytest
import torch
from helpers import scores_by_path

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.config import ConfigError
from artifact_utils.detector import Detector
from artifact_utils.filtering import FilterError, move_flagged, score_folder
from artifact_utils.filtering.contact_sheet import draw_contact_sheet
from artifact_utils.filtering.judging import Judge, count, read_details, write_details
from artifact_utils.filtering.options import FilterConfig, Outputs
from artifact_utils.filtering.state import UPGRADES, Score, open_state
from artifact_utils.models import build_model
from artifact_utils.predictions import TOO_SMALL, Place, Prediction

FAMILIES = ("hands", "text", "objects")


@pytest.fixture
def by_family(config, tmp_path):
    """A folder and an untrained model that tells three families apart."""
    torch.manual_seed(0)
    options = {"locates": True, "families": FAMILIES, "pooled": False}
    model = build_model("efficientnet_lite0", weights="none", image_size=64, **options)
    (tmp_path / "families").mkdir()
    info = ModelInfo("efficientnet_lite0", 64, 0.5, temperature=1.5, **options)
    save_checkpoint(tmp_path / "families" / "best.safetensors", model, info)
    return replace(config, run=tmp_path / "families")


def test_other_families_score_nothing_again_and_give_what_the_detector_gives(by_family):
    assert score_folder(by_family).new == 14
    plain = scores_by_path(by_family)
    for options in ({"only": "text"}, {"ignore": "text"}, {"only": "hands, objects"}, {}):
        summary = score_folder(replace(by_family, **options))
        assert summary.new == 0
        assert sum(summary.families.values()) == summary.flagged
        chosen = FilterConfig(by_family.folder, **options)
        only, ignore = chosen.only_families, chosen.ignored_families
        detector = Detector.load(by_family.run, device="cpu", only=only, ignore=ignore)
        for path, row in scores_by_path(by_family).items():
            if row["probability"]:
                said = detector.predict(by_family.folder / path)
                assert float(row["probability"]) == pytest.approx(said.probability, abs=1e-5)
                assert row["family"] in detector.families
                assert [row[name] for name in FAMILIES] == [plain[path][name] for name in FAMILIES]


def test_the_sheet_names_the_family_that_the_table_names(by_family, monkeypatch):
    asked = []

    def drawn(folder, worst, threshold):
        asked.extend(worst)
        return draw_contact_sheet(folder, worst, threshold)

    monkeypatch.setattr("artifact_utils.filtering.scoring.draw_contact_sheet", drawn)
    score_folder(by_family)
    rows = scores_by_path(by_family)
    assert len(asked) == 13
    assert all(picture.family == rows[picture.path]["family"] != "" for picture in asked)


def test_moving_goes_by_the_families_of_the_last_scoring(by_family, tmp_path):
    by_family = replace(by_family, move_flagged=tmp_path / "bad")
    threshold = sorted(float(row["hands"]) for row in _rows(by_family) if row["hands"])[6]
    asked = replace(by_family, only="hands", threshold=threshold)
    flagged = score_folder(asked).flagged
    assert 0 < flagged < 13
    assert move_flagged(replace(by_family, threshold=threshold)) == flagged


def _rows(config):
    score_folder(config)
    return scores_by_path(config).values()


def test_a_family_that_is_none_is_named(by_family, config):
    with pytest.raises(FilterError, match=r"--only feet: no family 'feet': choose of hands, face"):
        replace(by_family, only="feet")
    with pytest.raises(ConfigError, match="tells no family 'glitch' apart: choose among hands, text, objects"):
        score_folder(replace(by_family, only="glitch"))
    with pytest.raises(ConfigError, match="does not tell families of artifacts apart"):
        score_folder(replace(config, only="text"))


@pytest.mark.parametrize("before", UPGRADES, ids=["families", "corrections", "own thresholds"])
def test_a_state_of_an_earlier_version_is_used_on(config, before):
    state = Outputs.of(config).state
    with sqlite3.connect(state) as connection:
        connection.executescript(before)
        connection.execute("INSERT INTO about (folder, threshold) VALUES (?, 0.5)", (bytes(config.folder.resolve()),))
        connection.execute("INSERT INTO models (id, sha256) VALUES (1, 'model')")
        row = {"path": b"a.png", "model": 1, "probability": 0.75, "reason": "", "size": 1}
        row |= {"mtime_ns": 2, "ctime_ns": 3}
        names = ", ".join(row)
        connection.execute(f"INSERT INTO scores ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    connection.close()
    with open_state(config):  # the upgraded tables are those of this version from then on
        pass
    with open_state(config) as opened:
        opened.use_model("model", 0.5)
        assert list(opened.scores()) == [Score(b"a.png", 0.75, "", 1, 2, 3)]
        assert Judge.of(config, opened)(Score(b"a.png", 0.75, "", 1, 2, 3)).flagged


def test_what_is_stored_comes_back_and_what_a_stranger_wrote_is_refused():
    said = Prediction(0.5, True, "text", {"hands": 0.1, "text": 1e-300}, {"text": Place(1, 2, 3, 4, 5, 6)})
    assert read_details(write_details(said)) == (said.families, said.places)
    assert read_details(write_details(Prediction(0.5, True))) == ({}, {})
    for text in (
        "[",
        "[1]",
        '{"feet": [0.5]}',
        '{"text": [7]}',
        '{"text": [0.5]}{}',
        '{"text": []}',
        '{"text": [0.5, 1.5]}',
        '{"text": [0.5, 1, 2]}',
    ):
        with pytest.raises(FilterError, match="damaged"):
            read_details(text)


def test_too_small_is_neither_clean_nor_flagged_nor_unreadable():
    scores = [
        Score(b"a", None, TOO_SMALL, 1, 2, 3), Score(b"b", None, "no picture", 1, 2, 3), Score(b"c", 0.9, "", 1, 2, 3)
    ]  # fmt: skip
    counts = count(scores, Judge(0.0))
    assert (counts.n, counts.flagged, counts.unreadable, counts.too_small) == (3, 1, 1, 1)
