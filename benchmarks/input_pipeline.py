"""Input pipeline against torchvision's ``ImageFolder``: the same pictures, transforms, batches and workers.

    python benchmarks/input_pipeline.py [--n 200] [--side 1024] [--size 224] [--workers 2] [--augment heavy]

Draws 1024 px PNGs, then times epochs of both in turn: the first, which here decodes everything into the cache, and
later ones. ImageFolder resizes with PIL as we do and augments with torchvision's own transforms.
"""

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from artifact_utils.config import TrainConfig, resolve
from artifact_utils.console import read_arguments, run_cli
from artifact_utils.labels import CLASS_NAMES
from artifact_utils.loaders import build_loaders
from artifact_utils.transforms.looks import PAD_COLOUR, build_transforms, to_square

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def draw_pictures(root: Path, n: int, side: int) -> None:
    """Smooth colours with the grain of a photograph: PNGs of about 1.5 MB at 1024 px."""
    for i in range(n):
        rng = np.random.default_rng(i)
        image = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).resize((side, side))
        pixels = np.asarray(image) + rng.normal(0, 2, (side, side, 1))
        folder = root / ("test" if i % 8 == 0 else "val" if i % 8 == 1 else "train") / CLASS_NAMES[i // 8 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"image_{i:05d}.png", compress_level=3)


class JpegRoundTrip(v2.Transform):
    """As ours, in torchvision's codec; without it the comparison would not be of the same transforms."""

    def make_params(self, flat_inputs: list[torch.Tensor]) -> dict[str, int | None]:
        return {"quality": None if torch.rand(()) >= 0.5 else int(torch.randint(40, 96, ()))}

    def transform(self, inpt: torch.Tensor, params: dict[str, int | None]) -> torch.Tensor:
        return inpt if params["quality"] is None else v2.functional.jpeg(inpt, params["quality"])


def plain_transforms(augment: str, size: int) -> v2.Transform:
    """The steps of ``build_augmentation`` in torchvision's transforms."""
    affine = {"interpolation": v2.InterpolationMode.BILINEAR, "fill": list(PAD_COLOUR)}
    light = [
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(5, translate=(0.04, 0.04), **affine),
        v2.ColorJitter(brightness=0.1, contrast=0.1),
    ]
    heavy = [
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(20, translate=(0.08, 0.08), scale=(0.85, 1.2), shear=8, **affine),
        JpegRoundTrip(),
        v2.ColorJitter(brightness=0.25, contrast=0.25, saturation=0.25),
        v2.RandomApply([v2.ColorJitter(hue=0.03)], p=0.1),
        v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 1.0))], p=0.1),
    ]
    steps = {"none": [], "light": light, "heavy": heavy}[augment]
    return v2.Compose([v2.Lambda(lambda image: to_square(image, size)), *steps, build_transforms(MEAN, STD)])


def seconds(loader: DataLoader, scale: v2.Transform | None = None) -> float:
    started = time.perf_counter()
    for batch in loader:
        if scale is not None:
            scale(batch[0])  # ours comes in uint8 and is scaled in batches
    return time.perf_counter() - started


def main(
    n: int = 200,
    side: int = 1024,
    size: int = 224,
    workers: int = 2,
    batch_size: int = 16,
    augment: Literal["none", "light", "heavy"] = "heavy",
    rounds: int = 3,
) -> None:
    """Print images/s of the first and of later epochs, and the ratios."""
    root = Path(tempfile.mkdtemp())
    try:
        draw_pictures(root, n, side)
        folder = ImageFolder(str(root / "train"), plain_transforms(augment, size))
        plain = DataLoader(folder, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
        started = time.perf_counter()
        options = {"image_size": size, "batch_size": batch_size, "augment": augment, "workers": workers}
        plain_draws = {"synthetic_fraction": 0.0, "paired": False, "device": "cpu", "arch": "resnet18"}
        ours = build_loaders(resolve(TrainConfig(data=root, **plain_draws, **options)))  # type: ignore[arg-type]
        n_all = sum(len(loader.dataset) for loader in (ours.train, ours.validation, ours.test))
        decoding = (time.perf_counter() - started) * len(ours.train.dataset) / n_all  # of the training pictures
        scale = build_transforms(MEAN, STD)
        first = decoding + seconds(ours.train, scale), seconds(plain)
        later = [(seconds(ours.train, scale), seconds(plain)) for _ in range(rounds)]
    finally:
        shutil.rmtree(root)
    print(f"{len(folder)} PNGs of {side} px to {size} px, augmentation {augment}, {workers} workers")
    print(
        f"first epoch: ours {len(folder) / first[0]:.0f} img/s, ImageFolder {len(folder) / first[1]:.0f}: "
        f"{first[1] / first[0]:.2f} times as fast"
    )
    own, other = (statistics.median(times) for times in zip(*later, strict=True))
    print(
        f"later epochs: ours {len(folder) / own:.0f} img/s, ImageFolder {len(folder) / other:.0f}: "
        f"{statistics.median(b / a for a, b in later):.1f} times as fast"
    )


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
