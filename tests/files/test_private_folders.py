"""Temporary folders of this process, and those that killed ones have left."""

from artifact_utils.files.private_folders import make_private_folder


def test_folders_of_processes_that_are_gone_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = "artifact_utils.some.999999999.abc", "artifact_utils.some.1.abc", "artifact_utils.other.999999999.abc"
    for name in names:
        (tmp_path / name).mkdir()
    made = make_private_folder("some")
    assert made.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*names[1:], made.name))
