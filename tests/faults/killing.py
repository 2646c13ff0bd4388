"""Killing a job at a moment of its run, in a forked process, and what every job has to stand afterwards."""

import contextlib
import importlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from artifact_utils.files.writing import is_part

OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.utime", "os.truncate"}
"""Audit events of Python that open or change files; ``sqlite3.connect`` does, too."""


@dataclass(frozen=True)
class Ended:
    """How a child process has ended."""

    code: int
    """Of its exit, or minus its signal."""
    n_operations: int
    """File operations, where it was not killed."""
    seconds: float
    """Of processor time."""
    peak_bytes: int
    """Of memory, with what it had from its parent."""
    output: str
    """Of stdout and stderr."""

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Moment:
    """When to kill: before a file operation, or after so much processor time."""

    operation: int | None = None
    seconds: float | None = None


def run_child(
    job: Callable[[], object],
    folder: Path,
    moment: Moment = Moment(),
    *,
    limit: float = 120.0,
    codes: tuple[int, ...] = (0,),
) -> Ended:
    """Run a job in a process of its own, perhaps until it is killed.

    Args:
        job: its return value is not looked at; ``SystemExit`` is its exit code.
        folder: where file operations count; so do those on relative paths, of opened folders.
        moment: when to kill it.
        limit: seconds after which it hangs.
        codes: of its exit that are as they should be.

    Raises:
        AssertionError: it hangs, or has failed by itself.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, which these jobs do not need
            child = os.fork()
        if child == 0:
            _be_child(job, folder, moment.operation, writer, output.fileno())
        os.close(writer)
        code, used = _wait(child, moment.seconds, limit)
        with os.fdopen(reader) as answer:
            n_operations = int(answer.read() or 0)
        output.seek(0)
        text = output.read().decode(errors="replace")
    ended = Ended(code, n_operations, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, text)
    assert code in (*codes, -signal.SIGKILL), f"ended with {code}:\n{text[-4000:]}"
    assert not ended.killed or moment != Moment(), f"was killed by somebody else:\n{text[-4000:]}"
    return ended


def import_what_it_needs(job: Callable[[], object], folder: Path) -> None:
    """Run a job in a child, and import here what it has imported there, so that later children find it done."""
    with tempfile.NamedTemporaryFile("w+") as names:

        def listed() -> None:
            job()
            names.write("\n".join(sys.modules))
            names.flush()

        run_child(listed, folder)
        names.seek(0)
        for name in names.read().split("\n"):
            if name not in sys.modules and "__main__" not in name:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)


def _be_child(job: Callable[[], object], folder: Path, kill_at: int | None, writer: int, output: int) -> None:
    counted, root = 0, os.fsencode(folder)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal counted
        if event == "sqlite3.connect" or (event in OPERATIONS and _is_below(arguments[0], root)):
            counted += 1
            if counted == kill_at:
                if event == "os.rename":
                    _cut_off(Path(os.fsdecode(arguments[0])))
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))  # not those of pytest  # noqa: SIM115
        tqdm.set_lock(threading.RLock())  # the parent's is shared by processes: killed with it, the parent hangs
        sys.addaudithook(hook)
        job()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for file in (sys.stdout, sys.stderr):
            file.flush()
        os.write(writer, str(counted).encode())
        os._exit(code)


def _cut_off(file: Path) -> None:
    """Shorten a file that is not whole yet, as if it were still being written."""
    if is_part(file.name) and file.is_file() and file.stat().st_nlink == 1:
        os.truncate(file, file.stat().st_size // 2)


def _is_below(path: object, root: bytes) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    name = os.fsencode(path)
    return not name.startswith(b"/") or name.startswith(root)


def _wait(child: int, kill_after: float | None, limit: float) -> tuple[int, "os.struct_rusage"]:
    clock = (~child << 3) | 2  # of the processor time of that process, see clock_getcpuclockid(3)
    deadline = time.monotonic() + limit
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), used
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.wait4(child, 0)
            raise AssertionError(f"hangs for {limit:.0f} s")
        if kill_after is not None and time.clock_gettime(clock) >= kill_after:
            os.kill(child, signal.SIGKILL)
            kill_after = None
        time.sleep(0.0002 if kill_after is not None else 0.002)


class Job(Protocol):
    """Something that is killed over and over."""

    name: str
    folder: Path
    """Where all its files are."""

    def start(self) -> None:
        """Bring the files to what they are before the run."""

    def run(self) -> None:
        """The run that is killed; it is called in a child process."""

    def check(self) -> None:
        """Raise AssertionError if the kill has lost anything."""

    def finish(self, rng: random.Random) -> int:
        """Run again, undo, and compare with what is there without kills; returns how many more kills that took."""


def kill_often(job: Job, n: int, rng: random.Random) -> Iterator[int]:
    """Kill a job at ``n`` moments spread evenly over its run; yields how many kills there were, each time it is whole.

    Raises:
        AssertionError: something was lost, or what a kill has left was not finished.
    """
    job.start()
    whole = run_child(job.run, job.folder)
    done = 0
    while done < n:
        share = (done + rng.random()) / n
        for _ in range(20):
            job.start()
            if run_child(job.run, job.folder, moment_at(share, whole, rng)).killed:
                break
            share *= 0.9  # it was faster this time
        else:
            raise AssertionError(f"{job.name} cannot be killed")
        try:
            job.check()
            kills = 1 + job.finish(rng)
        except AssertionError as error:
            raise AssertionError(f"{job.name}, killed after {share:.1%} of its run: {error}") from error
        done += kills
        yield kills


def moment_at(share: float, whole: Ended, rng: random.Random) -> Moment:
    """A moment after that share of a run: by its file operations, or by its processor time."""
    if rng.random() < 0.5:
        return Moment(operation=1 + int(share * whole.n_operations))
    return Moment(seconds=share * whole.seconds)
