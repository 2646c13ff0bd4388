"""Long runs of what the tests here do a little of.

python -m tests.faults --kills 500       # SIGKILLs, spread over all tools
"""

import logging
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # where pytest finds these modules, too
os.environ.setdefault("OMP_NUM_THREADS", "1")  # children are forked: they have none of the parent's threads

from artifact_utils.console import progress_bar, read_arguments, run_cli
from faults.killing import kill_often
from faults.tools import TOOLS


@dataclass(frozen=True)
class SoakOptions:
    """What to do how often."""

    kills: int = 0
    """SIGKILLs in all."""
    seed: int = 0
    """The same one gives the same moments, pictures and inputs; moments by processor time differ a little."""
    tools: tuple[str, ...] = tuple(TOOLS)
    """Those that are killed."""


def main() -> int:
    options = read_arguments(SoakOptions, __doc__)
    logging.disable(logging.WARNING)
    return kill_tools(options) if options.kills else 0


def kill_tools(options: SoakOptions) -> int:
    """Kill each tool as often as its share; returns how many lost something."""
    each, n_failed = -(-options.kills // len(options.tools)), 0
    bar = progress_bar(total=each * len(options.tools), label="kills", unit="kill")
    rows = []
    for name in options.tools:
        started, done, outcome = time.monotonic(), 0, "nothing lost"
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                for kills in kill_often(TOOLS[name](folder, stack), each, random.Random(f"{name} {options.seed}")):
                    done += kills
                    bar.update(kills)
            except AssertionError as error:
                outcome, n_failed = str(error), n_failed + 1
        rows.append((name, done, time.monotonic() - started, outcome))
    bar.close()
    print(f"{'tool':20}{'kills':>6}{'seconds':>9}  outcome")
    for name, done, seconds, outcome in rows:
        print(f"{name:20}{done:6,}{seconds:9.1f}  {outcome}")
    print(f"{'all':20}{sum(row[1] for row in rows):6,}{sum(row[2] for row in rows):9.1f}  {n_failed} tools failed")
    return n_failed


if __name__ == "__main__":
    run_cli(main)
