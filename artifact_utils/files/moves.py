"""Moving a file from one opened folder to another: never over another file, never through a link, whole at any moment.

Both folders are opened once; everything below them is reached from there, name by name, following no links: a
subfolder that somebody swaps for a link meanwhile leads nowhere. The caller writes down what it is going to move,
moves, and notes that it is done; after a kill in between, `settle` finishes a move or takes it back.

Names are bytes here, as they are to the file system.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from artifact_utils.files.writing import FileError

RENAME_NOREPLACE = 1
NOT_HERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors that say: no such name, one that only a link leads to, or one that no file can have."""
NO_SUCH_RENAME = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors that say: across file systems, or not on this one."""
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Content(NamedTuple):
    """What a regular file holds."""

    size: int
    """Bytes."""
    sha256: str


class OpenFolder:
    """A folder that was opened once; paths below it are relative, bytes, with ``/`` between the names.

    Args:
        path: of the folder; links in it are followed, as the user has named it.
        create: make it and those above it where they are missing.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if create:
            path.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> "OpenFolder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @contextlib.contextmanager
    def parent(self, path: bytes, *, create: bool = False) -> Iterator[tuple[int, bytes]]:
        """The opened folder that holds ``path``, and the last name of it.

        Raises:
            FileError: the path leads out of the folder.
            OSError: there is no such folder, or one of the names is a link.
        """
        *folders, name = _names(path)
        descriptor = os.dup(self.descriptor)
        try:
            for folder in folders:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=descriptor)
                below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor, name
        finally:
            os.close(descriptor)

    def status(self, path: bytes) -> os.stat_result | None:
        """``lstat`` of what is there; None if nothing is."""
        try:
            with self.parent(path) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in NOT_HERE:
                return None
            raise

    def is_file(self, path: bytes) -> bool:
        """Whether a regular file is there; a link to one is none."""
        status = self.status(path)
        return status is not None and stat.S_ISREG(status.st_mode)

    def content(self, path: bytes) -> Content | None:
        """Size and hash of a regular file; None if there is none."""
        try:
            with self.parent(path) as (folder, name), _opened(folder, name) as descriptor:
                return _content(descriptor)
        except OSError as error:
            if error.errno in NOT_HERE:
                return None
            raise

    def remove(self, path: bytes) -> None:
        """Remove a file, if it is there."""
        try:
            with self.parent(path) as (folder, name):
                os.unlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise

    def remove_empty_folders(self, path: bytes) -> None:
        """Remove the folders that hold ``path``, below this one, as long as they are empty."""
        names = _names(path)[:-1]
        with contextlib.suppress(OSError):
            while names:
                with self.parent(b"/".join(names)) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
                names = names[:-1]

    def sync(self, paths: Iterable[bytes]) -> None:
        """Make the names in the folders that hold these paths durable."""
        for path in {path.rpartition(b"/")[0]: path for path in paths}.values():
            with contextlib.suppress(OSError), self.parent(path) as (folder, _):  # not every file system can
                os.fsync(folder)


def new_part_name() -> str:
    """A name that nobody else has, for a file that is being copied."""
    return f".artifact_utils.{secrets.token_hex(8)}.part"


def beside(path: bytes, name: str) -> bytes:
    """The path of that name in the same folder."""
    folder, slash, _ = path.rpartition(b"/")
    return folder + slash + name.encode()


def move(source: OpenFolder, path: bytes, target: OpenFolder, new_path: bytes, expected: Content, part: str) -> None:
    """Move a regular file to a name that is free.

    Args:
        source: opened folder that the file is in.
        path: of the file in there.
        target: opened folder to move it to; folders below it are made.
        new_path: of the file in there.
        expected: what the file holds; it is checked where the file has to be copied.
        part: name for the copy while it is not whole, from ``new_part_name``.

    Raises:
        FileError: there is no such regular file any more, it has changed, or the new name is taken.
        OSError: the disk is full, a folder cannot be written, and the like.
    """
    shown = os.fsdecode(path)
    if not source.is_file(path):
        raise FileError(f"{shown!r} is no regular file in {source.path} any more")
    try:
        with source.parent(path) as (from_folder, name), target.parent(new_path, create=True) as (to_folder, new_name):
            try:
                rename_to_free_name(from_folder, name, to_folder, new_name)
            except OSError as error:
                if error.errno not in NO_SUCH_RENAME:
                    raise
                _copy_and_remove(from_folder, name, to_folder, new_name, expected, part.encode())
    except FileExistsError as error:
        raise FileError(f"{os.fsdecode(new_path)!r} is taken in {target.path}: {shown!r} was not moved") from error
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
        raise FileError(f"{shown!r} in {source.path} or its place in {target.path} is gone or a link now") from error


def settle(
    source: OpenFolder | None, path: bytes, target: OpenFolder | None, new_path: bytes, expected: Content, part: str
) -> bool:
    """Finish a move that was killed, or take it back; returns whether the file is at its new place.

    Arguments are those of `move`, None for a folder that is gone. Nothing may have been at the new place when the move
    was written down.
    """
    if target is None:
        return False
    target.remove(beside(new_path, part))
    there = target.status(new_path)
    if there is None or not stat.S_ISREG(there.st_mode):
        return False
    here = None if source is None else source.status(path)
    if source is None or here is None:
        return True
    if not stat.S_ISREG(here.st_mode) or source.content(path) != expected:
        return False
    if there.st_size == 0 < expected.size:  # killed while it got its last name; see `give_free_name`
        target.remove(new_path)
        return False
    if target.content(new_path) == expected:  # killed between placing the copy and removing the source
        if os.path.samestat(here, there) and here.st_nlink < 2:
            return True
        try:
            source.remove(path)
        except OSError:  # it may not be removed: so it stays, and the copy goes
            target.remove(new_path)
            return False
        return True
    return False


def rename_to_free_name(from_folder: int, name: bytes, to_folder: int, new_name: bytes) -> None:
    """Rename in one step, unless the new name is taken.

    Raises:
        FileExistsError: it is.
        OSError: of ``NO_SUCH_RENAME``, where the file system has no such thing.
    """
    rename = getattr(_libc(), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(from_folder, name, to_folder, new_name, RENAME_NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(new_name))


def give_free_name(folder: int, part: bytes, name: bytes) -> None:
    """Rename a file in its folder, unless the new name is taken.

    A drive may have neither such renames nor links. There, the name is taken by an empty file of our own, which the
    rename replaces; a kill in between leaves that.

    Raises:
        FileExistsError: it is.
    """
    try:
        return rename_to_free_name(folder, part, folder, name)
    except OSError as error:
        if error.errno not in NO_SUCH_RENAME:
            raise
    try:
        os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.unlink(part, dir_fd=folder)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _copy_and_remove(
    from_folder: int, name: bytes, to_folder: int, new_name: bytes, expected: Content, part: bytes
) -> None:
    """Copy to a fresh name, verify, give the copy its last name, if that is free, and remove the original."""
    if not os.access(b".", os.W_OK, dir_fd=from_folder):
        raise PermissionError(errno.EACCES, "nothing can be removed from its folder", os.fsdecode(name))
    with _opened(from_folder, name) as source:
        copied = _version(os.fstat(source))
        try:
            _copy_to_fresh_name(source, to_folder, part, expected)
            give_free_name(to_folder, part, new_name)
        except OSError as error:
            if error.filename is None:  # a full disk names no file
                error.filename = os.fsdecode(new_name)
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=to_folder)
    with contextlib.suppress(OSError):  # not every file system can
        os.fsync(to_folder)
    try:
        now = os.stat(name, dir_fd=from_folder, follow_symlinks=False)
        if _version(now) != copied:
            raise FileError(f"{os.fsdecode(name)!r} was replaced while it was copied: run again")
        os.unlink(name, dir_fd=from_folder)
    except FileNotFoundError:  # somebody has removed it, or a network drive was asked twice: this is the only copy
        return
    except (OSError, FileError):
        os.unlink(new_name, dir_fd=to_folder)
        raise


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _copy_to_fresh_name(source: int, folder: int, name: bytes, expected: Content) -> None:
    status = os.fstat(source)
    copy = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    try:
        os.lseek(source, 0, os.SEEK_SET)
        with os.fdopen(os.dup(source), "rb") as reader, os.fdopen(os.dup(copy), "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        with contextlib.suppress(OSError):  # not every drive keeps modes and times
            os.fchmod(copy, stat.S_IMODE(status.st_mode))
            os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(copy)
        if _content(copy) != expected or _content(source) != expected:
            raise FileError(f"{os.fsdecode(name)!r} changed while it was copied: run again")
    except BaseException:  # Ctrl-C, too; it is raised again
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(copy)


@contextlib.contextmanager
def _opened(folder: int, name: bytes) -> Iterator[int]:
    """A regular file, opened for reading.

    Raises:
        OSError: ``ENOENT``, if it is anything else.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)  # a pipe would block
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", os.fsdecode(name))
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> Content:
    os.lseek(descriptor, 0, os.SEEK_SET)
    sha256, size = hashlib.sha256(), 0
    while chunk := os.read(descriptor, 1 << 20):
        sha256.update(chunk)
        size += len(chunk)
    return Content(size, sha256.hexdigest())


def _names(path: bytes) -> list[bytes]:
    names = path.split(b"/")
    if not path or not {b"", b".", b".."}.isdisjoint(names) or b"\0" in path:
        raise FileError(f"{os.fsdecode(path)!r} is not a path below a folder")
    return names
