"""Robustness: metrics on compressed, blurred, noisy, small, dark and edited pictures, by the degree of the change.

Both classes are changed in the same way, and the noise of a picture depends on its place in the list alone.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image

from artifact_utils.console import progress_bar
from artifact_utils.detector import Detector
from artifact_utils.faces import find_face
from artifact_utils.images import load_image
from artifact_utils.labels import Portrait
from artifact_utils.metrics.scores import evaluate
from artifact_utils.synthesis import harmless_edit
from artifact_utils.transforms.looks import to_square

Picture = npt.NDArray[np.uint8]  # (H, W, 3)

_SIDE = 256  # blur is in pixels of a picture of this short side, so that a degree means the same at any resolution


def jpeg(picture: Picture, quality: float, rng: np.random.Generator) -> Picture:
    """Encoded as JPEG of that quality, 1 to 95."""
    coded = io.BytesIO()
    Image.fromarray(picture).save(coded, "JPEG", quality=int(quality))
    return np.array(Image.open(coded))


def blur(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Gaussian; ``sigma`` in pixels of a picture whose short side is 256 px."""
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma * min(picture.shape[:2]) / _SIDE)
    return np.asarray(blurred, dtype=np.uint8)


def noise(picture: Picture, deviation: float, rng: np.random.Generator) -> Picture:
    """Gaussian noise of that standard deviation, in grey levels of 255."""
    noisy = picture + rng.normal(0, deviation, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def resize(picture: Picture, side: float, rng: np.random.Generator) -> Picture:
    """Shrunk to a short side of that many pixels, where it is larger."""
    height, width = picture.shape[:2]
    factor = min(1.0, side / min(height, width))
    return resolution(picture, factor, rng)


def resolution(picture: Picture, factor: float, rng: np.random.Generator) -> Picture:
    """Resized to that many times its width and height."""
    height, width = picture.shape[:2]
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def brightness(picture: Picture, factor: float, rng: np.random.Generator) -> Picture:
    """Grey levels times a factor."""
    return np.clip(np.rint(picture * factor), 0, 255).astype(np.uint8)


def harmless(picture: Picture, n: float, rng: np.random.Generator) -> Picture:
    """That many edits that make no artifact, one after the other: pasted back, dyed clothes, freckles, glasses."""
    face = find_face(picture)
    for _ in range(int(n)):
        picture, _ = harmless_edit(picture, rng, face=face)
    return picture


PERTURBATIONS: dict[str, tuple[Callable[[Picture, float, np.random.Generator], Picture], tuple[float, ...]]] = {
    "JPEG quality": (jpeg, (95, 80, 50, 30, 10)),
    "blur": (blur, (1, 2, 4)),
    "noise": (noise, (8, 16, 32)),
    "short side": (resize, (128, 96, 64)),
    "resolution": (resolution, (0.5, 2)),
    "brightness": (brightness, (0.4, 0.7, 1.3, 1.6)),
    "harmless edits": (harmless, (1, 3)),
}
"""By name: the function that changes a picture, and the degrees that are tried. Its docstring says their unit."""


def measure_robustness(
    detector: Detector,
    portraits: Sequence[Portrait],
    *,
    perturbations: Mapping[str, Sequence[float]] | None = None,
    groups: Sequence[Any] | npt.NDArray[Any] | None = None,
    n_bootstrap: int = 200,
    batch_size: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure a detector on perturbed pictures, at its own threshold.

    Pictures are read once and only a batch is in memory; it takes as long as scoring them once for each degree.

    Args:
        detector: what is measured.
        portraits: labelled pictures, of both classes.
        perturbations: by name of ``PERTURBATIONS`` the degrees to try; by default all of them.
        groups: (N,) for the intervals, see ``metrics.evaluate``.
        n_bootstrap: resamples for the intervals; 0 leaves them out.
        batch_size: pictures that the network scores at once.
        seed: of the noise and of the resampling.

    Returns:
        One row for each degree: ``perturbation``, ``degree``, ``n``, ``accuracy``, ``macro_f1``, ``roc_auc``,
        ``recall``, ``false_alarms`` (shares; missing where undefined), and the ends of the 95% intervals of
        ``macro_f1`` and ``recall``, ``_low`` and ``_high``. The first row is of the pictures as they are: ``none``,
        with no degree.

    Raises:
        ValueError: an unknown perturbation.
        ImageError: one of the pictures cannot be read.
    """
    asked = {name: degrees for name, (_, degrees) in PERTURBATIONS.items()} if perturbations is None else perturbations
    unknown = set(asked) - set(PERTURBATIONS)
    if unknown:
        raise ValueError(f"unknown perturbation {min(unknown)!r}: choose among {', '.join(PERTURBATIONS)}")
    todo = [("none", np.nan)] + [(name, float(degree)) for name, degrees in asked.items() for degree in degrees]
    scores = np.empty((len(todo), len(portraits)))
    with progress_bar(label="robustness", total=scores.size, unit="img", only_in_terminal=True) as bar:
        for start in range(0, len(portraits), batch_size):
            batch = range(start, min(start + batch_size, len(portraits)))
            pictures = [np.asarray(load_image(portraits[i].path)) for i in batch]
            for row, (name, degree) in enumerate(todo):
                changed = [_perturb(p, name, degree, seed, i) for i, p in zip(batch, pictures, strict=True)]
                squares = torch.stack([to_square(Image.fromarray(p), detector.info.image_size) for p in changed])
                scores[row, batch] = detector.probabilities(squares).numpy()
                bar.update(len(batch))
    targets = [portrait.label for portrait in portraits]
    rows: list[dict[str, Any]] = []
    for (name, degree), probabilities in zip(todo, scores, strict=True):
        metrics = evaluate(
            probabilities, targets, detector.threshold, groups=groups, n_bootstrap=n_bootstrap, seed=seed
        )
        rows.append({"perturbation": name, "degree": degree, "n": len(targets)} | _row(metrics))
    return pd.DataFrame(rows)


def _perturb(picture: Picture, name: str, degree: float, seed: int, index: int) -> Picture:
    if name == "none":
        return picture
    return PERTURBATIONS[name][0](picture, degree, np.random.default_rng([seed, index]))


def _row(metrics: dict[str, Any]) -> dict[str, float]:
    clean, artifacts = (metrics["classes"][name]["recall"] for name in ("no_artifacts", "artifacts"))
    values = {name: metrics[name] for name in ("accuracy", "macro_f1", "roc_auc")}
    values |= {"recall": artifacts, "false_alarms": None if clean is None else 1 - clean}
    intervals = metrics["intervals"]
    ends = {
        "macro_f1": intervals.get("macro_f1"),
        "recall": intervals["classes"]["artifacts"]["recall"] if intervals else None,
    }
    for name, interval in ends.items():
        values[f"{name}_low"], values[f"{name}_high"] = interval or (None, None)
    return {name: np.nan if value is None else value for name, value in values.items()}
