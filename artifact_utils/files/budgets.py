"""How much memory and time the decoders of this process may take, together and each.

Pictures are decoded under two budgets that all threads share, one for the bytes of files (`reserve_file`) and one for
their pixels (`reserve_pixels`): small pictures never wait, large ones are worked on one after the other.
"""

import ctypes
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from artifact_utils.files.picture_limits import MAX_FILE_BYTES

FILE_BUDGET = MAX_FILE_BYTES
PIXEL_BUDGET = 640 * 1024**2
"""With `FILE_BUDGET` 900 MB, so that whatever a folder holds takes less than 1 GB beside the model."""
TRIM_BYTES = 1 << 27
"""From this size on, freed memory goes back to the system before a picture is decoded."""
MAX_SECONDS = 6.0
"""Processor time that a decoder gets for the bytes of a picture; 100 megapixels take 2 s at the most."""


class TooSlowError(Exception):
    """A decoder has had `MAX_SECONDS`, and wants more of the file."""


def within_time(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """A function that reads for a decoder as long as the thread has not worked for `MAX_SECONDS` since now.

    Decoders ask for some 64 KB at a time. What one such piece can keep them busy with is bounded by the number of
    scans and pixels.
    """
    end = time.thread_time() + MAX_SECONDS

    def read_in_time(n_bytes: int) -> bytes:
        if time.thread_time() > end:
            raise TooSlowError(f"takes more than {MAX_SECONDS:g} s to decode")
        return read(n_bytes)

    return read_in_time


class _Budget:
    """So many bytes for all threads; who asks for more than is left waits in line, and gets all of it at the most."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.reset()

    def reset(self) -> None:
        self.used, self.line, self.changed = 0, deque[object](), threading.Condition()

    @contextmanager
    def reserve(self, n_bytes: int) -> Iterator[None]:
        n_bytes, ticket = min(n_bytes, self.n_bytes), object()
        with self.changed:
            self.line.append(ticket)
            try:
                self.changed.wait_for(lambda: self.line[0] is ticket and self.used + n_bytes <= self.n_bytes)
                self.used += n_bytes
            finally:  # also where Ctrl-C ends the waiting
                self.line.remove(ticket)
                self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.used -= n_bytes
                self.changed.notify_all()


_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
_files, _pixels = _Budget(FILE_BUDGET), _Budget(PIXEL_BUDGET)
if hasattr(os, "register_at_fork"):  # threads that hold something do not exist in the child
    os.register_at_fork(after_in_child=_files.reset)
    os.register_at_fork(after_in_child=_pixels.reset)


@contextmanager
def reserve_file(path: str | Path) -> Iterator[None]:
    """Hold room for the bytes of a file while it is read and decoded; before `reserve_pixels`, never within it."""
    try:
        n_bytes = Path(path).stat().st_size
    except (OSError, ValueError):  # reading it says why
        n_bytes = 0
    with reserve_bytes(n_bytes):
        yield


@contextmanager
def reserve_bytes(n_bytes: int) -> Iterator[None]:
    """`reserve_file` for one whose size is known; a file over the limit is not read, and takes no room."""
    with _files.reserve(n_bytes if n_bytes <= MAX_FILE_BYTES else 0):
        yield


@contextmanager
def reserve_pixels(n_bytes: int) -> Iterator[None]:
    """Hold room for a picture while it is decoded; waits until others have left enough."""
    with _pixels.reserve(n_bytes):
        if n_bytes >= TRIM_BYTES and _malloc_trim is not None:
            _malloc_trim(0)  # glibc keeps what earlier pictures took, in each thread and in pieces that do not fit
        yield
