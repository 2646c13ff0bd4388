"""The tools that are killed, by name."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from faults.filter_kills import Move, Score, Undo
from faults.killing import Job
from faults.organize_kills import MODES, Organize, TakeBack
from faults.run_kills import Audit, Training

TOOLS: dict[str, Callable[[Path, ExitStack], Job]] = {
    "score": Score,
    "move": Move,
    "undo": Undo,
    **{f"organize-{mode}": partial(Organize, mode=mode) for mode in MODES},
    **{f"organize-{mode}-undo": partial(TakeBack, mode=mode) for mode in MODES},
    "audit": Audit,
    "training": Training,
}
