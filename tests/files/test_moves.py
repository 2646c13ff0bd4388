import errno
import hashlib
import os

import pytest

from artifact_utils.files import moves
from artifact_utils.files.moves import Content, OpenFolder, move, new_part_name, settle
from artifact_utils.files.writing import FileError


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "from" / "part").mkdir(parents=True)
    (tmp_path / "from" / "part" / "a.png").write_bytes(b"picture")
    (tmp_path / "to").mkdir()
    with OpenFolder(tmp_path / "from") as source, OpenFolder(tmp_path / "to") as target:
        yield source, target


CONTENT = Content(7, hashlib.sha256(b"picture").hexdigest())


def refuse(code):
    def function(*_, **__):
        raise OSError(code, os.strerror(code))

    return function


@pytest.fixture(params=["rename", "copy", "copy without links"])
def drive(request, monkeypatch):
    if request.param != "rename":
        monkeypatch.setattr(moves, "rename_to_free_name", refuse(errno.EXDEV))
    if request.param == "copy without links":
        monkeypatch.setattr(moves.os, "link", refuse(errno.EPERM))


def test_a_move_keeps_content_mode_and_time_and_makes_folders(folders, tmp_path, drive):
    source, target = folders
    before = (tmp_path / "from/part/a.png").stat()
    move(source, b"part/a.png", target, b"deep/er/b\r.png", CONTENT, new_part_name())
    after = (tmp_path / "to/deep/er/b\r.png").stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, 7)
    assert os.listdir(tmp_path / "from/part") == []  # noqa: PTH208
    assert os.listdir(tmp_path / "to/deep/er") == ["b\r.png"]  # noqa: PTH208


def test_a_move_never_replaces_a_name(folders, tmp_path, drive):
    source, target = folders
    (tmp_path / "to" / "a.png").write_bytes(b"another")
    with pytest.raises(FileError, match=r"'a.png' is taken"):
        move(source, b"part/a.png", target, b"a.png", CONTENT, new_part_name())
    assert (tmp_path / "to" / "a.png").read_bytes() == b"another"
    assert (tmp_path / "from/part/a.png").read_bytes() == b"picture"
    assert len(list((tmp_path / "to").iterdir())) == 1


@pytest.mark.parametrize("code", [None, errno.EINVAL])
@pytest.mark.parametrize("links", [None, errno.EPERM])
def test_a_name_is_given_only_if_it_is_free(folders, tmp_path, monkeypatch, code, links):
    if code:
        monkeypatch.setattr(moves, "rename_to_free_name", refuse(code))
    if links:
        monkeypatch.setattr(moves.os, "link", refuse(links))
    target, inside = folders[1], tmp_path / "to"
    (inside / "taken").write_bytes(b"another")
    for name in ("part", "part2"):
        (inside / name).write_bytes(b"picture")
    with pytest.raises(FileExistsError):
        moves.give_free_name(target.descriptor, b"part", b"taken")
    moves.give_free_name(target.descriptor, b"part2", b"free")
    content = {path.name: path.read_bytes() for path in inside.iterdir()}
    assert content == {"taken": b"another", "part": b"picture", "free": b"picture"}


@pytest.mark.parametrize("path", [b"../a.png", b"/etc/passwd", b"part/../../a.png", b"", b"a\0", b"part//a.png"])
def test_no_path_leads_out_of_a_folder(folders, path):
    source, target = folders
    with pytest.raises(FileError, match="not a path below a folder"):
        source.content(path)
    with pytest.raises(FileError, match="not a path below a folder"):
        move(source, b"part/a.png", target, path, CONTENT, new_part_name())


def test_links_lead_nowhere(folders, tmp_path):
    source, target = folders
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "from" / "link").symlink_to("part")
    (tmp_path / "from" / "link.png").symlink_to("part/a.png")
    (tmp_path / "to" / "link").symlink_to(tmp_path / "elsewhere")
    for path in (b"link/a.png", b"link.png"):
        assert source.content(path) is None
        with pytest.raises(FileError, match="no regular file"):
            move(source, path, target, b"a.png", CONTENT, new_part_name())
    with pytest.raises(FileError, match="gone or a link now"):
        move(source, b"part/a.png", target, b"link/a.png", CONTENT, new_part_name())
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_copy_that_differs_from_what_was_written_down_is_not_kept(folders, tmp_path, monkeypatch):
    source, target = folders
    monkeypatch.setattr(moves, "rename_to_free_name", refuse(errno.EXDEV))
    (tmp_path / "from/part/a.png").write_bytes(b"changed")
    with pytest.raises(FileError, match="changed while it was copied"):
        move(source, b"part/a.png", target, b"a.png", CONTENT, new_part_name())
    assert (tmp_path / "from/part/a.png").read_bytes() == b"changed"
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize(
    ("here", "there", "is_there"),
    [
        (b"picture", None, False),  # nothing was done yet
        (None, b"picture", True),  # all but the note that it is done
        (None, b"edited since", True),
        (b"picture", b"picture", True),  # copied, and not yet removed
        (b"picture", b"", False),  # the name is taken, and not yet given to the copy
        (b"picture", b"of somebody else", False),
        (b"edited since", b"picture", False),
    ],
)
def test_what_a_kill_has_left_is_finished_or_taken_back(folders, tmp_path, here, there, is_there):
    source, target = folders
    part = new_part_name()
    (tmp_path / "to" / part).write_bytes(b"pic")
    old, new = tmp_path / "from/part/a.png", tmp_path / "to/a.png"
    for path, content in ((old, here), (new, there)):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    assert settle(source, b"part/a.png", target, b"a.png", CONTENT, part) == is_there
    assert not (tmp_path / "to" / part).exists()
    assert old.exists() == (here is not None and not is_there)
    assert new.exists() == (is_there or there == b"of somebody else" or here == b"edited since")


def test_a_picture_that_is_replaced_while_it_is_copied_stays(folders, tmp_path, monkeypatch):
    """As by a program that saves a new file under the name of the old one."""
    source, target = folders
    give = moves.give_free_name

    def give_and_save(*arguments):
        give(*arguments)
        (tmp_path / "from/part/new").write_bytes(b"edited")
        (tmp_path / "from/part/new").replace(tmp_path / "from/part/a.png")

    monkeypatch.setattr(moves, "rename_to_free_name", refuse(errno.EXDEV))
    monkeypatch.setattr(moves, "give_free_name", give_and_save)
    with pytest.raises(FileError, match=r"'a.png' was replaced while it was copied"):
        move(source, b"part/a.png", target, b"a.png", CONTENT, new_part_name())
    assert (tmp_path / "from/part/a.png").read_bytes() == b"edited"
    assert not any((tmp_path / "to").iterdir())


def test_the_copy_stays_where_the_picture_is_gone_already(folders, tmp_path, monkeypatch):
    """As on a network drive that removes it, loses the answer and is asked again."""
    source, target = folders
    unlink = os.unlink

    def unlink_twice(name, **options):
        unlink(name, **options)
        if name == b"a.png":
            unlink(name, **options)

    monkeypatch.setattr(moves, "rename_to_free_name", refuse(errno.EXDEV))
    monkeypatch.setattr(moves.os, "unlink", unlink_twice)
    move(source, b"part/a.png", target, b"a.png", CONTENT, new_part_name())
    assert (tmp_path / "to" / "a.png").read_bytes() == b"picture"
