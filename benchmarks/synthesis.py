"""Injecting artifacts: pictures per second by family, in one process and on all cores, and the time of a harmless edit.

    python benchmarks/synthesis.py [--size 256] [--n 200] [--workers 2]

CPU time is what a picture costs; it hardly changes where other programs share the machine, wall-clock time does.
"""

import time

import cv2
import numpy as np
from joblib import Parallel, cpu_count, delayed

from artifact_utils.console import read_arguments, run_cli
from artifact_utils.demo.openpeople import bases, cut_portrait
from artifact_utils.faces import Face
from artifact_utils.synthesis import FAMILIES, KINDS, harmless_edit, inject


def cut_portraits(n: int, size: int) -> list[tuple[np.ndarray, Face]]:
    """Every so many of the places in OpenPeople, as portraits of ``size`` px."""
    places = [base for person in sorted(bases()) for base in bases()[person]]
    rng = np.random.default_rng(0)
    return [cut_portrait(places[i * len(places) // n], rng, size) for i in range(n)]


def cpu_seconds(portraits: list[tuple[np.ndarray, Face]], kind: str | None, seeds: range) -> float:
    """CPU time of one injection after the other, in this process."""
    cv2.setNumThreads(1)
    started = time.process_time()
    for seed in seeds:
        image, face = portraits[seed % len(portraits)]
        rng = np.random.default_rng(seed)
        if kind == "harmless":
            harmless_edit(image, rng, face=face)
        else:
            inject(image, rng, kind=kind, face=face)
    return time.process_time() - started


def main(size: int = 256, n: int = 200, workers: int | None = None, kinds: bool = False) -> None:
    """Print images/s of each family and of all, alone and on all cores.

    Args:
        size: side of the pictures in pixels.
        n: injections for each family.
        workers: processes; by default one for each core.
        kinds: also print the milliseconds of each kind.
    """
    portraits = cut_portraits(12, size)
    cpu_seconds(portraits, None, range(100))  # the first calls load fonts and cut hands out of pictures
    print(f"{size} px, {n} injections each, one process, CPU time")
    for family in (*FAMILIES, "harmless"):
        spent = cpu_seconds(portraits, family, range(n))
        print(f"{family:9s} {n / spent:6.1f} img/s  {1000 * spent / n:5.1f} ms")
    for kind in KINDS if kinds else ():
        print(f"{kind:24s} {1000 * cpu_seconds(portraits, kind, range(12)) / 12:5.1f} ms")
    alone = cpu_seconds(portraits, None, range(2 * n))
    print(f"any kind  {2 * n / alone:6.1f} img/s  {500 * alone / n:5.1f} ms")
    workers = workers or cpu_count()
    shares = [range(i, 4 * n, workers * 2) for i in range(workers * 2)]
    with Parallel(n_jobs=workers) as pool:
        pool(delayed(cpu_seconds)(portraits, None, range(100)) for _ in shares)  # each has cut its hands from then on
        started = time.perf_counter()
        spent = sum(pool(delayed(cpu_seconds)(portraits, None, share) for share in shares))
        wall = time.perf_counter() - started
    print(f"{workers} processes: {4 * n / wall:.1f} img/s by the clock, {4 * n * workers / spent:.1f} by CPU time")


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
