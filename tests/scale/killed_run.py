"""A scoring in processes of its own, one of which is killed, and the runs that finish what it has left.

python -m scale.killed_run FOLDER SCORES RUN    # the scoring itself, of 5 ms a picture
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from helpers import draw_portrait
from scale.starting import ROOT, prepare_environment

TARGETS = {
    "scorer": "ray::MapWorker(Map(ScoreShards))",
    "decoder": "ray::Map(decode_shard)",
    "listing": "ray::MapBatches(listing)",
    "raylet": "raylet",
    "driver": "driver",
}
"""What can be killed, and what the title of its process begins with."""
SECONDS = 400.0
"""That a run may take, on a machine that does other things, too."""
MOST_RUNS = 4


@dataclass(frozen=True)
class Finished:
    """How a scoring ended that was killed once."""

    target: str
    rows: int
    """Written when it was killed."""
    runs: int
    """Commands until everything was scored."""
    seconds: float


def draw_folder(folder: Path, n: int) -> Path:
    """Draw ``n`` portraits, most of them other names of a few."""
    for i in range(n):
        path = folder / f"{i // 100:03d}" / f"{i:06d}.png"
        if i < 20:
            draw_portrait(path, seed=i, artifact=i % 2 == 0)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / "000" / f"{i % 20:06d}.png", path)
    return folder


def kill_and_finish(folder: Path, scores: Path, run: Path, target: str, share: float) -> Finished:
    """Score a folder, kill a process when that share of the pictures has a row, run again until all have one.

    Raises:
        AssertionError: a picture has no row or two, or the command does not end well without a kill.
    """
    n, started = sum(path.is_file() for path in folder.rglob("*.png")), time.monotonic()
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "scale.killed_run", *map(str, (folder, scores, run))]
    rows_then, code, runs, output = -1, None, 0, ""
    while code != 0:
        assert runs < MOST_RUNS, f"{target}: not finished after {runs} runs:\n{output[-3000:]}"
        runs += 1
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as driver:
            if rows_then < 0:
                rows_then = _kill(driver, target, lambda: n_rows(scores) >= share * n, scores)
            output, _ = driver.communicate(timeout=SECONDS)
            code = driver.returncode
    paths = [path for part in sorted(scores.glob("part-*")) for path in pq.read_table(part)["path"].to_pylist()]
    expected = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert len(paths) == len(set(paths)), f"{target}: {len(paths) - len(set(paths))} rows twice"
    assert set(paths) == expected, f"{target}: {len(expected - set(paths))} pictures lost"
    return Finished(target, rows_then, runs, time.monotonic() - started)


def n_rows(scores: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in scores.glob("part-*"))


def _kill(driver: "subprocess.Popen[str]", target: str, is_time: Callable[[], bool], scores: Path) -> int:
    """Wait for the moment, kill the process, and end what a killed driver has left; returns the rows then."""
    deadline = time.monotonic() + SECONDS
    while driver.poll() is None and not is_time() and time.monotonic() < deadline:
        time.sleep(0.01)
    victim = None
    while driver.poll() is None and victim is None and time.monotonic() < deadline:
        found = descendants(driver.pid)
        victim = driver.pid if target == "driver" else _first(found, TARGETS[target])
        if victim is not None:
            rows = n_rows(scores)
            os.kill(victim, signal.SIGKILL)
            if target == "driver":
                _end(found)
            return rows
        time.sleep(0.002)
    return n_rows(scores)


def _first(processes: dict[int, str], beginning: str) -> int | None:
    return next((pid for pid, title in processes.items() if title.rpartition("/")[2].startswith(beginning)), None)


def descendants(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those that they have, with their titles."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_text().split("\0")[0]
        except (OSError, ValueError):  # it has ended
            continue
    found, more = set[int](), {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return {child: titles.get(child, "") for child in found - {pid}}


def _end(processes: dict[int, str]) -> None:
    """End what a killed driver has left; most of it ends by itself, Ray's agents after a while."""
    deadline = time.monotonic() + 5
    while left := [pid for pid in processes if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)]:
        if time.monotonic() > deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def choose(n: int, seed: int) -> list[tuple[str, float]]:
    """``n`` targets in turn, each with a share of the run at which it is killed."""
    rng, names = random.Random(seed), ["scorer", "driver", "raylet", "decoder", "listing"]
    return [(names[i % len(names)], rng.uniform(0, 0.9)) for i in range(n)]


def main() -> None:
    from scale.fake_scoring import slow_detector

    from artifact_utils.scale import ScaleConfig, ray_engine, score_urls, shards

    ray_engine.WRITE_SECONDS, shards.SHARD = 0.2, 16
    folder, scores, run = sys.argv[1:]
    config = ScaleConfig(folder, scores, run=Path(run), device="cpu", workers=1)
    print(score_urls(config, open_detector=slow_detector))


if __name__ == "__main__":
    prepare_environment()
    from artifact_utils.console import run_cli

    run_cli(main)
