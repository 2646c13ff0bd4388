import hashlib
import os

import pytest

from artifact_utils.files.writing import file_digest, part_of, write_bytes


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "scores.json"
    write_bytes(target, b"old")

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("artifact_utils.files.writing.os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(target, b"new")
    assert caught.value.filename == str(target)
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_a_leftover_under_the_temporary_name_is_not_written_through(tmp_path):
    picture, table = tmp_path / "a.png", tmp_path / "scores.csv"
    picture.write_bytes(b"picture")
    os.link(picture, part_of(table))
    write_bytes(table, b"table")
    assert picture.read_bytes() == b"picture"
    assert table.read_bytes() == b"table"


def test_digests_of_a_file_of_nothing_and_of_something_else(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert file_digest(tmp_path / "file") == hashlib.sha256(b"x").hexdigest()
    assert file_digest(tmp_path / "nothing") is None
    assert file_digest(tmp_path) != hashlib.sha256(b"").hexdigest()


@pytest.mark.skipif(not os.access("/proc/self/status", os.R_OK), reason="there is no /proc")
def test_files_without_an_end_have_a_digest(tmp_path):
    (tmp_path / "a.png").symlink_to("/proc/self/status")  # of size 0, like those of the kernel that never end
    assert file_digest(tmp_path / "a.png") == hashlib.sha256().hexdigest()
