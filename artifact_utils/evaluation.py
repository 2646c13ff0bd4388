"""What a trained model answers on validation and test, and the results that a run folder keeps of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from artifact_utils import distributed
from artifact_utils.config import TrainConfig, amp_dtype
from artifact_utils.datasets import ArtifactDataset, Sample
from artifact_utils.files import write_json
from artifact_utils.loaders import Loaders
from artifact_utils.metrics import calibration_error, evaluate, fit_temperature, scale_logits, scale_threshold
from artifact_utils.models import BACKBONES, ArtifactClassifier, ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.plots import plot_confusion_matrix, plot_learning_curves, plot_summary
from artifact_utils.predictions import prediction_rows
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
    for split, loader in (("validation", loaders.validation), ("test", loaders.test)):
        if loader is None:
            continue
        logits, targets = predict(model, loader)
        if split == "validation" and info.temperature == 1.0:  # else a run that was killed at its end has done it
            info = calibrated(info, logits, targets)
        probabilities = scale_logits(logits, info.temperature)
        portraits = loader.dataset.portraits  # type: ignore[attr-defined]
        groups = [portrait.group for portrait in portraits]
        results[split] = evaluate(probabilities, targets.numpy(), info.threshold, groups=groups, seed=config.seed)
        results[split]["calibration"] = {
            "temperature": info.temperature,
            "ece_before": calibration_error(scale_logits(logits, 1.0), targets.numpy()),
            "ece": calibration_error(probabilities, targets.numpy()),
        }
        tables[split] = prediction_rows(portraits, probabilities.tolist(), info.threshold, config.data)
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
    if distributed.rank() > 0:
        return
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
