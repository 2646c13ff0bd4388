"""Many scorings by Ray of which one process is killed each, with a table of how they ended.

python -m tests.scale --kills 30                    # scorer, driver, raylet, a process that decodes or lists, in turn
python -m tests.scale --bucket 20000 --kills 5      # one scoring of a bucket with hostile files, its driver killed
"""

import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # where pytest finds these modules, too

from scale.drawn_folders import draw_folder, draw_mixed
from scale.killed_run import TARGETS, choose, kill_and_finish
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
    bucket: int = 0
    """Score one bucket of so many files on a local S3 server, one in a hundred of them hostile."""


def main() -> int:
    from conftest import make_run  # the untrained model of the other tests

    prepare_environment()
    options = read_arguments(KillOptions, __doc__)
    with tempfile.TemporaryDirectory() as home:
        run = make_run(Path(home) / "run")
        return (score_bucket if options.bucket else score_folders)(options, Path(home), run)


def score_folders(options: KillOptions, home: Path, run: Path) -> int:
    """Kill each scoring of a folder once; returns how many lost something."""
    n_failed, folder = 0, draw_folder(home / "faces", options.pictures)
    expected = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    print(f"{'killed':10}{'at rows':>9}{'commands':>10}{'seconds':>9}  outcome")
    for i, kill in enumerate(choose(options.kills, options.seed, options.targets or tuple(TARGETS))):
        try:
            end = kill_and_finish(folder, home / f"scores{i}", run, [kill], expected)
            print(f"{kill.target:10}{end.rows[0]:9,}{end.runs:10}{end.seconds:9.1f}  every picture once", flush=True)
        except AssertionError as error:
            n_failed += 1
            print(f"{kill.target:10}{'':28}  {error}", flush=True)
    print(f"{options.kills} scorings of {options.pictures:,} pictures, {n_failed} failed")
    return n_failed


def score_bucket(options: KillOptions, home: Path, run: Path) -> int:
    """Kill one scoring of a bucket many times, score the files by the built-in engine; returns 1 if it fails."""
    from scale.fake_scoring import slow_detector
    from scale.s3_server import S3Server

    from artifact_utils.detector import Detector
    from artifact_utils.filtering import FilterConfig, score_folder

    hostile = draw_mixed(home / "faces", options.bucket, options.seed)
    targets = options.targets or ("driver",)
    kills = sorted(choose(options.kills, options.seed, targets, longest_delay=1.5), key=lambda kill: kill.share)
    with S3Server() as server:
        os.environ.update(server.variables)
        expected = server.fill(home / "faces", "bucket/faces")
        print(f"{len(expected):,} files in a bucket, {len(hostile):,} of them hostile", flush=True)
        try:
            end = kill_and_finish(
                "s3://bucket/faces", "s3://bucket/scores", run, kills, expected, shard=64, write_seconds=1.0
            )
            told = {path for path, reason in end.reasons.items() if reason}
            assert told == hostile, f"{len(told - hostile)} portraits with a reason, {len(hostile - told)} without"
        except AssertionError as error:
            print(error)
            return 1
    killed = ", ".join(f"{kill.target} at {rows:,}" for kill, rows in zip(kills, end.rows, strict=True))
    print(f"killed: {killed or 'nothing'}\nevery file has one row, the hostile ones with a reason:")
    for reason, n in Counter(end.reasons[path].split(":")[0] for path in hostile).most_common():
        print(f"  {n:5,} {reason}")
    Detector.judge = slow_detector().judge  # type: ignore[method-assign]
    started = time.monotonic()
    score_folder(FilterConfig(home / "faces", run, home / "scores.csv", device="cpu"))
    print(
        f"Ray from and to the bucket, with the starts of its {end.runs} commands: {end.seconds:.1f} s; "
        f"the built-in engine on the same files in a folder, scored as slowly: {time.monotonic() - started:.1f} s"
    )
    return 0


if __name__ == "__main__":
    run_cli(main)
