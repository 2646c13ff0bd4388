"""Tables of earlier versions: what is pending in them is not lost, and what strangers write in them is not believed."""

import csv
import hashlib
import json
import shutil
import time
from dataclasses import replace

import pytest
from helpers import draw_portrait, files_below, scores_by_path

from artifact_utils.filtering import FilterError, score_folder, undo
from artifact_utils.filtering.options import Outputs


def write_moved(target, rows):
    target.mkdir(exist_ok=True)
    with (target / "moved.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("source", "destination"), *rows])


@pytest.fixture
def moved_before(config, tmp_path):
    """Pictures that an earlier version has moved, killed when it had placed the last one and not yet removed it."""
    original = files_below(config.folder)
    target, names = tmp_path / "bad", ["part_0/00.png", "part_1/01.png", "part_2/02.png"]
    for name in names:
        (target / name).parent.mkdir(parents=True)
        (config.folder / name).rename(target / name)
    shutil.copy(target / names[2], config.folder / names[2])
    write_moved(target, [(config.folder / name, name) for name in names])
    return replace(config, move_flagged=target), original


def test_a_pending_undo_still_works(moved_before):
    config, original = moved_before
    assert undo(config) == 3
    assert files_below(config.folder) == original
    assert not config.move_flagged.exists()


def test_sources_outside_the_folder_are_not_made(moved_before, tmp_path):
    config, original = moved_before
    rows = [(tmp_path / "stolen.png", "part_0/00.png"), (config.folder / ".." / "up.png", "part_1/01.png")]
    write_moved(config.move_flagged, [*rows, (config.folder / "part_2" / "02.png", "part_2/02.png")])
    with pytest.raises(FilterError, match="names 2 pictures that do not come from"):
        undo(config)
    assert not (tmp_path / "stolen.png").exists() and not (tmp_path / "up.png").exists()
    assert set(files_below(config.move_flagged)) == {"moved.csv", "part_0/00.png", "part_1/01.png"}
    assert set(files_below(config.folder)) == set(original) - {"part_0/00.png", "part_1/01.png"}


def test_a_table_that_leads_out_of_its_folder_is_refused(config, tmp_path):
    write_moved(tmp_path / "bad", [(config.folder / "a.png", "../secret.png")])
    with pytest.raises(FilterError, match=r"names ../secret.png, which is not in"):
        undo(replace(config, move_flagged=tmp_path / "bad"))


@pytest.fixture
def scored_before(config):
    """The table and its .json as an earlier version has written them; one probability is told from the model's."""
    score_folder(config)
    rows = list(scores_by_path(config).values())
    rows[0]["probability"] = "0.125"
    with config.scores.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        file.write("../outside.png,0.9,1,\nabsurd.png,nan,1,\ncut off")
    model = hashlib.sha256((config.run / "best.safetensors").read_bytes()).hexdigest()
    identity = {"folder": str(config.folder), "model": model, "started": time.time() + 1}
    config.scores.with_suffix(".json").write_text(json.dumps(identity))
    Outputs.of(config).state.unlink()
    return rows[0]["path"]


def test_scores_of_an_earlier_version_are_kept(config, scored_before):
    assert score_folder(config).new == 0
    assert scores_by_path(config)[scored_before]["probability"] == "0.125"
    assert not {"../outside.png", "absurd.png"} & set(scores_by_path(config))


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028"])
def test_a_name_with_the_end_of_a_line_gives_its_score_to_no_other(config, scored_before, end):
    """Earlier versions did not quote these; the picture whose name is the second part keeps its own score."""
    draw_portrait(config.folder / f"bad{end}part_0" / "00.png", seed=99, artifact=False)
    with config.scores.open("a", newline="") as file:
        file.write(f"\nbad{end}part_0/00.png,0.9375,1,\n")
    score_folder(config)
    assert scores_by_path(config)["part_0/00.png"]["probability"] != "0.9375"


def test_the_place_of_earlier_versions_is_found(config, scored_before, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert score_folder(replace(config, scores=None)).new == 0
