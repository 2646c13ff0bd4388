"""Where pictures and scores lie: local folders, and whatever file system fsspec knows, such as S3.

``open_store`` gives the one that a path or URL names. Both kinds list pictures lazily, read one in the version that was
listed, and write whole files or none.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from artifact_utils.audit.picture_statistics import printable
from artifact_utils.console import os_error_text
from artifact_utils.files.moves import give_free_name, new_part_name
from artifact_utils.files.picture_limits import MAX_FILE_BYTES
from artifact_utils.files.writing import is_part, real_path, write_bytes
from artifact_utils.filtering.listing import is_named_like_a_picture, list_pictures
from artifact_utils.images import ImageError, read_file
from artifact_utils.scale.scale_options import INSTALL, ScaleError

LOCAL = ("file", "local")
DIGEST_BYTES = 16
WRITE_SECONDS = 600


@dataclass(frozen=True)
class Entry:
    """A picture in the version that was listed."""

    path: str
    """Below the folder, as the file system has it."""
    size: int
    mtime_ns: int
    """When it was changed, 0 where the file system does not say."""
    etag: str = ""
    """What an object store says of the content, if it says anything."""

    def digest(self) -> bytes:
        """Of the path and the version: two pictures, or two versions of one, have different ones."""
        return entry_digest(printable(self.path), self.size, self.mtime_ns, self.etag)


def entry_digest(path: str, size: int, mtime_ns: int, etag: str) -> bytes:
    """``Entry.digest`` of what a row of the scores has; an entity tag says more than a time, which is rounded."""
    text = f"{path}\0{size}\0{etag or mtime_ns}"
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


class Store(Protocol):
    """A folder somewhere; it can be pickled and opened in another process."""

    def __str__(self) -> str:
        """What errors call it, and what the scores remember."""

    def check(self) -> None:
        """Make sure that there is such a folder, and that it may be read.

        Raises:
            ScaleError: it is not so; the message says what can be done.
        """

    def entries(self) -> Iterator[Entry]:
        """Every picture below the folder, listed while it is asked for."""

    def entry(self, path: str) -> Entry:
        """A picture as it is now.

        Raises:
            ImageError: it is gone.
            OSError: of a file system that does not answer.
        """

    def read(self, entry: Entry) -> bytes | None:
        """The bytes of a picture; None where they are of another version than the entry.

        Raises:
            ImageError: it is gone, or cannot be read.
            OSError: of a file system that does not answer.
        """

    def names(self) -> list[str]:
        """Of the files in the folder itself; none where there is no such folder."""

    def get(self, name: str) -> bytes:
        """A file of the folder, whole."""

    def address(self, name: str) -> str:
        """Of a file of the folder, for DuckDB."""

    @property
    def system(self) -> Any | None:
        """The file system of fsspec that DuckDB has to be told of, if any."""

    def put(self, name: str, content: bytes) -> None:
        """Write a file, replacing what is there."""

    def put_new(self, name: str, content: bytes) -> None:
        """Write a file that is not there yet.

        Raises:
            FileExistsError: it is.
        """


def open_store(url: str | os.PathLike[str]) -> Store:
    """The store that a path or URL names.

    Raises:
        ScaleError: the file system is unknown, or its package is not installed.
    """
    text = os.fspath(url)
    protocol, separator, rest = text.partition("://")
    if not separator or protocol in LOCAL:
        return LocalStore(Path(rest if separator else text))
    return ObjectStore(text.rstrip("/"), {name: value for name, value in os.environ.items() if name[:4] == "AWS_"})


class LocalStore:
    """A folder of this machine, or one that all machines share under one path."""

    def __init__(self, folder: Path) -> None:
        self.folder = real_path(folder)

    def __str__(self) -> str:
        return str(self.folder)

    def check(self) -> None:
        if not self.folder.is_dir():
            raise ScaleError(f"no folder {self.folder}: name a folder of portraits")

    def entries(self) -> Iterator[Entry]:
        for path, status in list_pictures(self.folder, None):
            yield Entry(os.fsdecode(path), status.st_size, status.st_mtime_ns)

    def entry(self, path: str) -> Entry:
        try:
            status = (self.folder / path).stat()
        except OSError as error:
            raise ImageError(path, error.strerror or str(error)) from error
        return Entry(path, status.st_size, status.st_mtime_ns)

    def read(self, entry: Entry) -> bytes | None:
        content = read_file(self.folder / entry.path)
        return content if self.entry(entry.path) == entry else None

    def names(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if not is_part(path.name)] if self.folder.is_dir() else []

    def get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def address(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def system(self) -> Any | None:
        return None

    def put(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.folder / name, content)

    def put_new(self, name: str, content: bytes) -> None:
        part = new_part_name()
        self.put(part, content)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            give_free_name(descriptor, part.encode(), name.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            (self.folder / part).unlink(missing_ok=True)


class ObjectStore:
    """A folder of a file system that fsspec knows.

    Args:
        url: ``s3://bucket/folder`` and the like.
        variables: of the environment, for the credentials and the endpoint; they are set where it is opened.
    """

    def __init__(self, url: str, variables: dict[str, str]) -> None:
        self.url, self._variables = url, variables
        self._opened: tuple[Any, str] | None = None
        self._open()

    def __str__(self) -> str:
        return self.url

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._variables)

    def _open(self) -> tuple[Any, str]:
        """The file system and the folder in it, opened once a process."""
        if self._opened is None:
            import fsspec

            os.environ.update(self._variables)
            for name in ("botocore", "aiobotocore"):  # a line for each client, about whose credentials it has found
                logging.getLogger(name).setLevel(logging.WARNING)
            try:
                system, folder = fsspec.url_to_fs(self.url, use_listings_cache=False)
            except (ImportError, ValueError) as error:  # of fsspec: no such package, no such protocol
                way_out = INSTALL if self.url.startswith("s3:") else "install the package that fsspec names"
                raise ScaleError(f"{self.url} cannot be opened ({error}): {way_out}") from error
            self._opened = system, folder.rstrip("/")
        return self._opened

    def check(self) -> None:
        try:
            if next(self._infos(), None) is None:
                raise ScaleError(f"there is nothing in {self.url}: name a folder of portraits")
        except OSError as error:
            raise ScaleError(f"{self.url} cannot be read ({error_text(error)}): {_way_out(error)}") from error

    def entries(self) -> Iterator[Entry]:
        _, folder = self._open()
        for info in self._infos():
            if is_named_like_a_picture(info["name"].rpartition("/")[2]):
                yield _entry(info["name"][len(folder) + 1 :], info)

    def _infos(self) -> Iterator[dict[str, Any]]:
        """What the file system says of each file; S3 is asked for a page after the other."""
        system, folder = self._open()
        if not self._is_s3:
            with _os_errors():
                for parent, _, files in system.walk(folder, detail=True):
                    yield from (
                        {**info, "name": f"{parent.rstrip('/')}/{name}"} for name, info in files.items() if name
                    )
            return
        bucket, _, prefix = folder.partition("/")
        asked = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
        while True:
            with _os_errors():
                page = system.call_s3("list_objects_v2", **asked)
            for found in page.get("Contents", []):
                yield {**found, "name": f"{bucket}/{found['Key']}", "size": found["Size"]}
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def entry(self, path: str) -> Entry:
        system, folder = self._open()
        try:
            with _os_errors():
                return _entry(path, system.info(f"{folder}/{path}", refresh=True))
        except FileNotFoundError as error:
            raise ImageError(path, "no such file") from error

    def read(self, entry: Entry) -> bytes | None:
        if entry.size > MAX_FILE_BYTES:
            raise ImageError(entry.path, f"is larger than {MAX_FILE_BYTES:,} bytes")
        system, folder = self._open()
        content = b""
        if entry.size:
            try:  # no more than was listed and a byte: another version may be of any size
                with _os_errors():
                    content = system.cat_file(f"{folder}/{entry.path}", start=0, end=entry.size + 1)
            except FileNotFoundError as error:
                raise ImageError(entry.path, "no such file") from error
        if len(content) != entry.size:
            return None
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == entry.etag:  # what S3's tags mostly are
            return content
        return content if self.entry(entry.path).digest() == entry.digest() else None

    def names(self) -> list[str]:
        system, folder = self._open()
        try:
            with _os_errors():
                found = system.ls(folder, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return [name.rpartition("/")[2] for name in found if name.rstrip("/") != folder]

    def get(self, name: str) -> bytes:
        system, folder = self._open()
        with _os_errors():
            return system.cat_file(f"{folder}/{name}")

    def address(self, name: str) -> str:
        return f"{self.url}/{name}"

    @property
    def system(self) -> Any | None:
        return self._open()[0]

    def put(self, name: str, content: bytes) -> None:
        system, folder = self._open()
        with _os_errors():
            self._make_folder()
            system.pipe_file(f"{folder}/{name}", content, **self._deadline())

    def put_new(self, name: str, content: bytes) -> None:
        system, folder = self._open()
        try:
            with _os_errors():
                self._make_folder()
                system.pipe_file(f"{folder}/{name}", content, mode="create", **self._deadline())
        except OSError as error:
            if self._holds(name, content):  # written, and the answer was lost: it was asked for once more
                return
            if name in self.names():
                raise FileExistsError(f"{folder}/{name}") from error
            raise

    @property
    def _is_s3(self) -> bool:
        return self.url.startswith(("s3:", "s3a:"))

    def _deadline(self) -> dict[str, float]:
        """For a write: aiohttp can lose its timeout when the server says 100 Continue, and would wait for good."""
        system, _ = self._open()
        return {"timeout": WRITE_SECONDS} if system.async_impl else {}

    def _make_folder(self) -> None:
        system, folder = self._open()
        if not self._is_s3:  # which has no folders, and would make a bucket
            system.makedirs(folder, exist_ok=True)

    def _holds(self, name: str, content: bytes) -> bool:
        try:
            return self.get(name) == content
        except OSError:
            return False


@contextmanager
def _os_errors() -> Iterator[None]:
    """Raise what the packages behind fsspec raise as an OSError: theirs are of many kinds, as when nobody answers."""
    try:
        yield
    except OSError as error:
        if error.args:
            raise
        raise OSError(error_text(error)) from error  # of fsspec's deadlines, which say nothing
    except Exception as error:  # botocore and aiohttp have classes of their own, with no other base
        raise OSError(error_text(error)) from error


def _entry(path: str, info: dict[str, Any]) -> Entry:
    """From what file systems say of a file, each in words of its own."""
    changed = next((info[key] for key in ("LastModified", "mtime", "last_modified", "updated") if info.get(key)), 0)
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    seconds = changed if isinstance(changed, int | float) else 0
    tag = next((str(info[key]) for key in ("ETag", "etag", "md5Hash") if info.get(key)), "")
    return Entry(path, int(info["size"] or 0), int(seconds) * 10**9, tag.strip('"'))


def error_text(error: BaseException) -> str:
    """The first line of an error, and of what kind it is where it says nothing."""
    text = os_error_text(error) if isinstance(error, OSError) else str(error)
    return text.strip().partition("\n")[0][:300] or type(error).__name__


def _way_out(error: OSError) -> str:
    kind = type(error.__cause__ or error).__name__  # botocore has one for each way in which credentials can be missing
    if "Credentials" in kind or "Token" in kind or isinstance(error, PermissionError):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to those of someone who may"
    if isinstance(error, FileNotFoundError):
        return "name a folder that is there"
    return "look at the address (AWS_ENDPOINT_URL) and try again"
