"""Long runs of what the tests here do a little of; each prints a table.

python -m tests.faults --kills 500      # SIGKILLs, spread over all tools
python -m tests.faults --corpus 400     # hostile pictures, through every tool
python -m tests.faults --fuzz 20000     # checkpoints, tables and databases from strangers
"""

import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # where pytest finds these modules, too
os.environ.setdefault("OMP_NUM_THREADS", "1")  # children are forked: they have none of the parent's threads

from artifact_utils.console import progress_bar, read_arguments, run_cli
from faults.corpus import go_through
from faults.fuzzing import fuzz
from faults.killing import kill_often
from faults.tools import TOOLS


@dataclass(frozen=True)
class SoakOptions:
    """What to do how often."""

    kills: int = 0
    """SIGKILLs in all."""
    corpus: int = 0
    """Hostile pictures."""
    fuzz: int = 0
    """Inputs from strangers."""
    seed: int = 0
    """The same one gives the same moments, pictures and inputs; moments by processor time differ a little."""
    tools: tuple[str, ...] = tuple(TOOLS)
    """Those that are killed."""
    labels: bool = True
    """Whether the audit of the corpus looks for wrong labels, too."""


def main() -> int:
    options = read_arguments(SoakOptions, __doc__)
    logging.disable(logging.WARNING)
    n_failed = 0
    for asked, job in ((options.kills, kill_tools), (options.corpus, show_corpus), (options.fuzz, fuzz_readers)):
        if asked:
            n_failed += job(options)
    return n_failed


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


def show_corpus(options: SoakOptions) -> int:
    """Run every tool over a hostile folder; returns 1 if one of them fails."""
    print(f"{'tool':22}{'files':>7}{'seconds':>9}{'MB above the model':>20}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            for passed in go_through(Path(folder), options.corpus, options.seed, labels=options.labels):
                print(f"{passed.tool:22}{passed.n:7,}{passed.seconds:9.1f}{passed.megabytes:20,.0f}", flush=True)
        except AssertionError as error:
            print(error)
            return 1
    print("no traceback, no hang, nothing changed")
    return 0


def fuzz_readers(options: SoakOptions) -> int:
    """Give inputs to their readers; returns 1 if one of them does what it must not."""
    started, answers = time.monotonic(), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory() as folder:
        try:
            inputs = fuzz(Path(folder), options.fuzz, options.seed)
            for answer in progress_bar(inputs, "inputs", total=options.fuzz):
                answers[answer.kind, answer.refusal] += 1
        except AssertionError as error:
            print(error)
            return 1
    print(f"{'input':20}{'answer':20}{'times':>7}")
    for (kind, refusal), n in sorted(answers.items()):
        print(f"{kind:20}{refusal or 'taken':20}{n:7,}")
    seconds = time.monotonic() - started
    print(f"{'all':40}{answers.total():7,}  in {seconds:.0f} s; nothing executed, lost or touched outside")
    return 0


if __name__ == "__main__":
    run_cli(main)
