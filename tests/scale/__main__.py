"""Many scorings by Ray of which one process is killed each, with a table of how they ended.

python -m tests.scale --kills 30
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # where pytest finds these modules, too

from scale.killed_run import choose, draw_folder, kill_and_finish
from scale.starting import prepare_environment

from artifact_utils.console import read_arguments, run_cli


@dataclass(frozen=True)
class KillOptions:
    """How often to kill what."""

    kills: int = 30
    pictures: int = 2000
    seed: int = 0
    targets: tuple[str, ...] = ()
    """Kill these only."""


def main() -> int:
    from conftest import make_run  # the untrained model of the other tests

    prepare_environment()
    options, n_failed = read_arguments(KillOptions, __doc__), 0
    print(f"{'killed':10}{'at rows':>9}{'commands':>10}{'seconds':>9}  outcome")
    with tempfile.TemporaryDirectory() as home:
        folder, run = draw_folder(Path(home) / "faces", options.pictures), make_run(Path(home) / "run")
        plan = choose(options.kills, options.seed)
        if options.targets:
            plan = [(options.targets[i % len(options.targets)], share) for i, (_, share) in enumerate(plan)]
        for i, (target, share) in enumerate(plan):
            try:
                end = kill_and_finish(folder, Path(home) / f"scores{i}", run, target, share)
                print(f"{target:10}{end.rows:9,}{end.runs:10}{end.seconds:9.1f}  every picture once", flush=True)
            except AssertionError as error:
                n_failed += 1
                print(f"{target:10}{'':28}  {error}", flush=True)
    print(f"{len(plan)} scorings of {options.pictures:,} pictures, {n_failed} failed")
    return n_failed


if __name__ == "__main__":
    run_cli(main)
