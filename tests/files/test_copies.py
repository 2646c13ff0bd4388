import errno
import hashlib
import os

import pytest

from artifact_utils.files import copies, moves
from artifact_utils.files.copies import place, remove_empty
from artifact_utils.files.writing import FileError

DIGEST = hashlib.sha256(b"picture").hexdigest()


@pytest.mark.parametrize("mode", ["copy", "move", "link"])
@pytest.mark.parametrize("renames", [True, False])
def test_a_name_that_somebody_takes_meanwhile_is_not_replaced(tmp_path, monkeypatch, mode, renames):
    source, target = tmp_path / "source.png", tmp_path / "target.png"
    source.write_bytes(b"picture")
    digest = copies.file_digest

    def digest_while_somebody_writes(path):
        target.write_bytes(b"another")
        return digest(path)

    def no_such_rename(*_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    if not renames:
        monkeypatch.setattr(moves, "rename_to_free_name", no_such_rename)
    monkeypatch.setattr(copies, "file_digest", digest_while_somebody_writes)
    with pytest.raises(FileError, match="appeared meanwhile"):
        place(source, target, DIGEST, mode)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert content == {"source.png": b"picture", "target.png": b"another"}


def test_only_empty_files_are_taken_for_names_without_content(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "picture").write_bytes(b"picture")
    for name in ("link", "picture", "nothing"):
        remove_empty(tmp_path / name)
    assert (tmp_path / "link").is_file()
    assert (tmp_path / "picture").exists()
    remove_empty(tmp_path / "empty")
    assert not (tmp_path / "empty").exists()
