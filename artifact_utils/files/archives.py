"""Taking pictures out of a zip that may be hostile: bounded in number, bytes and memory, its names never followed."""

import errno
import secrets
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from artifact_utils.files.writing import FileError

MAX_LISTING_BYTES = 1 << 22
"""Of a zip file's table of contents, which is read whole: some 40,000 names."""
_END, _END_BYTES, _ZIP64 = b"PK\5\6", 22, b"PK\6\7"
_PIECE = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ArithmeticError,
    ValueError, LookupError,
)  # fmt: skip
"""What zipfile raises of bytes that are no zip, names that are no text included."""


class ArchiveError(FileError):
    """A zip file that cannot be used; the message says why."""


def unpack_pictures(
    archive: Path, folder: Path, suffixes: tuple[str, ...], max_bytes: Callable[[], int]
) -> Iterator[tuple[str, Path, int]]:
    """Unpack the files of a zip that have one of the suffixes, each to a new file with a name of ours.

    Args:
        archive: the zip.
        folder: where they go.
        suffixes: in small letters.
        max_bytes: asked before each picture how large it may be.

    Yields:
        The last part of its name in the zip, the file, and how many bytes it has.

    Raises:
        ArchiveError: it is damaged or encrypted, its table of contents is too large, or a picture is.
    """
    _check_listing(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                name = PurePosixPath(entry.filename.replace("\\", "/")).name
                if entry.is_dir() or name.startswith(".") or PurePosixPath(name).suffix.lower() not in suffixes:
                    continue
                if entry.flag_bits & 1:
                    raise ArchiveError("the zip is encrypted: make one without a password")
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others may take gigabytes
                    raise ArchiveError("the zip is compressed in an unusual way: make a usual one")
                target = folder / secrets.token_hex(8)
                with opened.open(entry) as content:
                    n_bytes = copy_bounded(content, target, max_bytes(), name)
                yield name, target, n_bytes
    except _DAMAGED as error:
        raise ArchiveError(f"the zip is damaged ({error}): make it anew") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a place in the file that there is not
            raise
        raise ArchiveError("the zip is damaged: make it anew") from error


def _check_listing(archive: Path) -> None:
    with archive.open("rb") as file:
        file.seek(0, 2)
        n_bytes = file.tell()
        file.seek(max(0, n_bytes - _END_BYTES - 65_535 - 20))
        tail = file.read()
    end = tail.rfind(_END)
    if end == -1 or len(tail) < end + _END_BYTES:
        raise ArchiveError("this is no whole zip file: send it again")
    if tail[max(0, end - 20) : end].startswith(_ZIP64):
        raise ArchiveError("the zip is larger than 4 GB, or made to look so: send fewer pictures at once")
    if int.from_bytes(tail[end + 12 : end + 16], "little") > MAX_LISTING_BYTES:
        raise ArchiveError("the zip lists too many files: send fewer pictures at once")


def copy_bounded(source: IO[bytes], target: Path, max_bytes: int, name: str) -> int:
    """Copy what can be read to a new file; returns how many bytes. Nothing stays of what is larger.

    Raises:
        ArchiveError: it is larger than that.
    """
    n_bytes = 0
    with target.open("xb") as file:
        try:
            while piece := source.read(_PIECE):
                n_bytes += len(piece)
                if n_bytes > max_bytes:
                    raise ArchiveError(f"{name} is larger than {max_bytes:,} bytes: send a smaller one, or fewer")
                file.write(piece)
        except BaseException:  # Ctrl-C, too; it is raised again
            target.unlink(missing_ok=True)
            raise
    return n_bytes
