"""Listing, decoding and scoring as functions of shards, without Ray."""

import hashlib
from itertools import islice

import numpy as np
import pytest
from helpers import draw_portrait
from scale.fake_scoring import SlowDetector

from artifact_utils.detector import Detector
from artifact_utils.filtering.scoring import load_detector
from artifact_utils.scale import ScaleConfig, ScaleError
from artifact_utils.scale import shards as shards_module
from artifact_utils.scale.score_parts import About
from artifact_utils.scale.shards import Keeper, list_shards, open_row
from artifact_utils.scale.stages import ScoreShards, decode_shard
from artifact_utils.scale.stores import LocalStore

ABOUT = About("/faces", "0123", 0.5)
NOTHING = np.empty(0, "S16")


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        draw_portrait(tmp_path / "faces" / f"{i % 2}" / f"{i}.png", seed=i, artifact=i % 2 == 0)
    return tmp_path / "faces"


def listed(folder, digests=NOTHING):
    return [open_row({"shard": batch["shard"][0]}) for batch in list_shards(LocalStore(folder), digests)]


def scored(shard, folder, detector=None, about=ABOUT, batch_size=4):
    stage = ScoreShards(lambda: detector or SlowDetector(), about, batch_size, 1)
    return open_row(stage(decode_shard(shard.row(), LocalStore(folder), 64, "looks")))


def test_what_has_a_row_is_told_apart_from_what_has_none(folder, monkeypatch):
    monkeypatch.setattr(shards_module, "SHARD", 4)
    entries = [entry for shard in listed(folder) for entry in shard.entries]
    assert [len(shard.entries) for shard in listed(folder)] == [4, 4, 2]
    assert sorted(entry.path for entry in entries) == sorted(f"{i % 2}/{i}.png" for i in range(10))
    digests = np.sort(np.array([entry.digest() for entry in entries[:7]], "S16"))
    first, second = listed(folder, digests)
    assert sorted(first.known.tolist()) == list(range(7)) and not first.entries
    assert second.entries == tuple(entries[7:]) and not len(second.known)


def test_each_picture_is_judged_as_the_detector_does_alone(folder, run):
    detector = Detector.load(run, device="cpu")
    about = About("/faces", "0123", detector.threshold)
    (shard,) = listed(folder)
    rows = scored(shard, folder, detector, about).rows.to_pylist()
    assert len(rows) == 10
    for row in rows:
        alone = detector.predict(folder / row["path"])
        assert row["probability"] == pytest.approx(alone.probability, abs=1e-5)
        assert (row["flagged"], row["reason"]) == (alone.flagged, "")


def test_bad_pictures_are_rows_with_a_reason(folder):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    draw_portrait(folder / "small.png", seed=1, artifact=False, size=64)
    (folder / "gone.png").write_bytes(b"soon")
    (shard,) = listed(folder)
    (folder / "gone.png").unlink()
    reasons = {row["path"]: row["reason"] for row in scored(shard, folder).rows.to_pylist() if row["reason"]}
    assert set(reasons) == {"broken.png", "small.png", "gone.png"}
    assert "truncated" in reasons["broken.png"]
    assert (reasons["small.png"], reasons["gone.png"]) == ("too small", "no such file")


def test_a_picture_that_changed_since_it_was_listed_has_the_version_that_was_read(folder):
    (shard,) = listed(folder)
    draw_portrait(folder / "0" / "0.png", seed=99, artifact=True, size=160)
    row = next(row for row in scored(shard, folder).rows.to_pylist() if row["path"] == "0/0.png")
    now = (folder / "0" / "0.png").stat()
    assert (row["size"], row["mtime_ns"]) == (now.st_size, now.st_mtime_ns)


def test_a_picture_that_cannot_be_fetched_has_no_row(folder, monkeypatch):
    (shard,) = listed(folder)
    read = LocalStore.read

    def refuse(self, entry):
        if entry.path == "0/4.png":
            raise OSError("503 Slow Down")
        return read(self, entry)

    monkeypatch.setattr(LocalStore, "read", refuse)
    ended = scored(shard, folder)
    assert len(ended.rows) == 9 and ended.unfetched == ("'0/4.png': 503 Slow Down",)


def test_a_listing_that_breaks_off_is_an_error_and_what_was_listed_before_is_scored(folder, monkeypatch):
    monkeypatch.setattr(shards_module, "LOOK_UP", 2)
    monkeypatch.setattr(shards_module, "SHARD", 2)

    class BreaksOff(LocalStore):
        def entries(self):
            yield from islice(super().entries(), 4)
            raise OSError("503 Slow Down")

    shards = list_shards(BreaksOff(folder), NOTHING)
    assert [len(open_row({"shard": next(shards)["shard"][0]}).entries) for _ in range(2)] == [2, 2]
    with pytest.raises(ScaleError, match=r"cannot be listed to the end \(503 Slow Down\): the same command goes on"):
        next(shards)


def test_one_execution_alone_gets_the_ticket():
    keeper = Keeper({"model": b"weights"})
    assert [keeper.take_ticket() for _ in range(3)] == [True, False, False]
    assert keeper.model() == {"model": b"weights"}


def test_options_are_those_of_the_builtin_engine(run):
    config = ScaleConfig("s3://bucket/faces", "s3://bucket/scores", run=run, threshold=0.25)
    detector, sha256 = load_detector(config.model_options)
    assert detector.threshold == 0.25
    assert sha256 == hashlib.sha256((run / "best.safetensors").read_bytes()).hexdigest()
    with pytest.raises(ScaleError, match="--workers 0: choose 1 or more"):
        ScaleConfig("faces", "scores", workers=0)
    with pytest.raises(Exception, match="--threshold 7: choose a probability"):
        ScaleConfig("faces", "scores", threshold=7)
