import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import pytest
from helpers import draw_portrait, files_below, middle_threshold, scores_by_path
from PIL import Image

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.config import ConfigError
from artifact_utils.detector import Detector, package
from artifact_utils.files.locks import output_lock
from artifact_utils.files.writing import FileError
from artifact_utils.filtering import FilterError, move_flagged, score_folder
from artifact_utils.filtering.options import Outputs


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
    monkeypatch.setattr("artifact_utils.files.model_files.PRETRAINED", tmp_path / "portraits.safetensors")
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


def test_where_nothing_is_left_to_score_the_model_is_not_loaded(config, monkeypatch):
    first = score_folder(replace(config, threshold=0.25))
    assert score_folder(config).threshold == 0.5  # read once more: only now is the threshold of the file known

    def load(*_, **__):
        raise AssertionError("loaded")

    monkeypatch.setattr(Detector, "load", load)
    assert score_folder(config).threshold == 0.5
    again = score_folder(replace(config, threshold=0.25))
    assert (again.n, again.new, again.flagged) == (first.n, 0, first.flagged)
    with pytest.raises(ConfigError, match="does not tell families of artifacts apart"):
        score_folder(replace(config, only="text"))
    draw_portrait(config.folder / "new.png", seed=99, artifact=False)
    with pytest.raises(AssertionError, match="loaded"):
        score_folder(config)


def test_a_scored_folder_is_gone_through_without_pytorch(config):
    score_folder(config)
    code = (
        "import sys; from artifact_utils.filtering import FilterConfig, score_folder; from pathlib import Path\n"
        f"score_folder(FilterConfig(*map(Path, {[str(config.folder), str(config.run), str(config.scores)]})))\n"
        "assert not {'torch', 'timm', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_scoring_stopped_in_mid_run_goes_on_and_ends_the_same(config, monkeypatch):
    score_folder(config)
    whole = scores_by_path(config)
    Outputs.of(config).state.unlink()
    config.scores.unlink()
    config = replace(config, batch_size=2)
    real = Detector.predict_files

    def stop_after_five(*arguments, **options):
        yield from islice(real(*arguments, **options), 5)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Detector, "predict_files", stop_after_five)
        score_folder(config)
    assert len(scores_by_path(config)) == 5  # the table is whole after Ctrl-C
    assert score_folder(config).new == 9
    resumed = scores_by_path(config)
    assert list(resumed) == list(whole) == sorted(whole)
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


def test_the_table_is_an_export_that_is_never_believed(config, tmp_path):
    score_folder(config)
    draw_portrait(tmp_path / "outside.png", seed=1, artifact=True)
    content = config.scores.read_text()
    config.scores.write_text(f"{content}../outside.png,0.99,1,\n")
    config = replace(config, threshold=1.0, move_flagged=tmp_path / "bad")
    score_folder(config)
    assert move_flagged(config) == 0
    assert "outside" not in config.scores.read_text()


def test_outputs_lie_beside_the_folder_under_its_name(config, tmp_path):
    default = replace(config, scores=None)
    score_folder(default)
    other = shutil.copytree(config.folder, tmp_path / "other")
    score_folder(replace(default, folder=other))
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        f"{folder}.scores.{suffix}" for folder in ("portraits", "other") for suffix in ("csv", "jpg", "sqlite")
    }


def test_a_table_of_another_folder_is_not_touched(config, tmp_path):
    score_folder(config)
    before = config.scores.read_bytes()
    other = shutil.copytree(config.folder, tmp_path / "other")
    with pytest.raises(FilterError, match="belongs to another folder: name another table with --scores"):
        score_folder(replace(config, folder=other))
    assert config.scores.read_bytes() == before
    Outputs.of(config).state.unlink()
    with pytest.raises(FilterError, match="nothing beside it says what it belongs to"):
        score_folder(config)
    assert config.scores.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named_with_the_way_out(config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FilterError, match=r"scores.sqlite cannot be written \(.*\): .* --scores"):
        score_folder(replace(config, scores=tmp_path / "file" / "scores.csv"))


def test_a_second_run_at_the_same_time_is_told_so(config):
    with (
        output_lock(Outputs.of(config).state),
        pytest.raises(FileError, match=r"another run is at work.*process \d+ on"),
    ):
        score_folder(config)


def test_the_sheet_takes_the_place_of_no_portrait_and_is_none(config):
    inside = replace(config, scores=config.folder / "anna.csv")
    first = score_folder(inside)
    assert score_folder(inside).n == first.n  # the sheet lies among the pictures now
    (config.folder / "anna.jpg").write_bytes((config.folder / "part_1" / "01.png").read_bytes())
    with pytest.raises(FilterError, match=r"anna\.jpg would be replaced by the contact sheet"):
        score_folder(inside)
    assert (config.folder / "anna.jpg").read_bytes() == (config.folder / "part_1" / "01.png").read_bytes()
