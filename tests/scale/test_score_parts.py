"""The log of parts: who may append to it, what is known from it, and what is taken out."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from artifact_utils.predictions import Place, Prediction
from artifact_utils.scale import ScaleError
from artifact_utils.scale.score_parts import About, ScoreParts, find_digests
from artifact_utils.scale.stages import score_rows
from artifact_utils.scale.stores import Entry, LocalStore

ABOUT = About("/faces", "0123", 0.5, ("hands",), ("hands", "gaze"), 2.0)


def rows(*names, about=ABOUT, mtime_ns=1):
    entries = tuple(Entry(f"{name}.png", 10, mtime_ns) for name in names)
    place = Place(5, 6, 1, 2, 9, 8)
    said = Prediction(0.75, True, "hands", {"hands": 0.75, "gaze": 0.5}, {"hands": place})
    return score_rows(entries, [said] * len(entries), about)


@pytest.fixture
def parts(tmp_path):
    return ScoreParts(LocalStore(tmp_path / "scores"), ABOUT)


def test_rows_say_what_was_scored_and_what_was_found(parts, tmp_path):
    entries = (Entry("a.png", 10, 1, "tag"), Entry("b\udcff.png", 11, 2), Entry("c.png", 12, 3))
    said = Prediction(0.75, True, "hands", {"hands": 0.75, "gaze": 0.5}, {"hands": Place(5, 6, 1, 2, 9, 8)})
    small = Prediction(float("nan"), False, too_small=True)
    parts.append(score_rows(entries, [said, "empty file", small], ABOUT))
    first, second, third = pq.read_table(tmp_path / "scores" / "part-00000000.parquet").to_pylist()
    assert first == {
        "path": "a.png", "size": 10, "mtime_ns": 1, "etag": "tag", "probability": 0.75, "family": "hands",
        "place": {"x": 5, "y": 6, "left": 1, "top": 2, "right": 9, "bottom": 8}, "flagged": True, "reason": "",
        "model": "0123", "families": {"hands": 0.75, "gaze": 0.5},
    }  # fmt: skip
    assert (second["path"], second["probability"], second["flagged"]) == ("b\\udcff.png", None, None)
    assert (second["reason"], third["reason"]) == ("empty file", "too small")
    counts = parts.count()
    assert (counts.n, counts.flagged, counts.unreadable, counts.too_small) == (3, 1, 1, 1)


def test_what_is_written_is_known_to_the_next_run(parts):
    parts.append(rows("a", "b"))
    parts.append(rows("c"))
    known = ScoreParts(parts.store, ABOUT).known()
    asked = [Entry("c.png", 10, 1), Entry("c.png", 11, 1), Entry("b.png", 10, 1), Entry("d.png", 10, 1)]
    places = find_digests(known.digests, np.array([entry.digest() for entry in asked], known.digests.dtype))
    assert (places >= 0).tolist() == [True, False, True, False]
    assert known.parts[places[[0, 2]]].tolist() == [1, 0]


def test_rows_that_were_not_seen_are_taken_out(parts):
    parts.append(rows("a", "b"))
    parts.append(rows("c"))
    known = parts.known()
    seen = np.array([Entry("b.png", 10, 1).digest(), Entry("c.png", 10, 1).digest()], known.digests.dtype)
    known.seen[find_digests(known.digests, seen)] = True
    assert parts.forget_unseen(known) == 1
    assert parts.count().n == 2
    assert parts.forget_unseen(parts.known()) == 2  # none was seen


def test_of_two_runs_only_one_can_append(parts, tmp_path):
    other = ScoreParts(parts.store, ABOUT)
    parts.append(rows("a"))
    with pytest.raises(ScaleError, match="another run is at work on"):
        other.append(rows("a"))
    assert other.known().digests.tolist() == [Entry("a.png", 10, 1).digest().rstrip(b"\0")]
    other.append(rows("b"))  # it has read the part of the other now
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == [
        "_about.json", "part-00000000.parquet", "part-00000001.parquet",
    ]  # fmt: skip


def test_a_store_that_takes_no_more_is_an_error_and_the_same_run_can_go_on(parts, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(LocalStore, "put", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ScaleError, match=r"cannot be written to \(No space left on device\): the same command"):
            parts.append(rows("a"))
    parts.append(rows("a"))
    assert parts.count().n == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "/hands"}, "has the scores of /faces: name another folder"),
        ({"model": "4567"}, "has the scores of another model: name another folder"),
        ({"threshold": 0.7}, "was flagged from 0.5 of hands on: ask for the same"),
        ({"counted": ("gaze",)}, "was flagged from 0.5 of hands on"),
    ],
)
def test_scores_of_something_else_are_left_alone(parts, change, message):
    parts.append(rows("a"))
    with pytest.raises(ScaleError, match=message):
        ScoreParts(parts.store, replace(ABOUT, **change))
    assert ScoreParts(parts.store, ABOUT).count().n == 1


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ScaleError, match=r"holds other things, such as 'notes.txt': name an empty folder"):
        ScoreParts(LocalStore(tmp_path), ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 3, "counted": [], "families": []}'])
def test_a_damaged_description_is_an_error(parts, text):
    (parts.store.folder / "_about.json").write_text(text)
    with pytest.raises(ScaleError, match="name another folder"):
        ScoreParts(parts.store, ABOUT)


def test_a_damaged_part_is_an_error(parts):
    (parts.store.folder / "part-00000000.parquet").write_bytes(b"no parquet")
    with pytest.raises(ScaleError, match=r"part-00000000.parquet in .* cannot be read"):
        ScoreParts(parts.store, ABOUT).known()
