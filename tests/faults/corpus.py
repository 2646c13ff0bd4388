"""A hostile folder through every tool: no traceback, no hang, bounded memory, nothing changed."""

import hashlib
import os
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from helpers import draw_dataset, draw_noise

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.images import ImageError, decode_small, load_image, read_file
from artifact_utils.labels import CLASS_NAMES
from artifact_utils.models import ArtifactClassifier
from faults.commands import run_command
from faults.hostile_pictures import draw_hostile
from faults.killing import run_child

SECONDS_A_PICTURE = 10.0
"""Of processor time, and six times that on a busy machine's clock."""
MEMORY_ABOVE_MODEL = 1 << 30


@dataclass(frozen=True)
class Passed:
    """How a tool went through the corpus."""

    tool: str
    n: int
    """Files, with links, pipes and the like."""
    seconds: float
    megabytes: float
    """Of memory, above what the same tool takes for a few usual pictures."""


def go_through(folder: Path, n: int, seed: int, *, labels: bool = True) -> Iterator[Passed]:
    """Draw a corpus and run every tool over it.

    Args:
        folder: empty; the corpus and all outputs come into it.
        n: hostile pictures.
        seed: of the pictures.
        labels: whether the audit looks for wrong labels, which takes longest.

    Raises:
        AssertionError: a tool has failed, hangs, takes too much memory or has changed a file.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = folder / "model.safetensors"
    save_checkpoint(model, ArtifactClassifier("test_resnet", 32), ModelInfo("test_resnet", 32, 0.5))
    few, many = folder / "few", folder / "many"
    for home in (few, many):
        draw_dataset(home / "nested", n_train=16, n_test=8, n_people=3)
        for i in range(8):
            draw_noise(home / "flat/train" / f"usual{i}_{i % 2}.png", i)
    splits = {label: [many / "nested" / s / CLASS_NAMES[label] for s in ("train", "test")] for label in (0, 1)}
    n_nested = draw_hostile(splits, n, seed)
    n_flat = draw_hostile({label: [many / "flat/train"] for label in (0,)} | {1: [many / "flat/test"]}, n, seed)
    before = snapshot(many)

    started = time.monotonic()
    run_child(lambda: open_each(many), folder, limit=SECONDS_A_PICTURE * (n_nested + n_flat))
    yield Passed("pictures one by one", n_nested + n_flat, time.monotonic() - started, 0.0)
    out = folder / "out"
    out.mkdir()
    commands = {
        "filter_images.py": ("{}/nested", "--run", model, "--scores", f"{out}/{{}}.csv"),
        "artifact_utils.audit": (
            "{}/nested", "--out", f"{out}/audit-{{}}", "--labels" if labels else "--no-labels",
        ),
        "organize_dataset.py": ("--source", "{}/flat", "--output", f"{out}/dataset-{{}}"),
        "model_training.py": (
            "--data", "{}/nested", "--skip-broken", "--out", f"{out}/run-{{}}", "--arch", "test_resnet",
            "--weights", "none", "--image-size", "32", "--epochs", "1", "--workers", "0", "--device", "cpu",
            "--cache", f"{out}/cache-{{}}",
        ),
    }  # fmt: skip
    for name, template in commands.items():

        def job(home: Path) -> None:
            os.chdir(folder)
            arguments = [str(word) for word in template]  # noqa: B023 (it runs in this turn)
            fills = [home if word.startswith("{}") else home.name for word in arguments]
            run_command(name, *(word.format(fill) for word, fill in zip(arguments, fills, strict=True)))  # noqa: B023

        usual = run_child(lambda: job(few), folder)
        started = time.monotonic()
        ended = run_child(lambda: job(many), folder, limit=SECONDS_A_PICTURE * n_nested)
        assert "Traceback" not in ended.output, ended.output
        megabytes = (ended.peak_bytes - usual.peak_bytes) / 1e6
        assert ended.peak_bytes - usual.peak_bytes < MEMORY_ABOVE_MODEL, f"{name} took {megabytes:.0f} MB"
        changed = set(snapshot(many).items()) ^ set(before.items())
        assert not changed, f"{name} has changed {sorted(changed)[:5]}"
        yield Passed(name, n_flat if "organize" in name else n_nested, time.monotonic() - started, megabytes)


def open_each(folder: Path) -> None:
    """Decode every picture as the tools do; the kernel ends this process at one that takes too long."""
    for path in sorted(folder.rglob("*"), key=os.fsencode):
        print(ascii(str(path)), flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS_A_PICTURE)
        signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS_A_PICTURE)
        for decode in (lambda p: load_image(p, min_side=160), lambda p: decode_small(read_file(p), p.name, 256)):
            try:
                decode(path)
            except ImageError as error:
                print(" ", error.reason.encode("ascii", "backslashreplace").decode())
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """What is below a folder: kind, mode, size, time and content; folders by their kind and mode alone."""
    found: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            found[ascii(str(path))] = (status.st_mode,)
            continue
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 28 else b""
        digest = hashlib.sha256(content).hexdigest()
        found[ascii(str(path))] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_nlink, digest)
    return found
