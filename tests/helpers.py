"""What several files of tests share: portraits that they draw themselves, and the weights of a run."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from artifact_utils.labels import CLASS_NAMES


def draw_portrait(path: Path, *, seed: int, artifact: bool, size: int = 64) -> None:
    rng = np.random.default_rng(seed)
    backdrop = Image.fromarray(rng.integers(60, 190, (8, 8, 3), dtype=np.uint8))  # so that no two look alike
    image = backdrop.resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    draw.ellipse(
        (3 * size // 8, size // 4, 5 * size // 8, 3 * size // 4), fill=tuple(rng.integers(150, 220, 3).tolist())
    )
    if artifact:
        x, y = rng.integers(size // 4, size // 2, 2).tolist()
        pixels = np.array(image)
        pixels[y : y + size // 4, x : x + size // 4] = rng.integers(0, 255, (size // 4, size // 4, 3))
        image = Image.fromarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def draw_dataset(root: Path, *, n_train: int = 40, n_test: int = 12, n_people: int = 5) -> Path:
    """Draw ``root/{train,test}/{artifacts,no_artifacts}`` with a manifest that says who is on each picture."""
    rows = []
    for split, n, people in (("train", n_train, range(n_people)), ("test", n_test, range(100, 102))):
        for i in range(n):
            artifact = i % 4 == 0
            name = f"{split}/{CLASS_NAMES[artifact]}/image_{i:05d}_{int(artifact)}.png"
            draw_portrait(root / name, seed=i + 1000 * (split == "test"), artifact=artifact)
            rows.append({"path": name, "group": f"P{people[i // 4 % len(people)]:03d}"})
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "group"])
        writer.writeheader()
        writer.writerows(rows)
    return root


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "best.safetensors")
