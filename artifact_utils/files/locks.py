"""One lock an output: whoever writes it holds the lock, and a second process is told who does.

The kernel holds the lock and releases it when the process ends, however it ends; the text of the lock file only
informs. Where a drive has no locks, a file that one process alone can make is the lock. It is never taken over from
another host, where nobody here can tell whether the process lives.

The lock file lies beside the output, where every process and host looks for it, and is removed after use. So the time
of change of that folder is a new one, as it is from the journal that SQLite makes and removes there anyway.
"""

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from artifact_utils.console import held_back
from artifact_utils.files.writing import FileError

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""Between two looks at the lock of somebody else, for those who wait."""
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What ``flock`` says on a drive that has no locks."""


@contextlib.contextmanager
def output_lock(output: Path, file: Path | None = None, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of an output.

    Args:
        output: what is written; the message names it.
        file: the lock file, by default ``OUTPUT.lock``. It is there while the lock is held, and after a kill.
        wait: for as long as another process holds it; a line says so.

    Raises:
        FileError: another process holds it, and this one is not to wait.
        OSError: the lock file cannot be written.
    """
    file = output.with_name(output.name + ".lock") if file is None else file
    held: tuple[Path, int | None] | None = None
    said = ""
    try:
        while held is None:
            try:
                with held_back():
                    held = _hold(file, output)
            except FileError as error:
                if not wait:
                    raise
                if not said:
                    logger.info("%s", error)
                said = str(error)
                time.sleep(WAIT_SECONDS)
        yield
    finally:
        if held is not None:
            held[0].unlink(missing_ok=True)  # while it is held: who waits with the file open sees that it has no name
            if held[1] is not None:
                os.close(held[1])


def _hold(file: Path, output: Path) -> tuple[Path, int | None]:
    """The lock file, and the descriptor that holds the kernel's lock where the drive has those."""
    descriptor = _kernel_lock(file, output)
    if descriptor is not None:
        return file, descriptor
    file.unlink(missing_ok=True)
    held = file.with_name(file.name.removesuffix(".lock") + ".held")
    _exclusive_file(held, output)
    return held, None


def _kernel_lock(file: Path, output: Path) -> int | None:
    """The descriptor that holds the lock; None on a drive without locks."""
    import fcntl  # not on Windows, where the rest of the package still works

    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_name(descriptor, file):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _holder().encode(), 0)
                return descriptor
            os.close(descriptor)  # its last holder has just removed it: once more
        except OSError as error:
            text = os.pread(descriptor, 500, 0).decode(errors="replace")
            os.close(descriptor)
            if error.errno in NO_LOCKS:
                return None
            if isinstance(error, BlockingIOError):
                raise FileError(_is_busy(output, text)) from error
            raise


def _has_name(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.stat(file, follow_symlinks=False), os.fstat(descriptor))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _exclusive_file(file: Path, output: Path) -> None:
    """Make the file that is the lock; one that a dead process of this host has left is replaced."""
    while True:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError as error:
            text = _text(file)
            if text and _is_dead(text) and _took_away(file, text):
                continue
            raise FileError(f"{_is_busy(output, text)}. If it has ended for certain, remove {file}") from error
        os.write(descriptor, _holder().encode())
        os.close(descriptor)
        return


def _took_away(file: Path, text: str) -> bool:
    """Remove the file with that text; not one that another process has put in its place meanwhile."""
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.rename(aside)
        if _text(aside) != text:
            os.link(aside, file)
            return False
    except OSError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")[:500]
    except FileNotFoundError:
        return ""


def _is_dead(text: str) -> bool:
    """Whether the holder was a process of this host that does not run any more."""
    words = text.replace(",", "").split()  # process 123 on HOST since ...
    if len(words) < 4 or words[3] != socket.gethostname() or not words[1].isdecimal():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _is_busy(output: Path, text: str) -> str:
    return f"another run is at work on {output} ({text.strip() or 'just started'}): wait for it"


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
