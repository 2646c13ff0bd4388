"""Visitors of a page: their pictures are scored in order, nobody else's, bounded, and gone when they are."""

import io
import threading
import time
import zipfile

import pytest
from helpers import draw_portrait

from artifact_utils.detector import Detector
from artifact_utils.filtering import visits as module
from artifact_utils.filtering.visits import Visit, VisitError, Visits
from artifact_utils.images import ImageError


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def visits(run, clock, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    visits = Visits(Detector.load(run, device="cpu"), clock=clock)
    yield visits
    visits.close()
    assert not list(tmp_path.glob("artifact_utils.visits.*"))


def portrait(tmp_path, seed: int) -> bytes:
    path = tmp_path / "drawn" / f"{seed}.png"
    draw_portrait(path, seed=seed, artifact=False)
    return path.read_bytes()


def wait(visit: Visit) -> None:
    end = time.monotonic() + 60
    while any(checked.outcome is None for checked in visit.pictures) and time.monotonic() < end:
        time.sleep(0.01)
    assert all(checked.outcome is not None for checked in visit.pictures)


def zipped(entries: dict[str, bytes]) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    content.seek(0)
    return content


def test_pictures_are_scored_as_the_detector_does_whatever_they_are_called(visits, tmp_path):
    key = visits.begin()
    name = "../<img src=x onerror=alert(1)>.png"
    assert visits.add(key, name, io.BytesIO(portrait(tmp_path, 1))) == 1
    assert visits.add(key, "broken.png", io.BytesIO(b"no picture")) == 1
    assert visits.add(key, "a.ZIP", zipped({"x/2.png": portrait(tmp_path, 2), "../3.png": portrait(tmp_path, 3)})) == 2
    visit = visits.visit(key)
    wait(visit)
    assert [checked.name for checked in visit.pictures] == [name, "broken.png", "2.png", "3.png"]
    expected = visits.detector.predict(tmp_path / "drawn" / "1.png").probability
    assert visit.pictures[0].outcome.probability == pytest.approx(expected, abs=1e-5)
    assert isinstance(visit.pictures[1].outcome, ImageError)
    assert visit.pictures[1].outcome.reason == "not a PNG, JPEG, WebP or BMP picture"
    assert visits.queued(visit) == 0
    for checked in visit.pictures:
        assert checked.file.parent == visit.folder
        assert visits.picture(checked.token) is checked
    assert visit.folder.stat().st_mode & 0o077 == 0


def test_twenty_visitors_at_once_get_their_own_answers_in_order(visits, tmp_path):
    drawn = {seed: portrait(tmp_path, seed) for seed in range(10)}
    expected = {seed: visits.detector.predict(tmp_path / "drawn" / f"{seed}.png").probability for seed in drawn}
    keys = [visits.begin() for _ in range(20)]

    def send(key: str, first: int) -> None:
        for i in range(5):
            seed = (first + i) % 10
            visits.add(key, f"{seed}.png", io.BytesIO(drawn[seed]))

    threads = [threading.Thread(target=send, args=(key, i)) for i, key in enumerate(keys)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for first, key in enumerate(keys):
        visit = visits.visit(key)
        wait(visit)
        assert [checked.name for checked in visit.pictures] == [f"{(first + i) % 10}.png" for i in range(5)]
        for i, checked in enumerate(visit.pictures):
            assert checked.outcome.probability == pytest.approx(expected[(first + i) % 10], abs=1e-5)


def test_a_visitor_who_leaves_or_is_silent_is_removed_with_all_pictures(visits, clock, tmp_path):
    leaves, reloads, silent, stays = (visits.begin() for _ in range(4))
    folders = {}
    for key in (leaves, reloads, silent, stays):
        visits.add(key, "1.png", io.BytesIO(portrait(tmp_path, 1)))
        folders[key] = visits.visit(key).folder
        wait(visits.visit(key))
    token = visits.visit(leaves).pictures[0].token
    visits.leave(leaves)
    visits.leave_soon(reloads)
    visits.visit(reloads)  # the page is there again
    clock.now += module.SILENT_SECONDS - 1
    visits.visit(stays)
    visits.visit(reloads)
    visits.leave_soon(reloads, 10)
    clock.now += 5
    visits.sweep()
    assert [folder.exists() for folder in folders.values()] == [False, True, False, True]
    clock.now += 6
    visits.sweep()
    assert [folder.exists() for folder in folders.values()] == [False, False, False, True]
    with pytest.raises(VisitError, match="this picture was removed: send it again"):
        visits.picture(token)
    with pytest.raises(VisitError, match="your pictures were removed because the page was closed or silent"):
        visits.add(silent, "1.png", io.BytesIO(portrait(tmp_path, 1)))
    visits.leave("nobody")
    visits.leave_soon("nobody")


def test_uploads_are_bounded(visits, tmp_path, monkeypatch):
    key, content = visits.begin(), portrait(tmp_path, 1)
    monkeypatch.setattr(module, "MAX_PICTURE_BYTES", len(content) - 1)
    with pytest.raises(VisitError, match=r"large\.png is larger than [\d,]+ bytes: send a smaller one"):
        visits.add(key, "large.png", io.BytesIO(content))
    with pytest.raises(VisitError, match=r"a\.zip: 1\.png is larger than"):
        visits.add(key, "a.zip", zipped({"1.png": content}))
    monkeypatch.setattr(module, "MAX_PICTURE_BYTES", 10**6)
    monkeypatch.setattr(module, "MAX_VISIT_BYTES", int(2.5 * len(content)))
    visits.add(key, "1.png", io.BytesIO(content))
    visits.add(key, "2.png", io.BytesIO(content))
    with pytest.raises(VisitError, match="larger than"):
        visits.add(key, "3.png", io.BytesIO(content))
    other = visits.begin()
    monkeypatch.setattr(module, "MAX_BYTES", int(2.5 * len(content)))
    with pytest.raises(VisitError, match="larger than"):
        visits.add(other, "1.png", io.BytesIO(content))
    monkeypatch.setattr(module, "MAX_BYTES", 10**6)
    monkeypatch.setattr(module, "MAX_PICTURES", 1)
    with pytest.raises(VisitError, match="1 pictures at a time: clear these first"):
        visits.add(other, "b.zip", zipped({"1.png": content, "2.png": content}))
    with pytest.raises(VisitError, match=r"c\.zip holds no pictures: put \.png, "):
        visits.add(visits.begin(), "c.zip", zipped({"notes.txt": b"1"}))
    assert len(list(visits.visit(other).folder.iterdir())) == 1
    monkeypatch.setattr(module, "MAX_VISITS", 3)
    with pytest.raises(VisitError, match="too many people are here"):
        visits.begin()


def test_a_picture_that_sets_something_off_stops_nobody_else(visits, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("boom")

    key = visits.begin()
    with monkeypatch.context() as patch:
        patch.setattr(Detector, "predict_files", fail)
        visits.add(key, "1.png", io.BytesIO(portrait(tmp_path, 1)))
        wait(visits.visit(key))
    visits.add(key, "2.png", io.BytesIO(portrait(tmp_path, 2)))
    wait(visits.visit(key))
    first, second = visits.visit(key).pictures
    assert first.outcome.reason == "could not be scored: boom"
    assert 0 <= second.outcome.probability <= 1


def test_what_a_killed_server_has_left_is_removed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone, alive = tmp_path / "artifact_utils.visits.999999999.abc", tmp_path / "artifact_utils.visits.1.abc"
    for folder in (gone, alive):
        folder.mkdir()
    Visits(Detector.load(run, device="cpu")).close()
    assert not gone.exists()
    assert alive.exists()
