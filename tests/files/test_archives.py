"""Zip files from strangers: pictures come out, and nothing else happens."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from artifact_utils.files import archives
from artifact_utils.files.archives import ArchiveError, copy_bounded, unpack_pictures

SUFFIXES = (".png", ".jpg")


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def names_and_contents(archive: Path) -> list[tuple[str, bytes]]:
    folder = archive.with_suffix("")
    folder.mkdir(exist_ok=True)
    unpacked = list(unpack_pictures(archive, folder, SUFFIXES, lambda: 1_000_000))
    assert all(file.parent == folder and file.stat().st_size == n_bytes for _, file, n_bytes in unpacked)
    return [(name, file.read_bytes()) for name, file, _ in unpacked]


def test_pictures_come_out_under_the_last_part_of_their_name(tmp_path):
    entries = {"a/b.PNG": b"1", "../../etc/c.jpg": b"2", "C:\\d\\e.png": b"3", "/f.png": b"4", "notes.txt": b"5"}
    archive = zipped(tmp_path / "a.zip", entries | {"__MACOSX/._b.png": b"6", "inner.zip": b"7", "folder.png/": b""})
    assert names_and_contents(archive) == [("b.PNG", b"1"), ("c.jpg", b"2"), ("e.png", b"3"), ("f.png", b"4")]


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no end", b"x" * 100_000, b"PK\5\6" + bytes(10)])
def test_what_is_no_zip_says_so(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="no whole zip file: send it again"):
        names_and_contents(tmp_path / "a.zip")


def test_damaged_and_encrypted_zips_say_so(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", {"a.png": bytes(range(256)) * 40}).read_bytes())
    content[60] ^= 255
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="the zip is damaged"):
        names_and_contents(tmp_path / "damaged.zip")
    content = bytearray(zipped(tmp_path / "a.zip", {"a.png": b"1"}).read_bytes())
    listing = content.rindex(b"PK\1\2")
    content[listing + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="the zip is encrypted: make one without a password"):
        names_and_contents(tmp_path / "locked.zip")
    with pytest.raises(ArchiveError, match="compressed in an unusual way"):
        names_and_contents(zipped(tmp_path / "lzma.zip", {"a.png": b"1"}, zipfile.ZIP_LZMA))


def test_a_table_of_contents_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {f"{i}.png": b"" for i in range(100)})
    monkeypatch.setattr(archives, "MAX_LISTING_BYTES", 1000)
    with pytest.raises(ArchiveError, match="lists too many files"):
        names_and_contents(archive)
    content = archive.read_bytes()
    end = content.rindex(b"PK\5\6")
    (tmp_path / "b.zip").write_bytes(content[:end] + b"PK\6\7" + struct.pack("<LQL", 0, 0, 1) + content[end:])
    with pytest.raises(ArchiveError, match="larger than 4 GB, or made to look so"):
        names_and_contents(tmp_path / "b.zip")


def test_a_bomb_is_copied_up_to_its_bound_and_leaves_nothing(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"bomb.png": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match=r"bomb\.png is larger than 1,000,000 bytes: send a smaller one, or fewer"):
        names_and_contents(archive)
    assert not list((tmp_path / "a").iterdir())
    assert copy_bounded(io.BytesIO(b"abc"), tmp_path / "out", 3, "out") == 3
    with pytest.raises(FileExistsError):
        copy_bounded(io.BytesIO(b"abc"), tmp_path / "out", 3, "out")
    assert (tmp_path / "out").read_bytes() == b"abc"


def test_names_that_are_no_text_say_so(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"é.png": b"picture"})
    archive.write_bytes(archive.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(ArchiveError, match="the zip is damaged"):
        names_and_contents(archive)
