"""Scoring files: the streaming detector against the plain loop, and against the bare network, in one process.

    python benchmarks/filtering.py [--run runs/efficientnet_lite0] [--n 400]

The plain loop opens, scores and forgets one file after the other; the bare network gets a batch that is in memory.
Where the CPU runs the model in 8 bits by OpenVINO, PyTorch is shown beside it. All of them take turns, and the best
round of each counts.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.console import read_arguments, run_cli
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


def engines_of(detector: Detector) -> dict[str, bool]:
    """The engines that can run it here, by name, and whether each is the one in 8 bits."""
    backbone = detector.model.backbone
    with torch.inference_mode():
        arithmetic = backbone.arithmetic(next(backbone.parameters()).device)
        if arithmetic != "int8":
            return {f"PyTorch {arithmetic}": False}
        backbone.allows_int8 = False
        without = backbone.arithmetic(torch.device("cpu"))
    return {"OpenVINO int8": True, f"PyTorch {without}": False}


def main(run: Path | None = None, n: int = 400, batch_size: int = 8, rounds: int = 2) -> None:
    """Print images/s of the three by each engine, and their ratios."""
    keep_freed_memory()
    if run is None:
        info = ModelInfo("efficientnet_lite0", 160, 0.5)
        detector = Detector(build_model(info.arch, weights="none", image_size=info.image_size), info)
    else:
        detector = Detector.load(run)
    size, engines = detector.info.image_size, engines_of(detector)
    best: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = draw_portraits(Path(folder), n)
        batch = torch.zeros(batch_size, 3, size, size, dtype=torch.uint8)
        batches = max(n // batch_size, 1)
        for _ in range(rounds):
            for engine, in_8_bits in engines.items():
                detector.model.backbone.allows_int8 = in_8_bits
                detector.probabilities(batch)  # the first call allocates and picks kernels
                for name, work in (
                    ("one by one", lambda: [detector.predict(path) for path in paths]),
                    ("bare network", lambda: [detector.probabilities(batch) for _ in range(batches)]),
                    ("streamed", lambda: list(detector.predict_files(paths, batch_size=batch_size))),
                ):
                    n_pictures = batches * batch_size if name == "bare network" else n
                    speed = n_pictures / seconds(work)
                    best[engine, name] = max(speed, best.get((engine, name), 0.0))
    print(f"{detector.info.arch} at {size} px, {n} JPEGs of 512 px, {torch.get_num_threads()} threads")
    for engine in engines:
        streamed, plain, bare = (best[engine, name] for name in ("streamed", "one by one", "bare network"))
        print(f"{engine}: streamed {streamed:.1f} img/s")
        print(f"  one by one {plain:.1f} img/s   streamed is {streamed / plain:.2f} times as fast")
        print(f"  bare network {bare:.1f} img/s   streamed reaches {streamed / bare:.0%} of it")


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
