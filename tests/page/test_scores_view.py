"""What the server answers about scores that it was opened with: only about those, and changing nothing."""

import csv
import io
from dataclasses import replace

import pytest

pytest.importorskip("gradio", reason="the page is Gradio's: pip install -r requirements.txt")
from artifact_utils.scale.scale_options import INSTALL

pytest.importorskip("duckdb", reason=f"needs DuckDB: {INSTALL}")
from fastapi.testclient import TestClient
from helpers import files_below

from artifact_utils.filtering.scoring import load_detector
from artifact_utils.filtering.selection_view import OpenScores
from artifact_utils.filtering.visits import Visits
from artifact_utils.page.scores_routes import scores_routes
from artifact_utils.page.server import build_app


@pytest.fixture
def open_page(scores_config):
    """A function that opens the page with a SHA-256 of its model, by default the true one."""
    detector, true = load_detector(scores_config.filter_config(scores_config.runs))
    visits, scores = Visits(detector), OpenScores(scores_config.select)

    def open_page(sha256: str = true) -> TestClient:
        app = build_app(scores_config, visits, None, scores=scores_routes(scores, detector, sha256))
        return TestClient(app, base_url="http://127.0.0.1", headers={"X-Page": "1"})

    yield open_page
    visits.close()
    scores.close()


def test_scores_are_looked_into_and_nothing_is_changed(open_page, portraits):
    before, client = files_below(portraits.parent), open_page()
    about = client.get("/page/scores/about").json()
    assert (about["source"], about["threshold"], about["has_maps"]) == ("portraits", 0.5, True)
    assert about["families"] == ["hands", "text", "objects"]
    assert about["folders"] == [{"name": ".", "n": 14, "flagged": 6}]
    curve = client.get("/page/scores/curve").json()
    assert (curve["n"], curve["unreadable"], curve["flagged"][500], curve["flagged"][0]) == (14, 1, 6, 13)
    rows = client.get("/page/scores/rows?threshold=0.5&limit=2").json()
    assert (rows["n"], rows["name"]) == (13, ["<img src=x onerror=alert(1)>.png", "11.png"])
    assert rows["probability"] == [12.5 / 14, 11.5 / 14]
    assert client.get("/page/scores/curve?family=text").json()["n"] == 4
    below = client.get("/page/scores/rows?threshold=0.5&which=borderline&family=text").json()
    assert below["name"] == ["04.png", "01.png"]
    assert client.get("/page/scores/rows?threshold=0.5&folder=first").json()["n"] == 0
    first = rows["id"][0]
    for path in (f"thumbnail?id={first}", f"picture?id={first}", f"map?id={first}&family=text"):
        assert client.get(f"/page/scores/{path}").headers["content-type"].startswith("image/"), path
    said = client.get(f"/page/scores/said?id={first}&threshold=0.9").json()
    assert set(said["families"]) == {"hands", "text", "objects"}
    assert said["unsure"]
    assert client.post("/page/scores/read", content=b"").json() == {}
    lists = [client.get(f"/page/scores/{name}.csv?threshold=0.5") for name in ("flagged", "clean")]
    assert [len(list(csv.DictReader(io.StringIO(answer.text)))) for answer in lists] == [6, 7]
    assert 'filename="flagged.csv"' in lists[0].headers["content-disposition"]
    assert files_below(portraits.parent) == before
    assert "scores-view" in client.get("/config").text
    assert "sort-view" not in client.get("/config").text


def test_heat_maps_are_those_of_the_model_that_has_scored(open_page):
    client = open_page("another")
    assert client.get("/page/scores/about").json()["has_maps"] is False
    number = client.get("/page/scores/rows?threshold=0.5").json()["id"][0]
    assert client.get(f"/page/scores/map?id={number}").json()["error"] == (
        "another model has scored these: name it with --run"
    )
    assert client.get(f"/page/scores/picture?id={number}").status_code == 200


def test_what_has_gone_is_said_and_what_no_page_would_ask_is_refused(open_page, portraits):
    client = open_page()
    rows = client.get("/page/scores/rows?threshold=0.5").json()
    (portraits / rows["name"][0]).unlink()
    gone = client.get(f"/page/scores/picture?id={rows['id'][0]}")
    assert (gone.status_code, "has gone since it was scored" in gone.json()["error"]) == (400, True)
    assert gone.headers["cache-control"] == "no-store"
    for path in (
        "rows?threshold=2", "rows?threshold=nan", "rows?threshold=0.5&limit=5001", "rows?threshold=0.5&which=all",
        "picture?id=0", "picture?id=../../etc/passwd", "map?id=7", "thumbnail?id=-1", "flagged.csv?threshold=-1",
        f"map?id={rows['id'][1]}&family=teeth", "worst.csv?threshold=0.5",
    ):  # fmt: skip
        answer = client.get(f"/page/scores/{path}")
        assert 400 <= answer.status_code < 500, path
        assert len(answer.json()["error"]) > 20


def test_the_page_opens_them_and_removes_its_copy(scores_config, tmp_path, monkeypatch):
    from artifact_utils.page import launch

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    page = launch(config=replace(scores_config, threshold=0.25))
    assert page.live is None
    assert len(list((tmp_path / "tmp").glob("artifact_utils.scores.*"))) == 1
    page.close()
    assert list((tmp_path / "tmp").glob("artifact_utils.*")) == []
