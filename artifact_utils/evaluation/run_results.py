"""What a run folder keeps beside its states: leaks between the splits, and of its best model the metrics, predictions,
figures and the calibrated checkpoint."""

import copy
import json
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from artifact_utils import distributed
from artifact_utils.audit import find_duplicates, find_leaks, outline_pixels
from artifact_utils.checkpoints import load_checkpoint, save_checkpoint
from artifact_utils.config import TrainConfig
from artifact_utils.datasets import ArtifactDataset
from artifact_utils.detector import Detector
from artifact_utils.evaluation.measuring import PREDICTION_COLUMNS, Measured, calibrated, measure, predict
from artifact_utils.files.writing import write_json
from artifact_utils.kept_features import KeptFeatures
from artifact_utils.loaders import Loaders
from artifact_utils.metrics.scores import format_table
from artifact_utils.plots.audit_figures import plot_duplicates
from artifact_utils.plots.results import plot_confusion_matrix, plot_learning_curves
from artifact_utils.plots.summary import plot_summary
from artifact_utils.runs import Progress, write_table

logger = logging.getLogger(__name__)


def report_leaks(run: Path, root: Path, loaders: Loaders) -> None:
    """Say which pictures lie on two sides of a split, and put them side by side into the run folder."""
    leaks = duplicates_across(root, loaders)
    if not len(leaks):
        return
    pairs = find_leaks(leaks)
    listing = "\n".join(
        f"  {row.path} ({row.split}) = {row.other} ({row.other_split})" for row in pairs[:10].itertuples()
    )
    logger.warning(
        "%d pictures lie on both sides of a split, so what is measured flatters; remove one of each\n%s\n"
        "side by side in %s",
        len(pairs),
        listing,
        run / "leaks.png",
    )
    plot_duplicates(root, leaks, n=20).savefig(run / "leaks.png")


def duplicates_across(root: Path, loaders: Loaders) -> pd.DataFrame:
    """The near-duplicates that lie in more than one of training, validation and test, found on the decoded squares.

    Args:
        root: what ``path`` is told from.
        loaders: of ``build_loaders``.

    Returns:
        The table of ``audit.find_duplicates``.
    """
    rows = []
    for name in ("train", "validation", "test"):
        loader = getattr(loaders, name)
        for portrait in [] if loader is None else loader.dataset.portraits:
            if portrait.made is None:
                square = loader.dataset.squares[portrait.path].permute(1, 2, 0).numpy()
                path = portrait.path.relative_to(root).as_posix()
                place = {"path": path.encode(errors="backslashreplace").decode(), "split": name}  # as the scan does
                rows.append(place | {"class_name": portrait.path.parent.name} | outline_pixels(Image.fromarray(square)))
    return find_duplicates(pd.DataFrame(rows), across_splits=True)


def write_run_results(
    run: Path, config: TrainConfig, loaders: Loaders, device: torch.device, progress: Progress
) -> None:
    """Calibrate ``best.safetensors`` on validation, evaluate it there and, once, on test, and write the results.

    With several processes each takes its share of the pictures, and the first one writes.

    Args:
        run: the run folder. It gets ``metrics.json``, ``validation.csv``, ``predictions.csv`` (of test, or of
            validation where there is no test), ``curves.png``, ``confusion_matrix.png`` and ``summary.png``; the
            checkpoint gets temperature, threshold and metrics.
        config: of the run.
        loaders: whose validation and test sets are evaluated.
        device: where the model runs.
        progress: of the training that has ended.
    """
    model, info = load_checkpoint(run / "best.safetensors", device)
    model = model.to(memory_format=torch.channels_last)
    results: dict[str, Measured] = {}
    for split, loader in (("validation", loaders.validation), ("test", loaders.test)):
        if loader is None:
            continue
        logits, targets = predict(model, loader)
        if not info.calibrated:  # only validation comes to this; a run that was killed here may have done it already
            info = calibrated(info, logits, targets)
        dataset = loader.dataset.source if isinstance(loader.dataset, KeptFeatures) else loader.dataset
        assert isinstance(dataset, ArtifactDataset)
        detector = Detector(copy.deepcopy(model), info)  # it fuses the model that it is given
        results[split] = measure(
            detector, dataset.portraits, root=config.data, squares=dataset.squares, logits=logits, seed=config.seed
        )
    if distributed.rank() > 0:
        return
    metrics = {split: measured.metrics for split, measured in results.items()}
    summary = {
        "arch": info.arch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_epoch": progress.best_epoch + 1,
        "threshold": info.threshold,
        "threshold_for": config.threshold_for,
        "temperature": info.temperature,
        "train_seconds": round(sum(row["seconds"] for row in progress.history), 1),
        "seed": config.seed,
        **metrics,
    }
    save_checkpoint(run / "best.safetensors", model, replace(info, metrics=metrics))
    history, reported = pd.DataFrame(progress.history), list(results)[-1]
    for name, split in (("validation", "validation"), ("predictions", reported)):
        table = results[split].predictions[list(PREDICTION_COLUMNS)]
        write_table(run / f"{name}.csv", table.to_dict("records"))  # type: ignore[arg-type]
    plot_learning_curves(history).savefig(run / "curves.png")
    plot_confusion_matrix(metrics[reported]["confusion_matrix"]).savefig(run / "confusion_matrix.png")
    plot_summary(summary, history, results[reported].predictions).savefig(run / "summary.png")
    write_json(run / "metrics.json", summary)  # last: its presence says that the run is complete


def summarise_run(run: Path) -> str:
    """The results of a finished run as text: the table of the test set, and where everything lies."""
    metrics = json.loads((run / "metrics.json").read_text())
    split = "test" if "test" in metrics else "validation"
    title = f"{metrics['arch']}, epoch {metrics['best_epoch']}, {split} set:"
    files = ", ".join(sorted(file.name for file in run.iterdir() if not file.name.startswith(".")))
    return f"\n{title}\n\n{format_table(metrics[split])}\n\neverything is in {run}: {files}"
