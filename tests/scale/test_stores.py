"""Folders of this machine and of an S3 server, through the same functions."""

import os
import pickle
import threading

import pytest

from artifact_utils.images import ImageError
from artifact_utils.scale import ScaleError
from artifact_utils.scale.stores import open_store


@pytest.fixture(params=["local", "file", "memory", "s3"])
def store(request, tmp_path):
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_store("s3://bucket/faces")
    if request.param == "memory":
        import fsspec

        fsspec.filesystem("memory").store.clear()
    prefix = {"local": "", "file": "file://", "memory": "memory://"}[request.param]
    return open_store(f"{prefix}{tmp_path}/faces")


def test_pictures_are_listed_and_read_in_the_version_that_was_listed(store):
    for name in ("a.png", "note.txt", "b.JPG", ".png"):
        store.put(name, name.encode())
    assert sorted(entry.path for entry in store.entries()) == ["a.png", "b.JPG"]
    entry = store.entry("a.png")
    assert entry.digest() == next(e for e in store.entries() if e.path == "a.png").digest()
    assert (entry.size, store.read(entry)) == (5, b"a.png")
    store.put("a.png", b"another version, and longer")
    assert store.read(entry) is None
    assert store.read(store.entry("a.png")) == b"another version, and longer"
    store.put("b.JPG", b"x.JPG")  # of the same size
    if "memory" not in str(store):  # where the same second is the same version
        assert store.entry("b.JPG") != entry


def test_a_picture_that_is_gone_is_none_of_this_store(store):
    store.put("a.png", b"a")
    entry = store.entry("a.png")
    with pytest.raises(ImageError, match=r"no such file|No such file"):
        store.entry("b.png")
    if hasattr(store, "folder"):
        (store.folder / "a.png").unlink()
    else:
        system, folder = store._open()
        system.rm(f"{folder}/a.png")
    with pytest.raises(ImageError, match="no such file"):
        store.read(entry)


def test_a_new_file_is_written_once(store):
    assert store.names() == []
    store.put_new("part", b"one")
    with pytest.raises(FileExistsError):
        store.put_new("part", b"two")
    assert (store.get("part"), store.names()) == (b"one", ["part"])
    store.put("part", b"three")
    assert store.get("part") == b"three"


def test_a_store_can_be_opened_in_another_process(store):
    store.put("a.png", b"a")
    again = pickle.loads(pickle.dumps(store))
    assert (str(again), again.get("a.png")) == (str(store), b"a")


def test_an_empty_file_and_one_over_the_limit_are_told(store, monkeypatch):
    store.put("a.png", b"")
    assert store.read(store.entry("a.png")) == b""
    monkeypatch.setattr("artifact_utils.scale.stores.MAX_FILE_BYTES", 3)
    monkeypatch.setattr("artifact_utils.images.MAX_FILE_BYTES", 3)
    store.put("a.png", b"four")
    with pytest.raises(ImageError, match="is larger than 3 bytes"):
        store.read(store.entry("a.png"))


def test_a_write_whose_answer_was_lost_counts(s3):
    store = open_store("s3://bucket/scores")
    answered = []

    def lose_the_first_answer(method, path, query):
        if method == "PUT" and path.endswith("part") and not answered:
            answered.append(path)
            other = open_store("s3://bucket/scores")
            s3.faults = None
            other.put("part", b"one")  # it is there, and 503 is what comes back
            return True
        return False

    s3.faults = lose_the_first_answer
    store.put_new("part", b"one")
    assert answered and store.get("part") == b"one"


def test_what_cannot_be_opened_says_how(tmp_path, monkeypatch):
    with pytest.raises(ScaleError, match="cannot be opened"):
        open_store("nonsense://folder")
    with pytest.raises(ScaleError, match="no folder"):
        open_store(tmp_path / "nowhere").check()


def test_missing_credentials_and_buckets_are_one_sentence(s3, monkeypatch):
    with pytest.raises(ScaleError, match=r"s3://nowhere/faces cannot be read \(.*\): name a folder that is there"):
        open_store("s3://nowhere/faces").check()
    with pytest.raises(ScaleError, match="there is nothing in s3://bucket/faces: name a folder of portraits"):
        open_store("s3://bucket/faces").check()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    import fsspec

    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(ScaleError, match=r"cannot be read \(.*redentials.*\): set AWS_ACCESS_KEY_ID and AWS_SECRET"):
        open_store("s3://bucket/faces").check()
    assert "AWS_ACCESS_KEY_ID" not in os.environ


@pytest.mark.parametrize("fault", ["nobody answers", "the answer never comes"])
def test_a_store_without_an_answer_is_an_error_of_the_operating_system(fault, s3, monkeypatch):
    """So that a picture is asked for again by the next run, and a command ends with a sentence."""
    import fsspec

    fsspec.filesystem("s3").clear_instance_cache()
    store = open_store("s3://bucket/faces")
    store.put("a.png", b"a")
    entry = store.entry("a.png")
    answer = threading.Event()
    if fault == "nobody answers":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    else:
        s3.delay = lambda path: float(not answer.wait(60))
    impatient = {"config_kwargs": {"read_timeout": 0.1, "retries": {"max_attempts": 0}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", impatient)
    fsspec.filesystem("s3").clear_instance_cache()
    monkeypatch.setattr("artifact_utils.scale.stores.WRITE_SECONDS", 3)
    silent = open_store("s3://bucket/faces")
    monkeypatch.setattr(silent.system, "retries", 2)
    for ask in (
        lambda: list(silent.entries()),
        lambda: silent.read(entry),
        lambda: silent.entry("a.png"),
        silent.names,
        lambda: silent.put_new("b", b"b"),
    ):
        with pytest.raises(OSError, match=r"[Cc]onnect|[Tt]imeout"):
            ask()
    with pytest.raises(ScaleError, match=r"cannot be read \(.*\): look at the address \(AWS_ENDPOINT_URL\)"):
        silent.check()
    answer.set()
    fsspec.filesystem("s3").clear_instance_cache()
