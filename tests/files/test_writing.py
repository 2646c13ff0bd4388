import hashlib
import os

import pytest

from artifact_utils.files.writing import FileError, file_digest, part_of, read_csv, write_bytes, write_csv


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "scores.json"
    write_bytes(target, b"old")

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("artifact_utils.files.writing.os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_a_leftover_under_the_temporary_name_is_not_written_through(tmp_path):
    picture, table = tmp_path / "a.png", tmp_path / "scores.csv"
    picture.write_bytes(b"picture")
    os.link(picture, part_of(table))
    write_bytes(table, b"table")
    assert picture.read_bytes() == b"picture"
    assert table.read_bytes() == b"table"


def test_tables_take_any_name_and_stay_untouched_when_nothing_changed(tmp_path):
    table = tmp_path / "table.csv"
    rows = [("a,\n'b'.png", "1"), ("stray \udcff byte.png", "2")]
    write_csv(table, ("path", "n"), rows)
    before = table.stat().st_mtime_ns
    write_csv(table, ("path", "n"), rows)
    assert table.stat().st_mtime_ns == before
    assert [tuple(row.values()) for row in read_csv(table, ("path", "n"))] == rows
    with pytest.raises(FileError, match="is not a CSV file with the columns path,label"):
        read_csv(table, ("path", "label"))


def test_digests_of_a_file_of_nothing_and_of_something_else(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert file_digest(tmp_path / "file") == hashlib.sha256(b"x").hexdigest()
    assert file_digest(tmp_path / "nothing") is None
    assert file_digest(tmp_path) != hashlib.sha256(b"").hexdigest()
