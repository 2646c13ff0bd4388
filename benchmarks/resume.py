"""Resuming: what a state costs to write and to read, against plain ``torch.save``, and whether all comes back bitwise.

    python benchmarks/resume.py [--arch efficientnet_lite0]

Writing includes the checksum, the sync to the disk and the rename that make a state whole or absent; the plain
alternative is ``torch.save`` into the file itself, which a kill leaves half written.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from artifact_utils.checkpoints import initial_model
from artifact_utils.config import TrainConfig, resolve
from artifact_utils.console import read_arguments, run_cli
from artifact_utils.datasets import Sample
from artifact_utils.labels import FAMILY_NAMES
from artifact_utils.runs import Progress, restore, save
from artifact_utils.training import Learner


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main(arch: str = "efficientnet_lite0", rounds: int = 5) -> None:
    """Print seconds and ratios of writing and reading a state."""

    side, n = 160, 4
    config = resolve(TrainConfig(arch=arch, weights="none", device="cpu", image_size=side, batch_size=n, ema=0.9))
    learner = Learner(config, initial_model(config), n_batches=100)
    pictures = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8)
    learner.model.train()
    masks, said = torch.zeros(n, 1, side, side, dtype=torch.uint8), torch.zeros(n, len(FAMILY_NAMES))
    learner.step(Sample(pictures, torch.arange(n) % 2, masks, said))
    progress = Progress(epoch=1)
    with tempfile.TemporaryDirectory() as name:
        folder, plain_file = Path(name), Path(name) / "plain.pt"
        own, plain, reading, plain_reading = [], [], [], []
        for _ in range(rounds):
            own.append(seconds(lambda: save(folder, learner, progress)))
            state = learner.state_dict()
            plain.append(seconds(lambda state=state: torch.save(state, plain_file)))  # type: ignore[misc]
            other = Learner(config, initial_model(config), n_batches=100)
            plain_reading.append(seconds(lambda: torch.load(plain_file, weights_only=True)))
            reading.append(seconds(lambda other=other: restore(folder, other, torch.device("cpu"))))  # type: ignore[misc]
        size = (folder / "last.pt").stat().st_size / 1e6
    pairs = zip(learner.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    same = all(torch.equal(one, two) for one, two in pairs)
    medians = [statistics.median(times) for times in (own, plain, reading, plain_reading)]
    print(f"{arch}, state of {size:.0f} MB, restored bitwise: {same}")
    for name, plain_name, (one, two) in (
        ("writing", "torch.save", medians[:2]),
        ("reading", "torch.load", medians[2:]),
    ):
        print(f"{name} {one:.3f} s, plain {plain_name} {two:.3f} s: {one / two:.2f} times as long")


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
