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
import tyro

from artifact_utils.models import build_model
from artifact_utils.optimisation import WeightAverage, build_optimizer
from artifact_utils.runs import Progress, restore, save


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main(arch: str = "efficientnet_lite0", rounds: int = 5) -> None:
    """Print seconds and ratios of writing and reading a state."""

    def new_parts() -> dict[str, object]:
        model = build_model(arch, weights="none", image_size=160, locates=True)
        return {
            "model": model,
            "optimizer": build_optimizer(model, lr=1e-4, weight_decay=0.01),
            "average": WeightAverage(model, 0.9),
        }

    torch.manual_seed(0)
    parts = new_parts()
    model, optimizer = parts["model"], parts["optimizer"]
    model.train()(torch.randn(4, 3, 160, 160)).sum().backward()  # type: ignore[attr-defined]
    optimizer.step()  # type: ignore[attr-defined]
    progress = Progress(epoch=1)
    with tempfile.TemporaryDirectory() as name:
        folder, plain_file = Path(name), Path(name) / "plain.pt"
        own, plain, reading, plain_reading = [], [], [], []
        for _ in range(rounds):
            own.append(seconds(lambda: save(folder, parts, progress)))  # type: ignore[arg-type]
            state = {part: content.state_dict() for part, content in parts.items()}  # type: ignore[attr-defined]
            plain.append(seconds(lambda state=state: torch.save(state, plain_file)))  # type: ignore[misc]
            other = new_parts()
            plain_reading.append(seconds(lambda: torch.load(plain_file, weights_only=True)))
            reading.append(seconds(lambda other=other: restore(folder, other, torch.device("cpu"))))  # type: ignore[misc]
        size = (folder / "last.pt").stat().st_size / 1e6
    same = all(
        torch.equal(one, two)
        for one, two in zip(model.state_dict().values(), other["model"].state_dict().values(), strict=True)  # type: ignore[attr-defined]
    )
    medians = [statistics.median(times) for times in (own, plain, reading, plain_reading)]
    print(f"{arch}, state of {size:.0f} MB, restored bitwise: {same}")
    for name, plain_name, (one, two) in (
        ("writing", "torch.save", medians[:2]),
        ("reading", "torch.load", medians[2:]),
    ):
        print(f"{name} {one:.3f} s, plain {plain_name} {two:.3f} s: {one / two:.2f} times as long")


if __name__ == "__main__":
    tyro.cli(main)
