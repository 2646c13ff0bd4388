"""Scoring in large numbers: against the bare network, the plain loop and the built-in engine, and on more machines.

    python benchmarks/scale.py single --n 400                 # streamed, bare network, ImageFolder + DataLoader
    python benchmarks/scale.py memory --n 200000            # peak memory of scoring 1,000 and that many files
    python benchmarks/scale.py ray --n 20000                  # Ray with 1 and 2 workers against the built-in engine
    python benchmarks/scale.py cluster --n 8000               # 1 and 4 nodes of ray.cluster_utils, fake scoring time
    python benchmarks/scale.py rows --n 10000000              # select on that many rows

Ray and DuckDB need python -m pip install -e ".[scale]". All that one command compares is measured in it, in turn.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
import tyro
from PIL import Image

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.console import read_arguments, run_cli
from artifact_utils.demo.openpeople import bases, cut_portrait
from artifact_utils.detector import Detector
from artifact_utils.device import keep_freed_memory
from artifact_utils.files.model_files import pretrained_file
from artifact_utils.filtering import FilterConfig, score_folder
from artifact_utils.models import build_model
from artifact_utils.predictions import Prediction
from artifact_utils.transforms.looks import Seen

N_DIFFERENT = 100  # portraits; the rest are hard links to them
FAKE_SECONDS = 0.05  # that the fake detector takes for a picture


def draw_portraits(folder: Path, n: int, size: int = 512) -> list[Path]:
    """``n`` JPEGs in folders of a thousand, most of them other names of a few."""
    places = [base for person in sorted(bases()) for base in bases()[person]]
    rng, paths = np.random.default_rng(0), list[Path]()
    for i in range(n):
        path = folder / f"{i // 1000:04d}" / f"{i:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i < N_DIFFERENT:
            Image.fromarray(cut_portrait(places[i % len(places)], rng, size)[0]).save(path, quality=90)
        else:
            os.link(paths[i % N_DIFFERENT], path)
        paths.append(path)
    return paths


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def store_model(folder: Path) -> Path:
    """An untrained EfficientNet-Lite0 at 160 px: how fast it is does not depend on what it has learned."""
    torch.manual_seed(0)
    info = ModelInfo("efficientnet_lite0", 160, 0.5)
    save_checkpoint(
        folder / "model.safetensors", build_model(info.arch, weights="none", image_size=info.image_size), info
    )
    return folder / "model.safetensors"


def plain_loop(folder: Path, detector: Detector, batch_size: int, *, in_8_bits: bool) -> None:
    """What people write: ImageFolder, a DataLoader, the model; in PyTorch, or by the engine for 8 bits."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    side = detector.info.image_size
    transform = v2.Compose([v2.Resize((side, side)), v2.PILToTensor(), detector.transform])
    loader = DataLoader(ImageFolder(folder, transform), batch_size, num_workers=os.cpu_count() or 1)
    detector.model.backbone.allows_int8 = in_8_bits
    with torch.inference_mode():
        for images, _ in loader:
            torch.sigmoid(detector.model.locate(images).logits)
    detector.model.backbone.allows_int8 = True


def single(n: int, run: Path | None, batch_size: int = 8, rounds: int = 2) -> None:
    """Images a second: streamed, the bare network, the plain loop; the best round of each."""
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as home:
        paths = draw_portraits(Path(home) / "faces", n)
        detector = Detector.load(run or pretrained_file(), device="cpu")
        side = detector.info.image_size
        batch = torch.zeros(batch_size, 3, side, side, dtype=torch.uint8)
        plain = partial(plain_loop, Path(home) / "faces", detector, batch_size)
        works: dict[str, Callable[[], object]] = {
            "streamed": lambda: list(detector.predict_files(paths, batch_size=batch_size)),
            "bare network": lambda: [detector.probabilities(batch) for _ in range(n // batch_size)],
            "ImageFolder, DataLoader, PyTorch": partial(plain, in_8_bits=False),
            "the same with its 8 bits": partial(plain, in_8_bits=True),
        }
        best = dict.fromkeys(works, 0.0)
        for _ in range(rounds):
            for name, work in works.items():
                best[name] = max(best[name], n / seconds(work))
    print(f"{detector.info.arch} at {side} px, {n} JPEGs of 512 px, {torch.get_num_threads()} threads")
    for name, speed in best.items():
        print(f"  {name:34}{speed:8.1f} img/s   streamed: {best['streamed'] / speed:.2f} of it")


def memory(n: int) -> None:
    """Peak memory of processes that score 1,000 and ``n`` files; the detector is a fake one."""
    with tempfile.TemporaryDirectory() as home:
        model = store_model(Path(home))
        for number in (1000, n):
            folder = Path(home) / f"faces{number}"
            draw_portraits(folder, number, size=128)
            code = (
                "import sys; sys.path.insert(0, 'benchmarks'); from scale import score_quickly; "
                f"score_quickly({str(folder)!r}, {str(model)!r})"
            )
            shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            print(f"{number:,} files: {shown.stdout.strip()}", flush=True)


def score_quickly(folder: str, model: str) -> None:
    """Score a folder with a network that answers at once, and print the time and the peak memory."""
    Detector.judge = lambda self, pictures: [Prediction(0.1, False) for _ in pictures]  # type: ignore[method-assign]
    config = FilterConfig(Path(folder), Path(model), Path(folder).with_suffix(".csv"), device="cpu")
    taken = seconds(lambda: score_folder(config))
    print(f"{taken:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def ray(n: int, run: Path | None, workers: tuple[int, ...] = (1, 2)) -> None:
    """Images a second of Ray on this machine against the built-in engine, with their starts and without."""
    from artifact_utils.scale import ScaleConfig, score_urls

    with tempfile.TemporaryDirectory() as home:
        folder, model = Path(home) / "faces", run or store_model(Path(home))
        draw_portraits(folder, n)
        builtin = seconds(lambda: score_folder(FilterConfig(folder, model, Path(home) / "scores.csv", device="cpu")))
        print(f"{n:,} JPEGs of 512 px, {os.cpu_count()} cores, {torch.get_num_threads()} threads of the network")
        print(f"  built-in engine {n / builtin:.1f} img/s", flush=True)
        for number in workers:
            config = ScaleConfig(str(folder), f"{home}/scores{number}", run=model, device="cpu", workers=number)
            taken = seconds(partial(score_urls, config))
            again = seconds(partial(score_urls, config))  # nothing to score: what the start costs
            print(
                f"  Ray, {number} workers {n / taken:.1f} img/s ({builtin / taken:.2f} of it), "
                f"without its start of {again:.1f} s {n / (taken - again):.1f} img/s "
                f"({builtin / (taken - again):.2f} of it)",
                flush=True,
            )


class FakeDetector:
    """Sleeps where a network would compute, so that a node needs no core of its own.

    Args:
        folder: for a file of the times at which pictures were scored.
    """

    def __init__(self, folder: str) -> None:
        self.times = Path(folder) / f"{os.getpid()}.times"
        self.times.parent.mkdir(exist_ok=True)

    def judge(self, pictures: list[Seen]) -> list[Prediction]:
        time.sleep(FAKE_SECONDS * len(pictures))
        with self.times.open("a") as file:
            file.writelines(f"{time.time()}\n" for _ in pictures)
        return [Prediction(0.1, False) for _ in pictures]


def speed_of_all(folder: str, number: int) -> float:
    """Images a second while all fake detectors were at work: once the last had begun, until the first had ended."""
    times = [np.loadtxt(path, ndmin=1) for path in Path(folder).glob("*.times")]
    if len(times) < number:
        return float("nan")
    begin, end = max(found[0] for found in times), min(found[-1] for found in times)
    together = np.concatenate(times)
    return float(((together > begin) & (together <= end)).sum() / (end - begin)) if end > begin else float("nan")


def cluster(n: int, nodes: tuple[int, ...] = (1, 4)) -> None:
    """Images a second on clusters of several Ray nodes on this machine; each has one fake detector."""
    import ray as ray_package
    from ray.cluster_utils import Cluster

    from artifact_utils.scale import ScaleConfig, score_urls

    speeds = {}
    with tempfile.TemporaryDirectory() as home:
        model = store_model(Path(home))
        draw_portraits(Path(home) / "faces", n, size=128)
        for number in nodes:
            machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 200 << 20})
            for _ in range(number - 1):
                machines.add_node(num_cpus=2, object_store_memory=200 << 20)
            ray_package.init(address=machines.address, log_to_driver=False, logging_level="ERROR")
            config = ScaleConfig(
                f"{home}/faces", f"{home}/scores{number}", run=model, device="cpu", workers=number, address="auto"
            )
            times = f"{home}/times{number}"
            taken = seconds(partial(score_urls, config, open_detector=partial(FakeDetector, times)))
            again = seconds(partial(score_urls, config, open_detector=partial(FakeDetector, f"{times}-again")))
            speeds[number] = n / taken, n / (taken - again), speed_of_all(times, number)
            ray_package.shutdown()
            machines.shutdown()
            print(f"{number} nodes, {taken:.1f} s, of which the start takes {again:.1f} s")
            titles = ("with the start", "without it", "while all nodes score")
            for title, speed, first in zip(titles, speeds[number], speeds[nodes[0]], strict=True):
                print(f"  {title:24}{speed:8.1f} img/s, {speed / first * nodes[0] / number:.2f} of linear", flush=True)


def rows(n: int) -> None:
    """Time that ``select`` takes for ``n`` made-up rows in parts of 100,000."""
    from artifact_utils.filtering.selection import SelectConfig, select
    from artifact_utils.scale.score_parts import About, ScoreParts
    from artifact_utils.scale.stores import LocalStore

    families = ("hands", "face", "text", "objects", "glitch", "gaze")
    about, rng, size = About("/faces", "0" * 64, 0.6, families[:5], families), np.random.default_rng(0), 100_000
    with tempfile.TemporaryDirectory() as home:
        parts = ScoreParts(LocalStore(Path(home) / "scores"), about)
        for start in range(0, n, size):
            p = rng.beta(0.6, 4, size)
            columns = {
                "path": [f"day{i % 30:02d}/batch{i // 1000:06d}/face_{i:09d}.jpg" for i in range(start, start + size)],
                "size": rng.integers(50_000, 200_000, size),
                "mtime_ns": np.ones(size, np.int64),
                "etag": [""] * size,
                "probability": p,
                "family": np.array(families)[rng.integers(0, 5, size)].tolist(),
                "place": pa.StructArray.from_arrays(
                    [pa.array(rng.integers(0, 512, size).astype(np.int32)) for _ in range(6)],
                    names=["x", "y", "left", "top", "right", "bottom"],
                ),
                "flagged": p >= about.threshold,
                "reason": [""] * size,
                "model": [about.model] * size,
                "families": pa.StructArray.from_arrays(
                    [pa.array(rng.random(size, np.float32)) for _ in families], names=list(families)
                ),
            }
            parts.append(pa.table(columns).cast(about.schema))
        megabytes = sum(path.stat().st_size for path in (Path(home) / "scores").iterdir()) / 1e6
        print(f"{n:,} rows, {megabytes:,.0f} MB", flush=True)
        for title, options in (
            ("its threshold", {}),
            ("another one", {"threshold": 0.8}),
            ("a share", {"review": 0.02}),
        ):
            config = SelectConfig(f"{home}/scores", worst=0, out=Path(home) / "out", **options)  # type: ignore[arg-type]
            print(f"  select at {title}: {seconds(partial(select, config)):.1f} s", flush=True)


def main(
    what: tyro.conf.Positional[Literal["single", "memory", "ray", "cluster", "rows"]], n: int, run: Path | None = None
) -> None:
    """Print what one of the comparisons gives for ``n`` pictures or rows, with the model of a run.

    By default that is the packaged one for ``single``, else an untrained one, which is quicker than most.
    """
    if what in ("single", "ray"):
        {"single": single, "ray": ray}[what](n, run)
    else:
        {"memory": memory, "cluster": cluster, "rows": rows}[what](n)


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
