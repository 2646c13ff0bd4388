import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from helpers import draw_portrait

from artifact_utils import squares as cache
from artifact_utils.files.locks import output_lock
from artifact_utils.images import ImageError
from artifact_utils.squares import decode, decode_squares, decode_stream

SIZE = 16
ROW = 3 * SIZE**2


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / f"portrait_{i}.png" for i in range(6)]
    for i, path in enumerate(files):
        draw_portrait(path, seed=i, artifact=False)
    return files


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names = []
    original = cache.decode_image

    def spy(content, name, **options):
        names.append(Path(name).name)
        return original(content, name, **options)

    monkeypatch.setattr(cache, "decode_image", spy)
    return names


def assert_right(squares, paths):
    assert all(torch.equal(squares[path], decode(path, SIZE)) for path in paths)


def test_every_file_is_decoded_once_and_the_pixels_are_the_same(paths, folder, decoded):
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)
    assert sorted(decoded) == sorted(path.name for path in paths)
    decoded.clear()
    again = decode_squares(paths, SIZE, folder=folder)
    assert_right(again, paths)
    assert len(again.rows) == 6 and not decoded


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read."""
    names = []
    original = cache.read_file

    def spy(path):
        names.append(Path(path).name)
        return original(path)

    monkeypatch.setattr(cache, "read_file", spy)
    return names


def settle(monkeypatch):
    """Let all changes be old enough for the time of a file to tell the next one."""
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1)


def test_a_file_that_did_not_change_is_not_even_read_again(paths, folder, read, decoded, monkeypatch):
    settle(monkeypatch)
    decode_squares(paths, SIZE, folder=folder)
    read.clear()
    decoded.clear()
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)
    assert not read and not decoded
    draw_portrait(paths[0], seed=77, artifact=False)
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)
    assert read == decoded == [paths[0].name]


def test_a_file_that_changed_only_just_now_is_read_again(paths, folder, read):
    decode_squares(paths, SIZE, folder=folder)
    read.clear()
    decode_squares(paths, SIZE, folder=folder)
    assert sorted(read) == sorted(path.name for path in paths)


def test_the_folder_can_be_moved_together_with_its_cache(tmp_path, read, decoded, monkeypatch):
    settle(monkeypatch)
    first, second = tmp_path / "first", tmp_path / "second"
    draw_portrait(first / "portrait.png", seed=0, artifact=False)
    decode_squares([first / "portrait.png"], SIZE, folder=first / ".cache")
    first.rename(second)
    read.clear()
    decoded.clear()
    assert_right(decode_squares([second / "portrait.png"], SIZE, folder=second / ".cache"), [second / "portrait.png"])
    assert not read and not decoded


@pytest.mark.parametrize("settled", [False, True])
def test_a_changed_file_is_decoded_anew_even_where_its_size_and_time_are_not(
    paths, folder, decoded, settled, monkeypatch
):
    """The time is set back, as ``cp -p`` and ``rsync`` do; the new content is that of another picture, padded."""
    if settled:
        settle(monkeypatch)
    contents = [path.read_bytes() for path in paths[:2]]
    size = max(map(len, contents))
    for path, content in zip(paths, contents, strict=False):
        path.write_bytes(content + bytes(size - len(content)))  # PNG readers stop at the end mark
    decode_squares(paths, SIZE, folder=folder)
    before = paths[0].stat()
    draw_portrait(paths[0], seed=99, artifact=False)
    new = paths[0].read_bytes()
    paths[0].write_bytes(new + bytes(size - len(new)) if len(new) < size else new)
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    decoded.clear()
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)
    assert decoded == [paths[0].name]


def test_files_that_are_no_pictures_are_named_and_kept_out(paths, folder):
    paths[2].write_bytes(paths[2].read_bytes()[:90])
    squares = decode_squares(paths, SIZE, folder=folder)
    assert list(squares.errors) == [paths[2]]
    assert_right(squares, [*paths[:2], *paths[3:]])


@pytest.mark.parametrize("damage", ["torn line", "no checksum", "pixels lost", "other decoder", "no index", "no data"])
def test_what_a_crash_leaves_behind_is_found_out(paths, folder, damage):
    decode_squares(paths, SIZE, folder=folder)
    data, index = folder / f"squares-{SIZE}.bin", folder / f"squares-{SIZE}.txt"
    if damage == "torn line":
        index.write_bytes(index.read_bytes()[:-5])
    elif damage == "pixels lost":  # the line is there, its row is not
        data.write_bytes(data.read_bytes()[: -ROW // 2] + bytes(ROW // 2))
    elif damage == "other decoder":
        index.write_text(index.read_text().replace("Pillow", "Willow"))
    elif damage == "no checksum":
        header, first, *others = index.read_text().splitlines()
        index.write_text("\n".join([header, first[:-8] + "checksum", *others, ""]))
    elif damage == "no index":
        index.unlink()
    else:
        data.unlink()
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)


CHILD = """
import sys
from pathlib import Path
from artifact_utils.squares import decode_squares
decode_squares(sorted(Path(sys.argv[1]).glob("*.png")), 16, folder=Path(sys.argv[2]))
"""


def test_killed_while_it_decodes_it_goes_on_where_it_was(tmp_path, folder, decoded):
    for i in range(60):
        draw_portrait(tmp_path / f"portrait_{i:03d}.png", seed=i, artifact=False, size=400)
    index = folder / f"squares-{SIZE}.txt"
    process = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path, folder])
    while process.poll() is None and not (index.exists() and index.read_text().count("\n") > 5):
        threading.Event().wait(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL  # it was not done yet
    paths = sorted(tmp_path.glob("*.png"))
    assert_right(decode_squares(paths, SIZE, folder=folder), paths)
    assert 0 < len(decoded) < 56


def test_the_folder_stays_within_its_size_and_what_does_not_fit_is_decoded_at_each_use(paths, folder, caplog):
    squares = decode_squares(paths, SIZE, folder=folder, max_bytes=4 * ROW)
    assert_right(squares, paths)
    assert len(squares.rows) == 4
    assert "full: 2 pictures" in caplog.text
    assert (folder / f"squares-{SIZE}.bin").stat().st_size == 4 * ROW


def test_rows_of_files_that_are_gone_make_room(paths, folder):
    first = decode_squares(paths[:4], SIZE, folder=folder, max_bytes=4 * ROW)
    pixels = first[paths[0]].clone()
    second = decode_squares(paths[2:], SIZE, folder=folder, max_bytes=4 * ROW)
    assert len(second.rows) == 4
    assert_right(second, paths[2:])
    assert torch.equal(first[paths[0]], pixels)  # who has the old file mapped keeps it
    assert (folder / f"squares-{SIZE}.bin").stat().st_size == 4 * ROW


def test_another_size_that_was_not_used_for_longer_is_given_up(paths, folder):
    decode_squares(paths, 32, folder=folder, max_bytes=100 * ROW)
    decode_squares(paths, SIZE, folder=folder, max_bytes=40 * ROW)
    names = {f"squares-{SIZE}.bin", f"squares-{SIZE}.txt", "squares-files.txt"}
    assert {file.name for file in folder.iterdir()} <= names


def test_hashes_are_noted_before_the_end(paths, folder, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 0)
    monkeypatch.setattr(cache, "WRITE_SECONDS", -1)
    write = cache._Store._write

    def stop_at_the_last(store, row, pixels):
        if row == 5:
            raise KeyboardInterrupt
        write(store, row, pixels)

    monkeypatch.setattr(cache._Store, "_write", stop_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        decode_squares(paths, SIZE, folder=folder)
    assert (folder / "squares-files.txt").read_text()


def test_hashes_of_files_that_are_gone_go(paths, folder, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 0)
    odd = paths[0].rename(paths[0].with_name("sp ace \udcff.png"))
    decode_squares([odd, *paths[1:]], SIZE, folder=folder)
    table = folder / "squares-files.txt"
    assert len(table.read_text().splitlines()) == 6
    paths[1].unlink()
    draw_portrait(paths[2], seed=99, artifact=False)
    decode_squares(paths[2:], SIZE, folder=folder)
    assert [name in table.read_text() for name in ("sp%20ace%20%FF.png", paths[1].name, paths[2].name)] == [1, 0, 1]


def test_a_folder_that_cannot_be_written_is_said_and_memory_serves(paths, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    squares = decode_squares(paths, SIZE, folder=blocked / "cache")
    assert_right(squares, paths)
    assert len(squares.rows) == 6
    assert "no cache in" in caplog.text


def test_a_set_too_large_for_memory_is_decoded_at_each_use(paths, monkeypatch):
    monkeypatch.setattr(cache, "MEMORY_BYTES", 0)
    squares = decode_squares(paths, SIZE)
    assert squares.pixels is None
    assert_right(squares, paths)


def test_a_second_process_waits_and_finds_everything_done(paths, folder, decoded):
    folder.mkdir()
    results = []
    with output_lock(folder, folder / cache.LOCK):
        second = threading.Thread(target=lambda: results.append(decode_squares(paths, SIZE, folder=folder)))
        second.start()
        second.join(0.1)
        assert not results
    second.join()
    assert_right(results[0], paths)
    assert not (folder / cache.LOCK).exists()


def test_the_stream_keeps_the_order_and_hands_on_errors(paths, tmp_path):
    files = paths * 15
    files.insert(70, tmp_path / "missing.png")
    results = list(decode_stream(iter(files), SIZE))
    assert [path for path, _ in results] == files
    assert [i for i, (_, tensor) in enumerate(results) if isinstance(tensor, ImageError)] == [70]
