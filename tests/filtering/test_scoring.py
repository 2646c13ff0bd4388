import shutil
from dataclasses import replace

import pytest
from helpers import draw_portrait, files_below, middle_threshold, scores_by_path
from PIL import Image

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.detector import package
from artifact_utils.filtering import FilterError, move_flagged, score_folder


def test_every_picture_gets_a_row_and_the_worst_a_sheet(config):
    summary = score_folder(config)
    rows = scores_by_path(config)
    assert (summary.n, summary.new, summary.unreadable) == (14, 14, 1)
    assert set(rows) == {path for path in files_below(config.folder) if path != "notes.txt"}
    assert rows["broken.png"]["probability"] == ""
    assert "truncated" in rows["broken.png"]["reason"]
    for row in rows.values():
        if row["probability"]:
            assert row["flagged"] == str(int(float(row["probability"]) >= 0.5))
    with Image.open(config.scores.with_suffix(".jpg")) as sheet:
        assert sheet.width == 6 * 256


def test_without_a_run_the_pretrained_detector_scores(config, monkeypatch, tmp_path):
    default = replace(config, run=None)
    monkeypatch.setattr("artifact_utils.detector.PRETRAINED", tmp_path / "portraits.safetensors")
    with pytest.raises(CheckpointError, match=r"no pretrained detector at .*portraits.safetensors: train one with"):
        score_folder(default)
    assert not config.scores.exists()
    shutil.copy(config.run / "best.safetensors", tmp_path / "portraits.safetensors")
    score_folder(default)
    assert score_folder(default).new == 0
    assert score_folder(config).new == 0  # the same model under another name
    package(config.run)  # in 16 bits it is another model
    with pytest.raises(FilterError, match="belongs to another model: name another table with --scores"):
        score_folder(default)


def test_a_second_run_scores_nothing_again_and_takes_the_new_threshold(config):
    score_folder(config)
    before = {path: row["probability"] for path, row in scores_by_path(config).items()}
    summary = score_folder(replace(config, threshold=middle_threshold(config)))
    assert (summary.n, summary.new, summary.flagged) == (14, 0, 7)
    assert {path: row["probability"] for path, row in scores_by_path(config).items()} == before


def test_a_scoring_cut_off_anywhere_goes_on_and_ends_the_same(config):
    score_folder(config)
    whole = scores_by_path(config)
    content = config.scores.read_bytes()
    for end in [*range(0, len(content), 97), len(content) - 1]:
        config.scores.write_bytes(content[:end])
        assert score_folder(config).n == 14
        resumed = scores_by_path(config)
        assert set(resumed) == set(whole)
        for path, row in resumed.items():
            assert (row["flagged"], row["reason"]) == (whole[path]["flagged"], whole[path]["reason"])
            if row["probability"]:  # another batch rounds differently in the last digits
                assert float(row["probability"]) == pytest.approx(float(whole[path]["probability"]), abs=1e-5)


def test_new_changed_and_removed_pictures_are_noticed(config):
    score_folder(config)
    before = scores_by_path(config)
    draw_portrait(config.folder / "new.png", seed=99, artifact=False)
    draw_portrait(config.folder / "part_0" / "00.png", seed=77, artifact=True)
    (config.folder / "part_1" / "01.png").unlink()
    summary = score_folder(config)
    after = scores_by_path(config)
    assert summary.new == 2
    assert set(after) - set(before) == {"new.png"}
    assert set(before) - set(after) == {"part_1/01.png"}
    assert after["part_0/00.png"]["probability"] != before["part_0/00.png"]["probability"]


def test_pictures_added_later_are_scored_once(config):
    score_folder(config)
    draw_portrait(config.folder / "new.png", seed=99, artifact=False)
    assert [score_folder(config).new for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("path", ["../outside.png", "part_0/../../outside.png", "{}/outside.png"])
def test_a_table_cannot_reach_out_of_its_folder(config, tmp_path, path):
    score_folder(config)
    draw_portrait(tmp_path / "outside.png", seed=1, artifact=True)
    content = config.scores.read_text()
    config.scores.write_text(f"{content}{path.format(tmp_path)},0.99,1,\n")
    with pytest.raises(FilterError, match="which is not in"):
        move_flagged(replace(config, move_flagged=tmp_path / "bad"))
    score_folder(config)
    assert config.scores.read_text() == content
    assert (tmp_path / "outside.png").exists()


@pytest.mark.parametrize("probability", ["abc", "nan", "7"])
def test_a_row_without_a_probability_is_scored_again(config, probability):
    score_folder(config)
    path, known = "part_1/01.png", scores_by_path(config)["part_1/01.png"]["probability"]
    config.scores.write_text(config.scores.read_text().replace(f"{path},{known}", f"{path},{probability}"))
    assert score_folder(config).new == 1
    assert float(scores_by_path(config)[path]["probability"]) == pytest.approx(float(known), abs=1e-5)


def test_a_table_of_another_folder_is_not_touched(config, tmp_path):
    score_folder(config)
    before = config.scores.read_bytes()
    other = shutil.copytree(config.folder, tmp_path / "other")
    with pytest.raises(FilterError, match="belongs to another folder: name another table with --scores"):
        score_folder(replace(config, folder=other))
    config.scores.with_suffix(".json").unlink()
    with pytest.raises(FilterError, match="does not say what it belongs to"):
        score_folder(config)
    assert config.scores.read_bytes() == before
