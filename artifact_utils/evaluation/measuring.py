"""What a trained model answers on validation and test, and the results that a run folder keeps of it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from artifact_utils import distributed
from artifact_utils.backbones import BACKBONES
from artifact_utils.checkpoints import ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.config import TrainConfig, amp_dtype
from artifact_utils.datasets import ArtifactDataset, Portrait, Sample
from artifact_utils.detector import Detector
from artifact_utils.evaluation.predictions import PREDICTION_COLUMNS, prediction_rows
from artifact_utils.explain import grounded
from artifact_utils.files import write_json
from artifact_utils.images import ImageError
from artifact_utils.loaders import Loaders
from artifact_utils.metrics import evaluate, fit_temperature, measure_calibration, scale_logits, scale_threshold
from artifact_utils.models import ArtifactClassifier
from artifact_utils.plots import plot_confusion_matrix, plot_learning_curves, plot_summary
from artifact_utils.runs import Progress, write_table
from artifact_utils.transforms import build_transforms


@torch.inference_mode()
def predict(model: ArtifactClassifier, loader: DataLoader[Sample]) -> tuple[Tensor, Tensor]:
    """Run the model over a data set: logits (N,) float32 and targets (N,), both on the CPU, in the data set's order.

    Several processes take batches in turn, the same ones that a single process would make.
    """
    model.eval()
    device, dataset = next(model.parameters()).device, loader.dataset
    assert isinstance(dataset, ArtifactDataset) and loader.batch_sampler is not None
    normalize = build_transforms(BACKBONES[model.arch].mean, BACKBONES[model.arch].std)
    logits, dtype = torch.zeros(len(dataset), device=device), amp_dtype(device)
    for places, batch in zip(loader.batch_sampler, loader, strict=True):
        images = batch.image.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits[places[0] : places[-1] + 1] = model(normalize(images)).float()
    return distributed.total(logits).cpu(), dataset.targets  # where another process was at work there is a 0 here


def evaluate_run(run: Path, config: TrainConfig, loaders: Loaders, device: torch.device, progress: Progress) -> None:
    """Calibrate the best checkpoint on validation and evaluate it there and, once, on the test set, into the folder."""
    model, info = load_checkpoint(run / "best.safetensors", device)
    model = model.to(memory_format=torch.channels_last)
    results: dict[str, Any] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    pictures: dict[str, list[Portrait]] = {}
    for split, loader in (("validation", loaders.validation), ("test", loaders.test)):
        if loader is None:
            continue
        logits, targets = predict(model, loader)
        if split == "validation" and info.temperature == 1.0:  # else a run that was killed at its end has done it
            info = calibrated(info, logits, targets)
        probabilities = scale_logits(logits, info.temperature)
        portraits = pictures[split] = loader.dataset.portraits  # type: ignore[attr-defined]
        groups = [portrait.group for portrait in portraits]
        results[split] = evaluate(probabilities, targets.numpy(), info.threshold, groups=groups, seed=config.seed)
        results[split]["calibration"] = measure_calibration(probabilities, targets.numpy(), info.temperature)
        tables[split] = prediction_rows(portraits, probabilities.tolist(), info.threshold, config.data)
    if distributed.rank() > 0:
        return
    detector = Detector(copy.deepcopy(model), info)  # it fuses the model that it is given
    for split, rows in tables.items():
        try:
            table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
            _, results[split]["grounded"] = grounded(detector, pictures[split], table)
        except (ImageError, ValueError) as error:  # nothing but this is read from masks: the rest of the run is good
            tqdm.write(f"warning: whether the {split} maps point at the artifacts was not measured: {error}")
    summary = {
        "arch": info.arch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_epoch": progress.best_epoch + 1,
        "threshold": info.threshold,
        "threshold_for": config.threshold_for,
        "temperature": info.temperature,
        "train_seconds": round(sum(row["seconds"] for row in progress.history), 1),
        "seed": config.seed,
        **results,
    }
    save_checkpoint(run / "best.safetensors", model, replace(info, metrics=results))
    rows = list(tables.values())[-1]  # of test, or of validation where there is no test
    write_table(run / "validation.csv", tables["validation"])
    write_table(run / "predictions.csv", rows)
    plot_learning_curves(pd.DataFrame(progress.history)).savefig(run / "curves.png")
    plot_confusion_matrix(list(results.values())[-1]["confusion_matrix"]).savefig(run / "confusion_matrix.png")
    plot_summary(summary, pd.DataFrame(progress.history), pd.DataFrame(rows)).savefig(run / "summary.png")
    write_json(run / "metrics.json", summary)  # last: its presence says that the run is complete


def calibrated(info: ModelInfo, logits: Tensor, targets: Tensor) -> ModelInfo:
    """``info`` with the temperature that fits a validation set, and the threshold that gives the same answers."""
    temperature = fit_temperature(logits, targets)
    raw_threshold = scale_threshold(info.threshold, 1 / info.temperature)
    return replace(info, temperature=temperature, threshold=scale_threshold(raw_threshold, temperature))
