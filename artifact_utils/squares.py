"""Pictures decoded once: squares of the size that is trained on, on disk, mapped into the memory of whoever needs them.

A folder holds two files for each size: ``squares-160.bin``, one row of ``size * size * 3`` bytes for each picture, and
``squares-160.txt``, one line for each row with the hash of the file it was decoded from and the checksum of the pixels.
Both only grow. A row counts from the moment its line is written, so a kill in between costs one picture; a line whose
pixels never reached the disk is found out by its checksum. A file that changed has another hash, and is decoded anew;
``squares-files.txt`` holds the size, the time of change and the hash of each file, so that only files of another size
or time are read and hashed again.
"""

import errno
import hashlib
import logging
import os
import re
import shutil
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

import numpy as np
import PIL
import torch
from torch import Tensor

from artifact_utils.console import progress_bar
from artifact_utils.files.budgets import reserve_file
from artifact_utils.files.locks import output_lock
from artifact_utils.files.writing import write_bytes
from artifact_utils.images import ImageError, decode_image, load_image, read_file
from artifact_utils.transforms.looks import to_square

logger = logging.getLogger(__name__)

MEMORY_BYTES = 2 * 1024**3  # squares kept in memory where no folder can be written; a larger set is decoded every epoch
DISK_BYTES = 20 * 1024**3
SETTLED_SECONDS = 2
"""Age of a change from which on a file's time tells later changes: file systems count time in steps, some of 2 s."""
WRITE_SECONDS = 10
"""Between two notes of the hashes of files: a kill costs reading those of the time since, not decoding them."""
QUEUE_LENGTH = 64  # pictures worked on ahead of the consumer
LOCK = "squares-files.lock"
HEADER = f"artifact_utils squares 1, Pillow {PIL.__version__}"  # another decoder may give other pixels

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Squares:
    """Pictures as square uint8 tensors (3, S, S), in the order of memory of an (S, S, 3) array.

    Args:
        image_size: their side S in pixels.
        pixels: uint8 (R, 3, S, S), read-only by agreement; None where nothing is kept.
        rows: where in it a picture is; one without a row is decoded whenever it is asked for.
        errors: the pictures that cannot be read.
    """

    image_size: int
    pixels: Tensor | None = None
    rows: dict[Path, int] = field(default_factory=dict)
    errors: dict[Path, ImageError] = field(default_factory=dict)

    def __getitem__(self, path: Path) -> Tensor:
        row = self.rows.get(path)
        return decode(path, self.image_size) if row is None or self.pixels is None else self.pixels[row]


def decode_squares(
    paths: Sequence[Path],
    image_size: int,
    *,
    folder: Path | None = None,
    max_bytes: int = DISK_BYTES,
    progress: str | None = None,
) -> Squares:
    """Decode pictures on all cores, unless the folder has them from another time; the pixels are the same either way.

    Args:
        paths: files; those that are not pictures end up in ``errors``.
        image_size: side of the squares in pixels.
        folder: of the cache, made where it is missing. Where it cannot be written, a line says so, and the squares are
            kept in memory as long as they fit into ``MEMORY_BYTES``. None: in memory from the start.
        max_bytes: what the folder may hold, of all sizes; pictures that do not fit are decoded at every use.
        progress: label of the progress bar, None for no bar.
    """
    paths = list(dict.fromkeys(paths))
    if folder is not None and max_bytes > 0:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with output_lock(folder, folder / LOCK, wait=True):  # who waited here finds everything decoded
                return _Store(folder, image_size, max_bytes).fill(paths, progress)
        except OSError as error:
            logger.warning("no cache in %s (%s): decoded into memory, again at every start", folder, error.strerror)
    return _decode_into_memory(paths, image_size, progress)


def _decode_into_memory(paths: Sequence[Path], image_size: int, progress: str | None) -> Squares:
    shape = (len(paths), image_size, image_size, 3)
    pixels = torch.empty(shape, dtype=torch.uint8) if np.prod(shape) <= MEMORY_BYTES else None
    squares = Squares(image_size, None if pixels is None else pixels.permute(0, 3, 1, 2))
    with _bar(progress, len(paths)) as bar:
        for row, (path, square) in enumerate(decode_stream(paths, image_size)):
            bar.update()
            if isinstance(square, ImageError):
                squares.errors[path] = square
            elif squares.pixels is not None:
                squares.pixels[row], squares.rows[path] = square, row
    return squares


class _Store:
    """The two files of one size, under the lock of their folder."""

    def __init__(self, folder: Path, image_size: int, max_bytes: int) -> None:
        self.image_size, self.row_bytes = image_size, 3 * image_size**2
        self.data, self.index = folder / f"squares-{image_size}.bin", folder / f"squares-{image_size}.txt"
        self.max_rows = self._room(folder, max_bytes) // self.row_bytes
        self.n_rows = self._read_index()
        self.files = _KnownFiles(folder)

    def _room(self, folder: Path, max_bytes: int) -> int:
        """Bytes for this size; the other sizes are given up, the one not used for longest first, if they take half."""
        own = self.data.stat().st_size if self.data.exists() else 0
        others = sorted(set(folder.glob("squares-*.bin")) - {self.data}, key=lambda file: file.stat().st_mtime)
        while others and sum(file.stat().st_size for file in others) > max_bytes // 2:
            file = others.pop(0)
            file.with_suffix(".txt").unlink(missing_ok=True)
            file.unlink()  # who has it mapped keeps it
        left = max_bytes - sum(file.stat().st_size for file in others)
        return min(left, own + shutil.disk_usage(folder).free // 2)

    def _read_index(self) -> int:
        """The lines that are whole, by hash; a torn last one is cut off."""
        self.known: dict[str, tuple[int, int]] = {}
        text = self.index.read_text("ascii", "replace") if self.index.exists() else ""
        lines = text.split("\n")[:-1]
        if not lines or lines[0] != HEADER:
            _write_lines(self.index, [HEADER])
            return 0
        if not text.endswith("\n"):
            _write_lines(self.index, lines)
        for row, line in enumerate(lines[1:]):
            digest, _, checksum = line.partition(" ")
            if len(digest) == 32 and re.fullmatch("[0-9a-f]{8}", checksum):
                self.known[digest] = row, int(checksum, 16)
        return len(lines) - 1

    def fill(self, paths: Sequence[Path], progress: str | None) -> Squares:
        rows: dict[Path, int] = {}
        errors: dict[Path, ImageError] = {}
        left_out, written = [], set()
        self.data.touch()  # so that it is not the one not used for longest
        with (
            self.data.open("r+b", buffering=0) as self.file,
            self.index.open("a") as index,
            _bar(progress, len(paths)) as bar,
        ):
            for path, found in ahead(self._find_or_decode, paths):
                bar.update()
                if isinstance(found, ImageError):
                    errors[path] = found
                    continue
                digest, pixels = found
                if pixels is not None and digest not in written:  # else stored, or a copy of one just decoded
                    if self.n_rows >= self.max_rows:
                        left_out.append(path)
                        continue
                    self._write(self.n_rows, pixels)
                    checksum = zlib.crc32(pixels)
                    index.write(f"{digest} {checksum:08x}\n")
                    index.flush()
                    self.known[digest], self.n_rows = (self.n_rows, checksum), self.n_rows + 1
                    written.add(digest)
                rows[path] = self.known[digest][0]
                self.files.write_now_and_then()
        self.files.write()
        if left_out and len(set(rows.values())) < self.n_rows:  # rows of files that are gone or changed take up room
            self._keep_only(set(rows.values()))
            return self.fill(paths, None)
        if left_out:
            logger.warning(
                "the cache %s is full: %d pictures are decoded at every use", self.data.parent, len(left_out)
            )
        return Squares(self.image_size, self._mapped(), rows, errors)

    def _find_or_decode(self, path: Path) -> tuple[str, bytes | None] | ImageError:
        """The hash of a file, and its pixels unless they are stored and whole."""
        try:
            digest = self.files.digest(path)
            if digest is not None and digest in self.known and self._is_whole(digest):
                return digest, None
            with reserve_file(path):
                state, content = self.files.state(path), read_file(path)  # in this order: a change meanwhile is noticed
                digest = hashlib.blake2b(content, digest_size=16).hexdigest()
                self.files.add(path, state, digest)
                if digest in self.known and self._is_whole(digest):
                    return digest, None
                image = decode_image(content, str(path), min_side=self.image_size)
            return digest, to_square(image, self.image_size).permute(1, 2, 0).numpy().tobytes()
        except ImageError as error:
            return error

    def _is_whole(self, digest: str) -> bool:
        row, checksum = self.known[digest]
        return zlib.crc32(os.pread(self.file.fileno(), self.row_bytes, row * self.row_bytes)) == checksum

    def _write(self, row: int, pixels: bytes) -> None:
        """Write a row; through the map, a full disk would kill the process instead of raising an error."""
        n_written = os.pwrite(self.file.fileno(), pixels, row * self.row_bytes)
        if n_written < self.row_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.data))

    def _keep_only(self, rows: set[int]) -> None:
        """Copy the rows that are used into new files. Who has the old ones mapped keeps them."""
        kept = {digest: known for digest, known in self.known.items() if known[0] in rows}
        compacted = self.data.with_suffix(".compacted")
        with self.data.open("rb") as old, compacted.open("wb") as new:
            for row, _ in kept.values():
                new.write(os.pread(old.fileno(), self.row_bytes, row * self.row_bytes))
        self.index.unlink()  # first, so that no line ever points to the pixels of another file
        compacted.replace(self.data)
        lines = [HEADER, *(f"{digest} {checksum:08x}" for digest, (_, checksum) in kept.items())]
        _write_lines(self.index, lines)
        self.n_rows = self._read_index()

    def _mapped(self) -> Tensor | None:
        if not self.n_rows:
            return None
        side = self.image_size
        flat = torch.from_file(str(self.data), shared=False, size=self.n_rows * self.row_bytes, dtype=torch.uint8)
        return flat.view(self.n_rows, side, side, 3).permute(0, 3, 1, 2)


class _KnownFiles:
    """The hashes of files that did not change since they were read, told by their size and time of change.

    A line of the table holds the path, quoted as in URLs, the state and the hash. Paths are told from the folder of the
    cache, so that it can be moved together with the pictures.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.table = folder, folder / "squares-files.txt"
        text = self.table.read_text("ascii", "replace") if self.table.exists() else ""
        words = [line.split() for line in text.split("\n")[:-1]]
        self.known = {key: (state, digest) for key, state, digest in (w for w in words if len(w) == 3)}
        self.seen: set[str] = set()
        self.written = time.monotonic()
        self.changed = False

    def state(self, path: Path) -> str | None:
        """Size and time of the last change; None where that says nothing yet, or there is no file."""
        try:
            status = path.stat()
        except (OSError, ValueError):  # a NUL byte in the name
            return None
        changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
        return f"{status.st_size}:{changed_ns}" if changed_ns < time.time_ns() - SETTLED_SECONDS * 10**9 else None

    def digest(self, path: Path) -> str | None:
        """The hash of a file, if it is the same as when it was added."""
        key = self._key(path)
        self.seen.add(key)
        known = self.known.get(key)
        return known[1] if known is not None and known[0] == self.state(path) else None

    def add(self, path: Path, state: str | None, digest: str) -> None:
        if state is not None:
            self.known[self._key(path)] = state, digest
            self.changed = True

    def write_now_and_then(self) -> None:
        """Write what is known, if that was not done for a while: it is what a kill can cost."""
        if self.changed and time.monotonic() > self.written + WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is known of the files that are there, if that has changed."""
        if self.changed:
            self.changed, self.written = False, time.monotonic()
            lines = [
                f"{key} {state} {digest}"
                for key, (state, digest) in tuple(self.known.items())  # threads add to it
                if key in self.seen or self._path(key).exists()
            ]
            _write_lines(self.table, lines)

    def _key(self, path: Path) -> str:
        return quote_from_bytes(os.fsencode(os.path.relpath(path, self.folder)))

    def _path(self, key: str) -> Path:
        return self.folder / os.fsdecode(unquote_to_bytes(key))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def decode(path: Path, image_size: int) -> Tensor:
    """Open a picture as a square uint8 tensor (3, image_size, image_size).

    Raises:
        ImageError: the file is not a whole picture; the message names it.
    """
    return to_square(load_image(path, min_side=image_size), image_size)


def decode_stream(
    paths: Iterable[Path], image_size: int, *, workers: int | None = None
) -> Iterator[tuple[Path, Tensor | ImageError]]:
    """Decode files ahead of the consumer, in order; memory does not grow with the number of files.

    Args:
        paths: any number of files, read lazily.
        image_size: side of the squares in pixels.
        workers: threads, by default one a core: PIL decodes and resizes outside the interpreter lock.

    Yields:
        Each path with its uint8 tensor (3, image_size, image_size), or with the error that says what is wrong with it.
    """

    def attempt(path: Path) -> Tensor | ImageError:
        try:
            return decode(path, image_size)
        except ImageError as error:
            return error

    return ahead(attempt, paths, workers=workers)


def ahead(function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> Iterator[tuple[T, R]]:
    """Each item with what the function makes of it, in order, computed in threads ahead of the consumer.

    Args:
        function: that releases the interpreter lock most of the time.
        items: any number of them, read lazily.
        workers: threads, by default one a core.
    """
    pending: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) == QUEUE_LENGTH:
                item, future = pending.popleft()
                yield item, future.result()
        for item, future in pending:
            yield item, future.result()
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not first finish the queue


def _bar(label: str | None, total: int) -> Any:
    return progress_bar(None, label, total=total, unit="img", shown=label is not None)
