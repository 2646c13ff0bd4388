"""The evaluator: predictions of a model on labelled portraits, and their metrics with intervals.

Training calls it at its end; ``python -m artifact_utils.metrics`` and the notebooks call it on any labelled folder.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from artifact_utils import distributed
from artifact_utils.checkpoints import ModelInfo
from artifact_utils.datasets import ArtifactDataset, Sample, unchanged
from artifact_utils.detector import Detector
from artifact_utils.device import amp_dtype
from artifact_utils.evaluation.grounding import measure_grounding
from artifact_utils.images import ImageError
from artifact_utils.kept_features import KeptFeatures
from artifact_utils.labels import Portrait
from artifact_utils.loaders import evaluation_loader
from artifact_utils.metrics.calibration import fit_temperature, measure_calibration, scale_logits, scale_threshold
from artifact_utils.metrics.scores import evaluate
from artifact_utils.models import ArtifactClassifier
from artifact_utils.portraits import DataError
from artifact_utils.squares import Squares

logger = logging.getLogger(__name__)

PREDICTION_COLUMNS = ("path", "group", "kind", "strength", "target", "probability", "predicted")
"""Columns of ``predictions.csv`` and ``validation.csv``; ``kind`` and ``strength`` are of the artifact, if known."""


@dataclass(frozen=True)
class Measured:
    """What ``measure`` found."""

    predictions: pd.DataFrame
    """One row a portrait, in their order: ``PREDICTION_COLUMNS``, and ``grounded``: whether the heat map of a found
    artifact points at it; missing where nothing was found or no mask is known."""
    metrics: dict[str, Any]
    """What ``metrics.evaluate`` gives, and in it ``calibration`` (see ``measure_calibration``) and ``grounded`` (see
    ``measure_grounding``)."""


@torch.inference_mode()
def predict(model: ArtifactClassifier, loader: DataLoader[Sample]) -> tuple[Tensor, Tensor]:
    """Run a model over a data set, with every process of ``torchrun`` taking the batches of its own loader.

    Args:
        model: on the device that is to be used; it is left in evaluation mode.
        loader: of an ``ArtifactDataset`` or its ``KeptFeatures``, in any order. The loaders of all processes together
            show each picture once.

    Returns:
        Raw logits (N,) float32 and targets (N,) int64, both on the CPU and in the order of the data set.

    Raises:
        ValueError: a picture is not shown, or more than once.
    """
    model.eval()
    device, dataset = next(model.parameters()).device, loader.dataset
    assert isinstance(dataset, ArtifactDataset | KeptFeatures) and loader.batch_sampler is not None
    batches = [places for places in loader.batch_sampler if len(places)]
    # The order is read once: asked a second time, a sampler that shuffles would give another one.
    fixed = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        generator=loader.generator,
    )
    dtype = amp_dtype(device)
    logits, times_shown = torch.zeros(2, len(dataset), device=device)
    for places, batch in zip(batches, fixed, strict=True):
        images = batch.image.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits[places] = model(model.normalized(images)).float()
        times_shown[places] += 1
    logits, times_shown = distributed.total(logits), distributed.total(times_shown)  # 0 where another was at work
    if not (times_shown == 1).all():
        raise ValueError(f"the loader does not show each picture once, but {times_shown.int().tolist()} times")
    return logits.cpu(), dataset.targets


def measure(
    detector: Detector,
    portraits: Sequence[Portrait],
    *,
    root: Path,
    squares: Squares | None = None,
    logits: Tensor | None = None,
    batch_size: int = 32,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Measured:
    """Evaluate a detector on labelled portraits: scores with intervals, calibration, and whether its heat maps point
    at the artifacts.

    Args:
        detector: with the threshold and the temperature that it is evaluated at.
        portraits: of ``list_portraits`` or ``split_by_group``; those of ``with_made_artifacts`` are given their
            artifacts.
        root: the folder they lie in, which ``path`` is told from.
        squares: the portraits, decoded already at the detector's image size; by default they are decoded here.
        logits: (N,) what ``predict`` gave for them already; by default the model is run here.
        batch_size: pictures that the network scores at once; it changes no result.
        n_bootstrap: resamples for the intervals, over groups where there are enough; 0 leaves the intervals out.
        seed: of the resampling.

    Returns:
        Predictions and metrics. With several processes, the first one alone says what is grounded.

    Raises:
        ImageError: one of the portraits cannot be read. A mask that cannot be used is only warned of, and then
            nothing is said of what is grounded.
    """
    dataset = unchanged(portraits, detector.info.image_size, squares=squares)
    if logits is None:
        logits, _ = predict(detector.model, evaluation_loader(dataset, batch_size))
    info, targets = detector.info, dataset.targets.numpy()
    probabilities = scale_logits(logits, info.temperature)
    predictions = _prediction_table(dataset.portraits, probabilities.tolist(), info.threshold, root)
    metrics = evaluate(
        probabilities,
        targets,
        info.threshold,
        groups=predictions["group"].to_numpy(),
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    metrics["calibration"] = measure_calibration(probabilities, targets, info.temperature)
    if distributed.rank() == 0:
        try:
            predictions["grounded"], metrics["grounded"] = measure_grounding(detector, dataset.portraits, predictions)
        except (ImageError, DataError) as error:
            logger.warning("whether heat maps point at the artifacts was not measured: %s", error)
    return Measured(predictions, metrics)


def calibrated(info: ModelInfo, logits: Tensor, targets: Tensor) -> ModelInfo:
    """Calibrate a model on a validation set by temperature scaling, which changes no prediction.

    Args:
        info: its threshold is that of ``info.temperature``.
        logits: (N,) raw.
        targets: (N,) 0 or 1.

    Returns:
        ``info`` with the temperature that fits best, and the threshold that gives the same predictions with it.
    """
    temperature = fit_temperature(logits, targets)
    raw_threshold = scale_threshold(info.threshold, 1 / info.temperature)
    threshold = scale_threshold(raw_threshold, temperature)
    return replace(info, temperature=temperature, threshold=threshold, calibrated=True)


def _prediction_table(
    portraits: Sequence[Portrait], probabilities: Sequence[float], threshold: float, root: Path
) -> pd.DataFrame:
    rows = [
        {
            "group": portrait.group,
            "kind": portrait.kind,
            "strength": "" if portrait.strength is None else portrait.strength,
            "target": portrait.label,
            "probability": probability,
            "predicted": int(probability >= threshold),  # in double precision, as in the metrics
        }
        for portrait, probability in zip(portraits, probabilities, strict=True)
    ]
    table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS[1:]))
    paths = [portrait.path.relative_to(root).as_posix() for portrait in portraits]
    table.insert(0, PREDICTION_COLUMNS[0], pd.Series(paths, dtype=object))  # a str column takes no surrogates
    return table
