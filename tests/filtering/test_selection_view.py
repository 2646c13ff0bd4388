"""Looking through a set of scores: rows, counts at thresholds, pictures by their number, lists."""

import csv
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import draw_portrait

from artifact_utils.filtering import selection_view
from artifact_utils.filtering.options import FilterError
from artifact_utils.predictions import Prediction
from artifact_utils.scale.scale_options import INSTALL, ScaleError
from artifact_utils.scale.score_parts import ABOUT, About, ScoreParts, part_name
from artifact_utils.scale.stages import score_rows
from artifact_utils.scale.stores import LocalStore, open_store

duckdb = pytest.importorskip("duckdb", reason=f"needs DuckDB: {INSTALL}")

FAMILIES = ("hands", "text")
ODD = ('a "quoted", name\n.png', "it's.png", os.fsdecode(b"no text \xff.png"))


def write_scores(folder: Path, source: str, entries, said, families=FAMILIES) -> Path:
    about = About(source, "0123", 0.5, families, families, 1.0)
    ScoreParts(LocalStore(folder), about).append(score_rows(tuple(entries), said, about))
    return folder


@pytest.fixture
def faces(tmp_path):
    """Twenty pictures in two folders and three with odd names."""
    for i, name in enumerate((*(f"{'first' if i < 15 else 'second'}/{i:02d}.png" for i in range(20)), *ODD)):
        draw_portrait(tmp_path / "faces" / name, seed=i, artifact=False)
    return tmp_path / "faces"


@pytest.fixture
def scores(faces, tmp_path):
    """Probabilities of 0, 0.05, ..., 0.95 and 0.01, families in turn; one NaN, one unreadable, one too small."""
    store = open_store(faces)
    entries = [store.entry(f"{'first' if i < 15 else 'second'}/{i:02d}.png") for i in range(20)]
    said = [
        Prediction(i / 20, i >= 10, FAMILIES[i % 2], {"hands": 0.1, "text": 0.1, FAMILIES[i % 2]: i / 20})
        for i in range(20)
    ]
    entries += map(store.entry, ODD)
    said += [Prediction(0.01, False, "text", {"hands": 0.0, "text": 0.01})] * 3
    missing = replace(entries[0], path="bad.png"), replace(entries[0], path="small.png"), replace(entries[0], path="n")
    nothing = Prediction(np.nan, False, "hands", {"hands": np.nan, "text": 0.5})
    said += ["truncated", Prediction(np.nan, False, too_small=True), nothing]
    return write_scores(tmp_path / "it's [scores]", str(faces), (*entries, *missing), said)


@pytest.fixture
def opened(scores, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    view = selection_view.OpenScores(str(scores))
    yield view
    view.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def numbers(view, **options) -> dict[str, int]:
    rows = view.rows(0.5, **options)
    return dict(zip(rows["name"], rows["id"], strict=True))


def test_counts_at_every_threshold_of_all_and_of_a_folder_or_family(opened):
    curve = opened.curve()
    assert (curve["n"], curve["unreadable"], curve["too_small"]) == (26, 2, 1)
    assert [curve["flagged"][at] for at in (0, 500, 501, 950, 951, 1000)] == [23, 10, 9, 1, 0, 0]
    assert curve["false_alarms"][900] == pytest.approx(0.15)
    assert curve["at_first"] == {"flagged": 10, "false_alarms": pytest.approx(sum(1 - i / 20 for i in range(10, 20)))}
    assert opened.curve("second")["flagged"][500] == 5
    assert opened.curve("first", "hands")["flagged"][500] == 3  # 0.5, 0.6, 0.7
    assert opened.folders() == [(".", 6, 0), ("first", 15, 5), ("second", 5, 5)]
    assert opened.curve() is curve


def test_rows_the_worst_first_just_below_a_threshold_and_those_without_a_verdict(opened):
    worst = opened.rows(0.5)
    assert worst["name"][:2] == ["second/19.png", "second/18.png"]
    assert worst["probability"][:2] == [0.95, 0.9]
    assert (worst["n"], len(set(worst["id"]))) == (23, 23)
    below = opened.rows(0.5, "borderline", family="hands", limit=2)
    assert (below["name"], below["n"]) == (["first/08.png", "first/06.png"], 5)
    odd = opened.rows(0.5, "unreadable", family="hands")
    assert dict(zip(odd["name"], odd["reason"], strict=True)) == {
        "bad.png": "truncated", "small.png": "too small", "n": "",
    }  # fmt: skip
    assert opened.rows(0.5, folder="second' OR true --")["id"] == []
    shown = opened.shown(worst["id"][0])
    assert shown.families == pytest.approx({"hands": 0.1, "text": 0.95})
    json.dumps(opened.rows(0.5, "unreadable"), allow_nan=False)


def test_pictures_are_had_by_their_number_whatever_they_are_called(opened, faces):
    by_name = numbers(opened)
    for name in ('a "quoted", name\n.png', "it's.png", r"no text \udcff.png", "first/03.png"):
        with opened.picture(by_name[name]) as file:
            assert file.parent in (faces, faces / "first")
            assert file.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(FilterError, match="shown too long ago"), opened.picture(1):
        pass


def test_a_picture_that_has_changed_or_gone_is_said_so(opened, faces):
    by_name = numbers(opened)
    draw_portrait(faces / "first" / "03.png", seed=99, artifact=True)
    (faces / "first" / "04.png").unlink()
    for name, message in (("first/03.png", "03.png has changed since it was scored"), ("first/04.png", "has gone")):
        with pytest.raises(FilterError, match=message), opened.picture(by_name[name]):
            pass


def test_a_path_of_a_strangers_table_leads_nowhere_else(faces, tmp_path):
    draw_portrait(tmp_path / "outside" / "a.png", seed=1, artifact=False)
    (faces / "link").symlink_to(tmp_path / "outside")
    entry = open_store(tmp_path / "outside").entry("a.png")
    paths = ("../outside/a.png", str(tmp_path / "outside" / "a.png"), "link/a.png", "a\0.png", "")
    said = [Prediction(0.9, True, "hands", {"hands": 0.9, "text": 0.1})] * len(paths)
    folder = write_scores(tmp_path / "scores", str(faces), [replace(entry, path=path) for path in paths], said)
    view = selection_view.OpenScores(str(folder))
    for name, number in numbers(view).items():
        with pytest.raises(FilterError, match="not opened"), view.picture(number):
            pytest.fail(f"{name!r} was opened")
    view.close()


def test_pictures_in_an_object_store_are_fetched_in_their_version(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/viewed/faces/a.png", b"1234")
    memory.pipe_file("/viewed/faces/b.png", b"1234")
    store = open_store("memory://viewed/faces")
    said = [Prediction(0.9, True, "hands", {"hands": 0.9, "text": 0.1})] * 2
    entries = [store.entry("a.png"), store.entry("b.png")]
    view = selection_view.OpenScores(str(write_scores(tmp_path / "scores", str(store), entries, said)))
    by_name = numbers(view)
    with view.picture(by_name["a.png"]) as file:
        assert file.read_bytes() == b"1234"
    assert not file.exists()
    memory.pipe_file("/viewed/faces/a.png", b"12345")
    memory.rm_file("/viewed/faces/b.png")
    for name, message in (("a.png", "a.png has changed"), ("b.png", r"b.png cannot be had any more \(no such file\)")):
        with pytest.raises(FilterError, match=message), view.picture(by_name[name]):
            pass
    view.close()
    memory.rm("/viewed", recursive=True)


def test_numbers_stand_for_the_latest_rows_alone(opened, monkeypatch):
    monkeypatch.setattr(selection_view, "KEPT_ROWS", 5)
    first = opened.rows(0.5, limit=3)["id"]
    assert opened.rows(0.5, limit=2)["id"] == first[:2]
    opened.rows(0.4, "borderline", limit=3)
    assert opened.shown(first[0])
    with pytest.raises(FilterError, match="shown too long ago"):
        opened.shown(first[2])


def test_lists_at_a_threshold(opened, tmp_path):
    for flagged, expected in ((True, ["second/19.png", "second/18.png"]), (False, 21)):
        opened.write_list(tmp_path / "list.csv", 0.9, flagged=flagged)
        with (tmp_path / "list.csv").open(newline="") as lines:
            paths = [row["path"] for row in csv.DictReader(lines)]
        assert (paths if flagged else len(paths)) == expected


def test_what_is_rewritten_meanwhile_is_there_after_reading_anew(opened, scores, faces):
    store = LocalStore(scores)
    about = About(str(faces), "0123", 0.5, FAMILIES, FAMILIES, 1.0)
    entry = open_store(faces).entry("first/00.png")
    rows = score_rows((entry,), [Prediction(0.99, True, "hands", {"hands": 0.99, "text": 0.1})], about)
    store.put(part_name(0), store.get(part_name(0))[:100])  # half of a file
    with pytest.raises(ScaleError, match="cannot be read"):
        opened.read()
    assert opened.curve()["n"] == 26
    (scores / part_name(0)).unlink()
    ScoreParts(store, about).append(rows)
    assert opened.rows(0.5)["n"] == 23
    opened.read()
    assert opened.rows(0.5)["name"] == ["first/00.png"]
    assert (opened.curve()["n"], opened.curve()["at_first"]["flagged"]) == (1, 1)
    store.put(ABOUT, json.dumps(asdict(replace(about, model="4567"))).encode())
    with pytest.raises(FilterError, match="another folder or model now: start the page anew"):
        opened.read()


def test_no_pictures_and_a_model_that_tells_no_families_apart(tmp_path):
    about = About(str(tmp_path), "0123", 0.5)
    parts = ScoreParts(LocalStore(tmp_path / "scores"), about)
    with pytest.raises(ScaleError, match="nothing is scored in"):
        selection_view.OpenScores(str(tmp_path / "scores"))
    parts.append(about.schema.empty_table())
    view = selection_view.OpenScores(str(tmp_path / "scores"), threshold=0.9)
    assert (view.curve()["n"], view.rows(0.5)["n"], view.folders(), view.threshold) == (0, 0, [], 0.9)
    draw_portrait(tmp_path / "a.png", seed=0, artifact=False)
    parts.append(score_rows((open_store(tmp_path).entry("a.png"),), [Prediction(0.5, True, "", {})], about))
    view.read()
    rows = view.rows(0.5)
    assert (rows["family"], view.shown(rows["id"][0]).families) == ([""], {})
    view.close()


def test_without_duckdb_it_is_said_what_to_install(scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ScaleError, match=r"this needs DuckDB, which cannot be imported .*\[scale\]"):
        selection_view.OpenScores(str(scores))


@pytest.mark.parametrize("said", [{"threshold": "0.5 OR true"}, {"threshold": float("nan")}, {"families": 7}])
def test_what_a_stranger_says_of_the_scores_is_checked(scores, said):
    about = json.loads((scores / ABOUT).read_bytes())
    (scores / ABOUT).write_text(json.dumps(about | said))
    with pytest.raises(ScaleError, match=r"_about.json in .* cannot be read"):
        selection_view.OpenScores(str(scores))
