"""What the server answers, and what it does not, without a browser."""

import io
import re
import time
import zipfile
from dataclasses import replace

import pytest

gradio = pytest.importorskip("gradio", reason="the page is Gradio's: pip install -r requirements.txt")
from fastapi.testclient import TestClient  # noqa: E402
from helpers import read_rows  # noqa: E402

from artifact_utils.filtering.live_folder import LiveFolder  # noqa: E402
from artifact_utils.filtering.scoring import load_detector  # noqa: E402
from artifact_utils.filtering.teaching import Teaching  # noqa: E402
from artifact_utils.filtering.visits import Visits  # noqa: E402
from artifact_utils.page.server import build_app  # noqa: E402

POST = {"X-Page": "1"}


@pytest.fixture
def parts(page_config):
    filtering = page_config.filter_config(page_config.folder)
    detector, sha256 = load_detector(filtering)
    visits, live = Visits(detector), LiveFolder(filtering, detector, sha256)
    teaching = Teaching(live)
    yield visits, teaching
    visits.close()
    teaching.close()
    live.close()


@pytest.fixture
def client(page_config, parts, portraits):
    app = build_app(page_config, *parts, examples=[portraits / "00.png"])
    return TestClient(app, base_url="http://127.0.0.1", headers=POST)


def scored(client) -> dict:
    client.post("/page/sort/start", content=b"")
    end = time.monotonic() + 60
    while (rows := client.get("/page/sort/rows").json())["progress"]["running"] and time.monotonic() < end:
        time.sleep(0.05)
    return rows


def begin(client) -> dict:
    return {"X-Visitor": client.post("/page/check/begin", content=b"").json()["visitor"]}


def results(client, visitor, n: int) -> list:
    end = time.monotonic() + 60
    found = []
    while len(found) < n and time.monotonic() < end:
        found = client.get("/page/check/results?since=0", headers=visitor).json()["results"]
        time.sleep(0.02)
    return found


def test_dropped_pictures_are_judged_and_their_maps_drawn(client, portraits):
    visitor = begin(client)
    content = (portraits / "01.png").read_bytes()
    assert client.post("/page/check/pictures?name=a.png", content=content, headers=visitor).json() == {"taken": 1}
    assert client.post("/page/check/pictures?name=b.png", content=b"no picture", headers=visitor).json() == {"taken": 1}
    assert client.post("/page/check/examples/0", content=b"", headers=visitor).json() == {"taken": 1}
    said, broken, example = results(client, visitor, 3)
    assert said["verdict"] in ("artifact", "clean")
    assert set(said["families"]) == {"hands", "text", "objects"}
    assert (broken["verdict"], broken["why"]) == ("unreadable", "not a PNG, JPEG, WebP or BMP picture")
    assert example["name"] == "00.png"
    for family in ("", "text"):
        drawn = client.get(f"/page/check/map/{said['token']}?family={family}")
        assert drawn.headers["content-type"] == "image/png"
    assert client.get(f"/page/check/picture/{said['token']}?size=small").headers["content-type"] == "image/jpeg"
    assert client.get(f"/page/check/map/{said['token']}?family=teeth").status_code == 400
    assert client.get("/page/check/map/guessed").json() == {"error": "this picture was removed: send it again"}
    client.post("/page/check/clear", content=b"", headers=visitor)
    assert client.get(f"/page/check/picture/{said['token']}").status_code == 410


def test_nobody_sees_the_pictures_of_others(client, portraits):
    one, other = begin(client), begin(client)
    client.post("/page/check/pictures?name=a.png", content=(portraits / "01.png").read_bytes(), headers=one)
    assert len(results(client, one, 1)) == 1
    assert client.get("/page/check/results?since=0", headers=other).json()["total"] == 0
    assert client.get("/page/check/results?since=0").status_code == 410
    assert client.post("/page/check/pictures?name=a.png", content=b"1").status_code == 410


def test_the_folder_is_scored_labelled_moved_and_brought_back(client, portraits):
    rows = scored(client)
    assert (rows["count"], rows["progress"]["done"]) == (14, 14)
    by_name = dict(zip(rows["name"], rows["id"], strict=True))
    number = by_name["03.png"]
    for path in (f"thumbnail?id={number}", f"picture?id={number}", f"map?id={number}&family=text"):
        assert client.get(f"/page/sort/{path}").headers["content-type"].startswith("image/")
    assert client.get(f"/page/sort/thumbnail?id={by_name['broken.png']}").status_code == 400
    assert client.post("/page/sort/label", json={"id": number, "verdict": 1}).status_code == 200
    (changed,) = client.get(f"/page/sort/rows?since={rows['version']}").json()["label"]
    assert changed == 1
    assert client.get("/page/sort/agreement?threshold=1").json()[1]["n"] == 1
    said = client.post("/page/sort/move", json={"threshold": 1, "only": ["text"]}).json()["said"]
    assert said == f"1 pictures moved to {portraits}.flagged"
    assert (portraits.with_name("portraits.flagged") / "03.png").is_file()
    assert client.get(f"/page/sort/thumbnail?id={number}").status_code == 200
    assert client.post("/page/sort/back", content=b"").json()["said"] == "1 pictures brought back"
    assert (portraits / "03.png").is_file()
    scored(client)
    assert client.post("/page/sort/unlabel", content=b"").json() == {"id": number}
    assert client.post("/page/sort/export", content=b"").json()["error"].startswith("no picture of")


def test_downloads_are_of_the_threshold_that_is_shown(client, tmp_path):
    scored(client)
    (tmp_path / "a.csv").write_bytes(client.get("/page/sort/scores.csv?threshold=0&only=text").content)
    assert [row["flagged"] for row in read_rows(tmp_path / "a.csv")].count("1") == 13
    zips = [client.get(f"/page/sort/clean.zip?threshold={t}") for t in (0, 1)]
    names = [zipfile.ZipFile(io.BytesIO(answer.content)).namelist() for answer in zips]
    assert [len(found) for found in names] == [0, 13]
    assert not any("<" in name for name in names[1])


def test_labels_are_learned_from_and_what_was_learned_is_used(client, parts, few_folds, monkeypatch):
    monkeypatch.setattr("artifact_utils.filtering.learning.MIN_LABELS", 12)
    monkeypatch.setattr("artifact_utils.filtering.teaching.MIN_LABELS", 12)
    rows = scored(client)
    about = client.get("/page/teach/about").json()
    assert about["missing"] == {"all": 12, "clean": 5, "artifact": 5} and about["lesson"] is None
    drawn = [i for i, name in zip(rows["id"], rows["name"], strict=True) if name[:2].isdecimal()]
    for k, number in enumerate(drawn):
        client.post("/page/sort/label", json={"id": number, "verdict": k % 2})
    assert client.post("/page/teach/start", json={"kind": "labels"}).status_code == 200
    end = time.monotonic() + 300
    while (about := client.get("/page/teach/about").json())["progress"]["running"] and time.monotonic() < end:
        time.sleep(0.05)
    lesson = about["lesson"]
    assert about["progress"]["error"] == "" and lesson["name"] == "portraits.learned"
    assert (lesson["n"], lesson["n_artifacts"], lesson["shares"]["found"]["of"]) == (12, 6, 6)
    assert {turned["id"] for turned in lesson["turned"]} <= set(rows["id"])
    assert "another lesson" in client.post("/page/teach/use", json={"name": "portraits.learned-2"}).json()["error"]
    assert client.post("/page/teach/use", json={"name": "portraits.learned"}).status_code == 200
    after = scored(client)
    assert after["model"] != rows["model"] and after["id"] == rows["id"]
    assert client.get("/page/sort/about").json()["model"] == "portraits.learned"
    assert parts[0].detector is parts[1].live.detector  # what is dropped in is scored by it, too
    assert client.get("/page/teach/about").json()["before"] == "families"
    assert client.post("/page/teach/back", content=b"").status_code == 200
    assert scored(client)["model"] == rows["model"]
    assert client.post("/page/teach/discard", json={"name": "portraits.learned"}).status_code == 200
    assert client.get("/page/teach/about").json()["lesson"] is None


def test_a_page_that_is_opened_again_goes_on_with_the_run_that_was_learned(page_config, learned_in_use):
    from artifact_utils.page import launch

    page = launch(config=page_config)  # which names the run that it was opened with at first
    try:
        assert page.live.config.run == learned_in_use
        assert page.live.rows_since(0)["count"] == 14
    finally:
        page.close()


def test_reports_that_exist_are_shown_without_scripts(client, page_config):
    assert client.get("/page/reports/list").json() == {"pages": [], "audit": {"running": False, "error": ""}}
    run = page_config.runs / "mine"
    (run / "evaluation").mkdir(parents=True)
    (run / "best.safetensors").write_bytes(b"1")
    (run / "evaluation" / "index.html").write_text("<p>numbers</p>")
    assert client.get("/page/reports/list").json()["pages"] == [{"title": "mine: evaluation", "kind": ".html"}]
    shown = client.get("/page/reports/show/mine: evaluation")
    assert shown.text == "<p>numbers</p>"
    assert shown.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert client.get("/page/reports/show/..%2F..%2Fetc%2Fpasswd").status_code == 400
    client.post("/page/reports/audit", content=b"")
    end = time.monotonic() + 60
    while client.get("/page/reports/list").json()["audit"]["running"] and time.monotonic() < end:
        time.sleep(0.1)
    assert client.get("/page/reports/show/audit of this folder").status_code == 200


def test_what_no_page_would_send_is_refused_with_a_sentence(client):
    scored(client)
    for path, sent in (
        ("label", {"id": 1, "verdict": 2}),
        ("label", {"id": "1; DROP TABLE scores", "verdict": 1}),
        ("label", {"id": -1, "verdict": 1}),
        ("label", {"id": 10**30, "verdict": 1}),
        ("move", {"threshold": "NaN"}),
        ("move", {"threshold": 2}),
        ("move", {"threshold": 0.5, "only": ["../.."]}),
        ("move", {"threshold": 0.5, "only": ["a"] * 100}),
        ("move", [1, 2]),
        ("../teach/start", {"kind": "../.."}),
        ("../teach/use", {"name": "../../etc"}),
        ("../teach/discard", {"name": ""}),
    ):
        answer = client.post(f"/page/sort/{path}", json=sent)
        assert 400 <= answer.status_code < 500, sent
        assert len(answer.json()["error"]) > 20


NOT_SERVED = """
gradio_api/file=/etc/passwd file=/etc/passwd gradio_api/upload gradio_api/proxy=http://a.b/ docs openapi.json
gradio_api/call/anything gradio_api/run/predict gradio_api/component_server monitoring gradio_api/vibe-edit
gradio_api/dev/reload gradio_api/profiling/traces static/../../../../etc/passwd page/x svelte/../../routes.py
assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd page/static/..%2fserver.py page/static/%2e%2e/server.py
page/sort/thumbnail?id=/etc/passwd page/sort/thumbnail?id=99999 page/sort/rows?since=-1 page/sort/rows?only=teeth
page/check/examples/7
"""


def test_nothing_but_the_page_can_be_reached(client):
    scored(client)
    for path in NOT_SERVED.split():
        for ask in (client.get, client.post):
            answer = ask(f"/{path}")
            assert answer.status_code >= 400, path
            assert "root:" not in answer.text


def test_requests_of_other_pages_and_names_are_turned_away(client):
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.post("/page/sort/stop", content=b"", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    bare = TestClient(client.app, base_url="http://127.0.0.1")
    assert "X-Page" in bare.post("/page/sort/move", json={"threshold": 0.5}).json()["error"]
    assert bare.post("/page/sort/stop", content=b"1" * 100_000, headers=POST).status_code == 413
    assert bare.post("/page/sort/stop", content=iter([b"1"]), headers=POST).status_code == 413
    pieces = POST | {"content-length": "1", "transfer-encoding": "chunked"}
    assert bare.post("/page/sort/stop", content=b"1", headers=pieces).status_code == 413


def test_every_answer_forbids_other_servers_and_the_layout_names_none(client):
    front = client.get("/")
    assert "default-src 'self'" in front.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in front.headers["content-security-policy"]
    assert front.headers["x-content-type-options"] == "nosniff"
    assert "fonts.googleapis" not in front.text
    assert re.search(r'<script[^>]+src="https?://', front.text) is None
    assert client.get("/config").json()["analytics_enabled"] is False


def test_a_password_is_asked_for_everywhere(page_config, parts):
    config = replace(page_config, host="0.0.0.0", auth="me:correct horse")
    client = TestClient(build_app(config, *parts), base_url="http://192.168.1.5", headers=POST)
    for path in ("/", "/page/sort/rows", "/page/static/page.js", "/config"):
        assert client.get(path).status_code == 401
        assert client.get(path, auth=("me", "wrong")).status_code == 401
        assert client.get(path, auth=("me", "correct horse")).status_code == 200
