"""What several files of tests share: portraits that they draw themselves, and the weights of a run."""

import csv
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.faces import Face
from artifact_utils.filtering import FilterConfig
from artifact_utils.labels import CLASS_NAMES


def error_of(script: Path, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a script's ``main`` ends with, in this process: to start one and import PyTorch anew takes seconds."""
    monkeypatch.setattr("sys.argv", [script.name, *map(str, arguments)])
    with pytest.raises((ArtifactUtilsError, OSError)) as stopped:
        runpy.run_path(str(script))["main"]()
    return str(stopped.value)


def draw_portrait(path: Path, *, seed: int, artifact: bool, size: int = 128) -> None:
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


def draw_face(height: int = 128, width: int = 128, *, grain: float = 2.0) -> np.ndarray:
    """A head with eyes, nose and mouth where `Face.guess` expects them, on a grey backdrop with ``grain``."""
    face = Face.guess(height, width)
    portrait = np.full((height, width, 3), (120, 122, 126), np.uint8)

    def oval(
        centre: np.ndarray | tuple[float, float], radii: tuple[float, float], colour: tuple[int, int, int]
    ) -> None:
        axes = tuple(max(round(r * face.unit), 1) for r in radii)
        cv2.ellipse(portrait, (round(centre[0]), round(centre[1])), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(face.at(0, 0.2), (1.25, 1.8), (50, 35, 28))
    oval(face.at(0, 3.2), (2.0, 1.3), (225, 225, 225))
    oval(face.at(0, 0.45), (1.0, 1.25), (200, 150, 125))
    for eye in (face.left_eye, face.right_eye):
        oval(eye, (0.2, 0.1), (240, 240, 240))
        oval(eye, (0.08, 0.08), (40, 30, 25))
    oval(face.nose, (0.14, 0.1), (170, 120, 100))
    oval(face.mouth, (0.32, 0.1), (160, 70, 75))
    noise = np.random.default_rng(0).normal(0, grain, portrait.shape)
    return np.clip(portrait + noise, 0, 255).astype(np.uint8)


def draw_dataset(root: Path, *, n_train: int = 40, n_test: int = 12, n_people: int = 5) -> Path:
    """Draw ``root/{train,test}/{artifacts,no_artifacts}`` with a manifest that says who is on each picture."""
    rows = []
    for split, n, people in (("train", n_train, range(n_people)), ("test", n_test, range(100, 102))):
        for i in range(n):
            artifact = i % 4 == 0
            name = f"{split}/{CLASS_NAMES[artifact]}/image_{i:05d}_{int(artifact)}.png"
            draw_portrait(root / name, seed=i + 1000 * (split == "test"), artifact=artifact, size=64)
            rows.append({"path": name, "group": f"P{people[i // 4 % len(people)]:03d}"})
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "group"])
        writer.writeheader()
        writer.writerows(rows)
    return root


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "best.safetensors")


def assert_same_state(one, other):
    """Bitwise, through all that a state holds: weights, average, optimiser, schedule, progress."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds"}:
            assert_same_state(one[name], other[name])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            assert_same_state(a, b)
    else:
        assert one == other


def draw_noise(path: Path, seed: int) -> Path:
    """A small PNG, whatever its name says, that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path, "png")
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path; not the databases, which differ from run to run."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".sqlite" not in path.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def reasons_in(output: Path) -> dict[str, str]:
    """Why each file was left where it is, by its name, as rejected.csv says."""
    return {Path(row["source"]).name: row["reason"] for row in read_rows(output / "rejected.csv")}


def scores_by_path(config: FilterConfig) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in read_rows(config.scores)}


def middle_threshold(config: FilterConfig) -> float:
    """A threshold that flags half of the pictures in the table."""
    values = sorted(float(row["probability"]) for row in read_rows(config.scores) if row["probability"])
    return (values[5] + values[6]) / 2
