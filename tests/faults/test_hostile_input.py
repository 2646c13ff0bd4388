"""A slice of the hostile corpus and of the fuzzed files, by the command that runs all of them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def soak(*arguments: str) -> str:
    """In a process of its own, from which children can be forked: other tests have started threads in this one."""
    command = [sys.executable, "-m", "tests.faults", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return shown.stdout


def test_hostile_pictures_stop_no_tool_and_are_left_as_they_are() -> None:
    shown = soak("--corpus", "48", "--no-labels")
    assert len(shown.splitlines()) == 7
    assert "nothing changed" in shown


def test_files_from_strangers_execute_and_touch_nothing() -> None:
    assert "nothing executed, lost or touched outside" in soak("--fuzz", "300")
