"""Whole scorings by Ray, of folders and of an S3 server: the rows, what a second run does, and what goes wrong."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.dataset
import pytest
from helpers import draw_portrait, scores_by_path
from scale.fake_scoring import SlowDetector

from artifact_utils.filtering import FilterConfig, score_folder
from artifact_utils.scale import ScaleConfig, ScaleError, score_urls
from artifact_utils.scale.stores import open_store

ROOT = Path(__file__).parents[2]


def rows_of(scores):
    """The rows by path; none may be there twice."""
    store = open_store(scores)
    table = pyarrow.dataset.dataset(
        [scores.format(name) if "{}" in scores else f"{scores}/{name}" for name in store.names() if name[0] != "_"]
    ).to_table()
    rows = {row["path"]: row for row in table.to_pylist()}
    assert len(rows) == len(table)
    return rows


@pytest.fixture
def scaled(ray, run, tmp_path):
    folder = tmp_path / "faces"
    for i in range(12):
        draw_portrait(folder / f"part_{i % 3}" / f"{i:02d}.png", seed=i, artifact=i % 2 == 0)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    draw_portrait(folder / "строка.jpg", seed=20, artifact=True)
    return ScaleConfig(str(folder), str(tmp_path / "scores"), run=run, device="cpu")


def test_a_folder_gets_the_scores_of_the_builtin_engine_and_a_second_run_adds_only_what_is_missing(
    scaled, run, tmp_path
):
    builtin = FilterConfig(Path(scaled.folder), run, tmp_path / "scores.csv", device="cpu")
    score_folder(builtin)
    summary = score_urls(scaled)
    assert (summary.new, summary.counts.n, summary.counts.unreadable) == (14, 14, 1)
    assert "14 pictures, 14 of them new" in str(summary)
    rows, expected = rows_of(scaled.scores), scores_by_path(builtin)
    assert set(rows) == set(expected)
    for path, row in rows.items():
        assert row["reason"] == expected[path]["reason"]
        if row["probability"] is not None:
            assert row["probability"] == pytest.approx(float(expected[path]["probability"]), abs=1e-4)
            assert row["flagged"] == (expected[path]["flagged"] == "1")

    folder = Path(scaled.folder)
    draw_portrait(folder / "new.png", seed=30, artifact=False)
    draw_portrait(folder / "part_0" / "00.png", seed=31, artifact=False)
    (folder / "part_1" / "01.png").unlink()
    again = score_urls(scaled)
    assert (again.new, again.gone, again.counts.n) == (2, 2, 14)
    after = rows_of(scaled.scores)
    assert set(after) == set(rows) - {"part_1/01.png"} | {"new.png"}
    assert after["part_0/00.png"]["probability"] != rows["part_0/00.png"]["probability"]
    assert all(after[path] == rows[path] for path in set(after) - {"part_0/00.png", "new.png"})

    with pytest.raises(ScaleError, match=r"was flagged from 0\.5"):
        score_urls(replace(scaled, threshold=0.75))
    assert rows_of(scaled.scores) == after


def test_a_bucket_that_refuses_now_and_then_is_scored_whole(ray, s3, run, tmp_path):
    store, refused = open_store("s3://bucket/faces"), set()
    for i in range(6):
        draw_portrait(tmp_path / f"{i}.png", seed=i, artifact=False)
        store.put(f"{i}.png", (tmp_path / f"{i}.png").read_bytes())
    store.put("empty.png", b"")

    def refuse_each_once(method, path, query):
        return (method, path) not in refused and not refused.add((method, path))

    s3.faults = refuse_each_once
    config = ScaleConfig("s3://bucket/faces", "s3://bucket/scores", run=run, device="cpu")
    summary = score_urls(config, open_detector=SlowDetector)
    assert (summary.new, summary.counts.unreadable) == (7, 1) and s3.n_refused >= 8
    assert summary.scores == "s3://bucket/scores"

    def refuse_one_always(method, path, query):
        return path.endswith("3.png")

    s3.faults = refuse_one_always
    elsewhere = replace(config, scores=str(tmp_path / "scores"))
    with pytest.raises(ScaleError, match=r"1 pictures could not be fetched, the first '3.png': .* the same command"):
        score_urls(elsewhere, open_detector=SlowDetector)
    assert len(rows_of(elsewhere.scores)) == 6
    s3.faults = None
    assert score_urls(elsewhere, open_detector=SlowDetector).new == 1
    assert rows_of(elsewhere.scores)["empty.png"]["reason"] == "empty file"
    assert all(row["etag"] for row in rows_of(elsewhere.scores).values())


def test_a_slow_bucket_is_scored_whole_and_a_page_of_its_listing_that_is_refused_is_asked_for_again(
    ray, s3, run, tmp_path, monkeypatch
):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")  # names of a page
    store = open_store("s3://bucket/faces")
    for i in range(10):
        draw_portrait(tmp_path / "face.png", seed=i, artifact=False)
        store.put(f"{i}.png", (tmp_path / "face.png").read_bytes())
    config = ScaleConfig("s3://bucket/faces", str(tmp_path / "scores"), run=run, device="cpu")

    def refuse_second_page(method, path, query):
        return "continuation-token" in query

    s3.faults = refuse_second_page
    with pytest.raises(ScaleError, match=r"s3://bucket/faces cannot be listed to the end \(.*: the same command goes"):
        score_urls(config, open_detector=SlowDetector)
    n_before = len(rows_of(config.scores))
    assert n_before < 10

    refused = set()

    def refuse_each_later_page_once(method, path, query):
        return "continuation-token" in query and query not in refused and not refused.add(query)

    s3.faults, s3.delay = refuse_each_later_page_once, lambda path: 0.1 + 0.1 * (sum(path.encode()) % 5)
    summary = score_urls(config, open_detector=SlowDetector)
    assert (summary.new, summary.counts.n, len(refused)) == (10 - n_before, 10, 2)
    assert set(rows_of(config.scores)) == {f"{i}.png" for i in range(10)}


def test_what_a_stage_raises_on_purpose_is_said_and_what_is_scored_is_kept(scaled):
    with pytest.raises(ScaleError, match="the cluster has no GPU"):
        score_urls(replace(scaled, device="cuda", scores=scaled.scores + "2"))


def test_without_ray_it_says_how_to_get_it(tmp_path, run):
    draw_portrait(tmp_path / "faces" / "0.png", seed=0, artifact=False)
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "import runpy\n"
        f"sys.argv[1:] = ['faces', '--engine', 'ray', '--scores', 'scores', '--run', {str(run)!r}]\n"
        f"runpy.run_path({str(ROOT / 'filter_images.py')!r}, run_name='__main__')"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("error: --engine ray needs Ray") and 'pip install -e ".[scale]"' in shown.stderr
    assert not (tmp_path / "scores").exists()
