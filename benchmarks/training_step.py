"""A training step of the engine against a plain fp32 loop, and against the bare forward and backward pass.

    python benchmarks/training_step.py --arch efficientnet_lite0 [--size 160] [--batch 16] [--rounds 10]
    python benchmarks/training_step.py --arch vgg19 --size 224 --batch 8 --rounds 3

The plain loop is the one of most tutorials: fp32, NCHW, PyTorch's own convolutions, Adam with its own loop over the
parameters, ``loss.item()`` at every step. It runs alone first, for the engine changes how the process keeps memory, and
then in turn with the engine.
The engine's step includes what the loop around the network does: scaling from uint8, the loss of the locator, clipping,
AdamW, schedule. Both train the same model, all of it; ``--preset`` freezes what the preset does.
"""

import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import tyro
from torch.nn.functional import binary_cross_entropy_with_logits

from artifact_utils.config import PRESETS, TrainConfig, resolve
from artifact_utils.datasets import Sample
from artifact_utils.models import ArtifactClassifier, build_model
from artifact_utils.optimisation import build_optimizer, keep_freed_memory
from artifact_utils.training_step import TrainingStep
from artifact_utils.transforms import build_transforms


def new_model(arch: str, size: int, frozen: float, device: torch.device) -> ArtifactClassifier:
    torch.manual_seed(0)
    model = build_model(arch, weights="none", image_size=size, locates=True)
    model.freeze(frozen)
    return model.to(device).train()


def plain_loop(arch: str, size: int, device: torch.device, batch: Sample) -> Callable[[], None]:
    model = new_model(arch, size, 0.0, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, foreach=False)
    scale = build_transforms((0.5,) * 3, (0.5,) * 3)

    def step() -> None:
        images, targets = scale(batch.image).to(device), batch.target.float().to(device)
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(images), targets)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def engine(config: TrainConfig, size: int, frozen: float, device: torch.device, batch: Sample) -> Callable[[], None]:
    model = new_model(config.arch, size, frozen, device).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, lr=1e-5, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    step = TrainingStep(config, model, optimizer, schedule, torch.amp.GradScaler(device.type, enabled=False), None)
    rng = np.random.default_rng(0)
    return lambda: step(batch, rng)


def bare(config: TrainConfig, size: int, frozen: float, device: torch.device, batch: Sample) -> Callable[[], None]:
    """Forward and backward on floats that are already where they are needed, as they are needed."""
    model = new_model(config.arch, size, frozen, device).to(memory_format=torch.channels_last)
    images = build_transforms((0.5,) * 3, (0.5,) * 3)(batch.image).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    dtype = TrainingStep(
        config,
        model,
        optimizer := build_optimizer(model, lr=1e-5, weight_decay=0.0),
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0),
        torch.amp.GradScaler(device.type, enabled=False),
        None,
    ).dtype

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits, places = model.locate(images)
            assert places is not None
            loss = logits.float().mean() + places.float().mean()
        loss.backward()

    return step


def timed(step: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and of processor time with the kernel's."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    after = resource.getrusage(resource.RUSAGE_SELF)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, busy


def main(
    arch: str = "efficientnet_lite0",
    size: int = 160,
    batch: int = 16,
    rounds: int = 10,
    device: str = "auto",
    preset: bool = False,
    compile: bool = False,
) -> None:
    """Print the seconds of a step and the ratios; by processor time too, which neighbours disturb less."""
    config = resolve(TrainConfig(arch=arch, device=device, image_size=size, compile=compile))  # type: ignore[arg-type]
    place, frozen = torch.device(config.device), PRESETS[arch]["frozen"] if preset else 0.0
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    sample = Sample(pictures, torch.arange(batch) % 2, torch.zeros(batch, 1, size, size, dtype=torch.uint8))
    plain = plain_loop(arch, size, place, sample)
    timed(plain, place)
    times = {"plain": [timed(plain, place) for _ in range(rounds)], "kept": [], "engine": [], "bare": []}
    keep_freed_memory()  # from here on malloc keeps what is freed, for the plain loop, too
    steps = {
        "kept": plain,
        "engine": engine(config, size, frozen, place, sample),
        "bare": bare(config, size, frozen, place, sample),
    }
    for number in range(rounds + 1):
        for name, step in steps.items():
            if spent := timed(step, place):
                times[name] += [spent] if number else []
    wall, busy = ({name: statistics.median(t[i] for t in spent) for name, spent in times.items()} for i in range(2))
    print(f"{arch}, {batch} pictures of {size} px on {place}, {torch.get_num_threads()} threads, median of {rounds}")
    for name in times:
        print(f"{name:7s} {wall[name]:.3f} s, {batch / wall[name]:.1f} img/s, processor {busy[name]:.3f} s")
    for name, meaning in (
        ("plain", "the plain loop"),
        ("kept", "one that keeps the memory it frees, as the engine does"),
    ):
        print(f"engine: {wall[name] / wall['engine']:.2f} times {meaning}", end=" ")
        print(f"(processor time {busy[name] / busy['engine']:.2f})")
    print(f"engine: {wall['engine'] / wall['bare'] - 1:+.1%} of the bare pass", end=" ")
    print(f"(processor time {busy['engine'] / busy['bare'] - 1:+.1%})")


if __name__ == "__main__":
    tyro.cli(main)
