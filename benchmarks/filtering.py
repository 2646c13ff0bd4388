"""Scoring files: the streaming detector against the plain loop, and against the bare network, in one process.

    python benchmarks/filtering.py [--run runs/efficientnet_lite0] [--n 400]

The plain loop opens, scores and forgets one file after the other; the bare network gets a batch that is in memory.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.demo.openpeople import bases, cut_portrait
from artifact_utils.detector import Detector
from artifact_utils.device import keep_freed_memory
from artifact_utils.models import build_model


def draw_portraits(folder: Path, n: int, size: int = 512) -> list[Path]:
    """Cut ``n`` portraits of ``size`` px from OpenPeople and save them as JPEG."""
    places = [base for person in sorted(bases()) for base in bases()[person]]
    rng = np.random.default_rng(0)
    paths = []
    for i in range(n):
        image, _ = cut_portrait(places[i % len(places)], rng, size)
        paths.append(folder / f"{i:05d}.jpg")
        Image.fromarray(image).save(paths[-1], quality=90)
    return paths


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main(run: Path | None = None, n: int = 400, batch_size: int = 32) -> None:
    """Print images/s of the three, and their ratios."""
    keep_freed_memory()
    if run is None:
        info = ModelInfo("efficientnet_lite0", 160, 0.5)
        detector = Detector(build_model(info.arch, weights="none", image_size=info.image_size), info)
    else:
        detector = Detector.load(run)
    size = detector.info.image_size
    with tempfile.TemporaryDirectory() as folder:
        paths = draw_portraits(Path(folder), n)
        batch = torch.zeros(batch_size, 3, size, size, dtype=torch.uint8)
        detector.probabilities(batch)  # the first call allocates and picks kernels
        plain = n / seconds(lambda: [detector.predict(path) for path in paths])
        batches = n // batch_size
        bare = batches * batch_size / seconds(lambda: [detector.probabilities(batch) for _ in range(batches)])
        streamed = n / seconds(lambda: list(detector.predict_files(paths, batch_size=batch_size)))
    print(f"{detector.info.arch} at {size} px, {n} JPEGs of 512 px, {torch.get_num_threads()} threads")
    print(f"streamed {streamed:6.1f} img/s")
    print(f"one by one {plain:4.1f} img/s   streamed is {streamed / plain:.2f} times as fast")
    print(f"bare network {bare:.1f} img/s   streamed reaches {streamed / bare:.0%} of it")


if __name__ == "__main__":
    tyro.cli(main)
