"""The scripts, run in forked children as people run them."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_command(name: str, *arguments: object) -> None:
    """Run a script of the repository, or a module of the package, in this process; it ends by ``SystemExit``."""
    sys.argv = [name, *map(str, arguments)]
    if name.endswith(".py"):
        runpy.run_path(str(ROOT / name), run_name="__main__")
    else:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
