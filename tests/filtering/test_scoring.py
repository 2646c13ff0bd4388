import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import draw_portrait
from PIL import Image

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.detector import package
from artifact_utils.files import move_file
from artifact_utils.filtering.scoring import FilterConfig, FilterError, move_flagged, score_folder, undo_move

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(run, tmp_path):
    folder = tmp_path / "portraits"
    for i in range(12):
        draw_portrait(folder / f"part_{i % 3}" / f"{i:02d}.png", seed=i, artifact=i % 2 == 0)
    Image.open(folder / "part_0" / "00.png").save(folder / "строка, 'quoted'\nname.JPG")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("not a picture and not meant to be one")
    return FilterConfig(folder, run, tmp_path / "scores.csv", device="cpu")


@pytest.fixture
def all_flagged(config, tmp_path):
    """Every picture that can be read is in the table as flagged, and none is moved yet."""
    config = replace(config, threshold=0.0, move_flagged=tmp_path / "bad")
    score_folder(config)
    return config


def rows_of(config):
    with config.scores.open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def middle(config):
    """A threshold that flags half of the pictures."""
    values = sorted(float(row["probability"]) for row in rows_of(config).values() if row["probability"])
    return (values[5] + values[6]) / 2


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_picture_gets_a_row_and_the_worst_a_sheet(config):
    summary = score_folder(config)
    rows = rows_of(config)
    assert (summary.n, summary.new, summary.unreadable) == (14, 14, 1)
    assert set(rows) == {path for path in files_of(config.folder) if path != "notes.txt"}
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
    before = {path: row["probability"] for path, row in rows_of(config).items()}
    summary = score_folder(replace(config, threshold=middle(config)))
    assert (summary.n, summary.new, summary.flagged) == (14, 0, 7)
    assert {path: row["probability"] for path, row in rows_of(config).items()} == before


def test_a_scoring_cut_off_anywhere_goes_on_and_ends_the_same(config):
    score_folder(config)
    whole = rows_of(config)
    content = config.scores.read_bytes()
    for end in [*range(0, len(content), 97), len(content) - 1]:
        config.scores.write_bytes(content[:end])
        assert score_folder(config).n == 14
        resumed = rows_of(config)
        assert set(resumed) == set(whole)
        for path, row in resumed.items():
            assert (row["flagged"], row["reason"]) == (whole[path]["flagged"], whole[path]["reason"])
            if row["probability"]:  # another batch rounds differently in the last digits
                assert float(row["probability"]) == pytest.approx(float(whole[path]["probability"]), abs=1e-5)


def test_new_changed_and_removed_pictures_are_noticed(config):
    score_folder(config)
    before = rows_of(config)
    draw_portrait(config.folder / "new.png", seed=99, artifact=False)
    draw_portrait(config.folder / "part_0" / "00.png", seed=77, artifact=True)
    (config.folder / "part_1" / "01.png").unlink()
    summary = score_folder(config)
    after = rows_of(config)
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
    path, known = "part_1/01.png", rows_of(config)["part_1/01.png"]["probability"]
    config.scores.write_text(config.scores.read_text().replace(f"{path},{known}", f"{path},{probability}"))
    assert score_folder(config).new == 1
    assert float(rows_of(config)[path]["probability"]) == pytest.approx(float(known), abs=1e-5)


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


def test_moving_the_flagged_and_putting_them_back(config, tmp_path):
    original = files_of(config.folder)
    score_folder(config)
    config = replace(config, threshold=middle(config), move_flagged=tmp_path / "bad")
    score_folder(config)
    flagged = {path for path, row in rows_of(config).items() if row["flagged"] == "1"}
    assert move_flagged(config) == len(flagged) == 7
    assert set(files_of(tmp_path / "bad")) == flagged | {"moved.csv"}
    assert set(files_of(config.folder)) == set(original) - flagged
    assert undo_move(config) == 7
    assert files_of(config.folder) == original
    assert not (tmp_path / "bad").exists()


def test_a_target_inside_the_folder_is_not_scored(config):
    config = replace(config, threshold=0.0, move_flagged=config.folder / "bad")
    score_folder(config)
    moved = move_flagged(config)
    assert moved == 13
    assert score_folder(config).n == 1  # the broken one stays
    assert undo_move(config) == 13


def test_an_undo_after_a_kill_in_mid_move(all_flagged, monkeypatch):
    original = files_of(all_flagged.folder)
    calls = []

    def die_at_the_fifth(source, destination):
        calls.append(source)
        if len(calls) == 5:
            raise KeyboardInterrupt
        move_file(source, destination)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("artifact_utils.filtering.move_file", die_at_the_fifth)
        move_flagged(all_flagged)
    assert undo_move(all_flagged) == 4
    assert files_of(all_flagged.folder) == original


def test_nothing_is_overwritten(all_flagged):
    (all_flagged.move_flagged / "part_0").mkdir(parents=True)
    (all_flagged.move_flagged / "part_0" / "00.png").write_text("another picture")
    before = files_of(all_flagged.folder)
    with pytest.raises(FilterError, match="exists already"):
        move_flagged(all_flagged)
    assert files_of(all_flagged.folder) == before


def test_undo_does_not_overwrite_what_came_in_between(all_flagged):
    move_flagged(all_flagged)
    (all_flagged.folder / "part_0" / "00.png").write_text("a new picture")
    with pytest.raises(FilterError, match=r"00.png .*exist again"):
        undo_move(all_flagged)
    assert (all_flagged.folder / "part_0" / "00.png").read_text() == "a new picture"
    assert (all_flagged.move_flagged / "part_0" / "00.png").exists()
    assert (all_flagged.move_flagged / "moved.csv").exists()
    assert (all_flagged.folder / "part_1" / "01.png").exists()


def filter_images(*arguments, cwd):
    command = [sys.executable, str(ROOT / "filter_images.py"), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )


def test_the_script(config, tmp_path):
    result = filter_images(config.folder, "--run", config.run, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "14 pictures, 14 of them new" in result.stdout
    assert (tmp_path / "scores.csv").exists()
    nothing = filter_images(tmp_path / "nowhere", "--run", config.run, cwd=tmp_path)
    assert nothing.returncode == 2
    assert "error: no folder" in nothing.stderr
