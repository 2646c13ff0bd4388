"""SIGKILL at twenty moments of each tool, spread over its run: nothing is lost, and it ends as one without kills."""

import os
import random
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults.killing import kill_often
from faults.tools import TOOLS

ROOT = Path(__file__).parents[2]
IN_PROCESS = [name for name in TOOLS if name not in ("audit", "training")]


@pytest.mark.parametrize("name", IN_PROCESS)
def test_nothing_is_lost(name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert sum(kill_often(TOOLS[name](tmp_path, stack), 20, random.Random(0))) >= 20


@pytest.mark.parametrize("name", ["audit", "training"])
def test_nothing_is_lost_where_threads_have_run(name: str) -> None:
    """In a process of its own, from which children can be forked: other tests have started threads in this one."""
    command = [sys.executable, "-m", "tests.faults", "--kills", "20", "--tools", name]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert int(shown.stdout.splitlines()[1].split()[1]) >= 20
