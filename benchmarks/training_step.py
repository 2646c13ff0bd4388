"""A training step of the engine against a plain fp32 loop, and against the bare forward and backward pass.

    python benchmarks/training_step.py --arch efficientnet_lite0 [--size 160] [--batch 16] [--rounds 10]
    python benchmarks/training_step.py --arch vgg19 --size 224 --batch 8 --rounds 3

The plain loop is the one of most tutorials: fp32, NCHW, Adam with its own loop over the parameters, ``loss.item()`` at
every step. It runs alone first, for the engine changes how the process keeps memory, and
then in turn with the engine.
The engine's step includes what the loop around the network does: scaling from uint8, the loss of the locator, clipping,
AdamW, schedule; in bf16 where the CPU multiplies in it and the network gains by it. Both train the same model, all of
it; ``--preset`` freezes what the preset does.
"""

import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from artifact_utils.checkpoints import initial_model
from artifact_utils.config import PRESETS, ResolvedConfig, TrainConfig, resolve
from artifact_utils.console import read_arguments, run_cli
from artifact_utils.datasets import Sample
from artifact_utils.device import keep_freed_memory
from artifact_utils.labels import FAMILY_NAMES
from artifact_utils.training import Learner
from artifact_utils.transforms.looks import build_transforms


def plain_loop(config: ResolvedConfig, batch: Sample) -> Callable[[], None]:
    learner = Learner(config, initial_model(config).to(config.device), n_batches=1)
    device = learner.device
    model = learner.model.to(memory_format=torch.contiguous_format).requires_grad_(True).train()  # as any other network
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, foreach=False)

    def step() -> None:
        images, targets = model.normalized(batch.image).to(device), batch.target.float().to(device)
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(images), targets)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def engine(config: ResolvedConfig, batch: Sample) -> Callable[[], object]:
    learner = Learner(config, initial_model(config).to(config.device), n_batches=1000)
    learner.model.train()
    return lambda: learner.step(batch)


def bare(config: ResolvedConfig, batch: Sample) -> Callable[[], None]:
    """Forward and backward on floats that are already where they are needed, as they are needed."""
    learner = Learner(config, initial_model(config).to(config.device), n_batches=1)
    model, device, dtype = learner.model.train(), learner.device, learner.dtype
    images = build_transforms((0.5,) * 3, (0.5,) * 3)(batch.image).to(device)
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            answer = model.locate(images)
            assert answer.places is not None
            loss = answer.logits.float().mean() + answer.places.float().mean()
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
    frozen = PRESETS[arch]["frozen"] if preset else 0.0
    options = {"weights": "none", "image_size": size, "batch_size": batch, "lr": 1e-5, "epochs": 1}
    config = resolve(TrainConfig(arch=arch, device=device, compile=compile, frozen=frozen, pooled=True, **options))  # type: ignore[arg-type]
    place = torch.device(config.device)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    masks, said = torch.zeros(batch, 1, size, size, dtype=torch.uint8), torch.zeros(batch, len(FAMILY_NAMES))
    sample = Sample(pictures, torch.arange(batch) % 2, masks, said)
    plain = plain_loop(config, sample)
    timed(plain, place)
    times = {"plain": [timed(plain, place) for _ in range(rounds)], "kept": [], "engine": [], "bare": []}
    keep_freed_memory()  # from here on malloc keeps what is freed, for the plain loop, too
    steps = {
        "kept": plain,
        "engine": engine(config, sample),
        "bare": bare(config, sample),
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
    run_cli(lambda: read_arguments(main, __doc__))
