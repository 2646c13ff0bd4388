import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading

import pytest

from artifact_utils.files.locks import output_lock
from artifact_utils.files.writing import FileError


@pytest.fixture(params=["kernel", "file"])
def output(request, tmp_path, monkeypatch):
    if request.param == "file":

        def no_locks(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", no_locks)
    return tmp_path / "scores.sqlite"


def test_one_holds_it_and_the_next_is_told_who(output):
    with output_lock(output):
        holder = rf"scores.sqlite \(process {os.getpid()} on {socket.gethostname()}, since 20.*\): wait for it"
        with pytest.raises(FileError, match=holder), output_lock(output):
            pass
        assert len(list(output.parent.iterdir())) == 1
    assert list(output.parent.iterdir()) == []
    with output_lock(output):
        pass


def test_who_may_wait_says_so_and_gets_it_next(output, monkeypatch, caplog):
    monkeypatch.setattr("artifact_utils.files.locks.WAIT_SECONDS", 0.001)
    order = []

    def wait():
        with output_lock(output, wait=True):
            order.append("second")

    with output_lock(output), caplog.at_level("INFO"):
        second = threading.Thread(target=wait)
        second.start()
        second.join(0.1)
        order.append("first")
    second.join()
    assert order == ["first", "second"]
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        f"another run is at work on {output}"
    ]
    assert list(output.parent.iterdir()) == []


def test_what_a_dead_process_has_left_does_not_stop_anybody(output):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for suffix in ("lock", "held"):
        output.with_name(f"scores.sqlite.{suffix}").write_text(
            f"process {dead.pid} on {socket.gethostname()}, since then"
        )
    with output_lock(output):
        pass
    with output_lock(output):
        pass


def test_the_lock_file_may_lie_in_the_output(tmp_path):
    def lock():
        return output_lock(tmp_path, tmp_path / ".lock")

    with lock(), pytest.raises(FileError, match=f"at work on {tmp_path} "), lock():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_host_is_never_taken_over(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    held = tmp_path / "scores.sqlite.held"
    held.write_text("process 1 on elsewhere, since 2026-01-01 00:00:00")
    message = r"on elsewhere.*has ended for certain, remove .*scores.sqlite.held"
    with pytest.raises(FileError, match=message), output_lock(tmp_path / "scores.sqlite"):
        pass
    assert held.exists()
