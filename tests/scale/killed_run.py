"""A scoring in processes of its own, some of which are killed, and the runs that finish what they have left.

python -m scale.killed_run FOLDER SCORES RUN SHARD WRITE_SECONDS    # the scoring itself, of 5 ms a picture
"""

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from scale.starting import ROOT, prepare_environment

from artifact_utils.scale.score_parts import part_names
from artifact_utils.scale.stores import Store, open_store

TARGETS = {
    "scorer": "ray::MapWorker(Map(ScoreShards))",
    "driver": "driver",
    "raylet": "raylet",
    "decoder": "ray::Map(decode_shard)",
    "listing": "ray::MapBatches(listing)",
}
"""What can be killed, and what the title of its process begins with."""
LATEST = {"decoder": 0.3, "listing": 0.0}
"""The share of the rows after which there may be no such process any more; 0.9 of the others."""
SECONDS, SECONDS_A_PICTURE = 400.0, 0.1
"""That a run may take, on a machine that does other things, too."""
MOST_RUNS = 3  # that a kill may not be the cause of


class Kill(NamedTuple):
    """What is killed, when that share of the pictures has a row and so many seconds have passed."""

    target: str
    share: float
    delay: float


@dataclass(frozen=True)
class Finished:
    """How a scoring ended that was killed."""

    rows: tuple[int, ...]
    """Written at each kill."""
    runs: int
    """Commands until everything was scored."""
    seconds: float
    reasons: dict[str, str]
    """Of each picture why it has no probability, or nothing."""


def kill_and_finish(
    folder: str | Path,
    scores: str | Path,
    run: Path,
    kills: Sequence[Kill],
    expected: Collection[str],
    *,
    shard: int = 16,
    write_seconds: float = 0.2,
) -> Finished:
    """Score a folder, kill a process each time that it is due, run again until all pictures have a row.

    A scoring that was over before all were killed is done again, beside ``scores``, and killed earlier.

    Args:
        folder: a path or a URL.
        scores: where there is nothing yet.
        run: of the model.
        kills: in order of their shares.
        expected: the paths that are to have a row.
        shard: pictures that go through the stages together.
        write_seconds: after which a part is written.

    Raises:
        AssertionError: a picture has no row or two, or the command does not end well without a kill.
    """
    command = [sys.executable, "-m", "scale.killed_run", *map(str, (folder, scores, run, shard, write_seconds))]
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    limit, store, started = SECONDS + SECONDS_A_PICTURE * len(expected), open_store(scores), time.monotonic()
    left, at, runs, code, output = list(kills), list[int](), 0, None, ""
    names = ", ".join(kill.target for kill in kills)
    count = RowCounter(store)
    while code != 0:
        assert runs < len(kills) + MOST_RUNS, f"{names}: not finished after {runs} runs:\n{output[-3000:]}"
        runs += 1
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as driver:
            while left and _kill(driver, left[0], lambda: count() >= left[0].share * len(expected), limit):
                left.pop(0)
                at.append(count())
            output, _ = driver.communicate(timeout=limit)
            code = driver.returncode
    if left:
        earlier = [kill._replace(share=kill.share / 2) for kill in kills]
        assert earlier[-1].share > 0.001, f"{names}: {runs} commands were over before {left[0].target} could be killed"
        return kill_and_finish(
            folder, f"{scores}-again", run, earlier, expected, shard=shard, write_seconds=write_seconds
        )
    reasons, n_rows = dict[str, str](), Counter[str]()
    for name in part_names(store.names()):
        table = pq.read_table(io.BytesIO(store.get(name)), columns=["path", "reason"])
        reasons |= zip(table["path"].to_pylist(), table["reason"].to_pylist(), strict=True)
        n_rows.update(table["path"].to_pylist())
    twice, lost = [path for path in n_rows if n_rows[path] > 1], set(expected) - set(n_rows)
    assert not twice, f"{names}: {len(twice)} rows twice, such as {twice[0]}"
    assert set(n_rows) == set(expected), f"{names}: {len(lost)} pictures lost, {len(n_rows)} rows"
    return Finished(tuple(at), runs, time.monotonic() - started, reasons)


class RowCounter:
    """Counts the rows that are written, looking into each part once."""

    def __init__(self, store: Store) -> None:
        self.store, self.rows = store, dict[str, int]()

    def __call__(self) -> int:
        for name in part_names(self.store.names()):
            if name not in self.rows:
                self.rows[name] = pq.read_metadata(io.BytesIO(self.store.get(name))).num_rows
        return sum(self.rows.values())


def _kill(driver: "subprocess.Popen[str]", kill: Kill, is_due: Callable[[], bool], limit: float) -> bool:
    """Wait for the moment, kill the process, and end what a killed driver has left; False if the driver ends first."""
    deadline = time.monotonic() + limit
    while driver.poll() is None and not is_due() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(kill.delay)
    while driver.poll() is None and time.monotonic() < deadline:
        found = descendants(driver.pid)
        victim = driver.pid if kill.target == "driver" else _first(found, TARGETS[kill.target])
        if victim is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(victim, signal.SIGKILL)
                if kill.target == "driver":
                    driver.wait()
                    _end(found)
                return True
        time.sleep(0.002)
    return False


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


def choose(n: int, seed: int, targets: Sequence[str] = tuple(TARGETS), longest_delay: float = 0.3) -> Iterator[Kill]:
    """``n`` kills of the targets in turn, at random moments."""
    rng = random.Random(seed)
    for i in range(n):
        target = targets[i % len(targets)]
        yield Kill(target, rng.uniform(0, LATEST.get(target, 0.9)), rng.uniform(0, longest_delay))


def main() -> None:
    from scale.fake_scoring import slow_detector

    from artifact_utils.scale import ScaleConfig, ray_engine, score_urls, shards

    folder, scores, run, shard, write_seconds = sys.argv[1:]
    ray_engine.WRITE_SECONDS, shards.SHARD = float(write_seconds), int(shard)
    config = ScaleConfig(folder, scores, run=Path(run), device="cpu", workers=1)
    print(score_urls(config, open_detector=slow_detector))


if __name__ == "__main__":
    prepare_environment()
    from artifact_utils.console import run_cli

    run_cli(main)
