"""The summary of a run on one page: curves, confusion matrix and key numbers."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from artifact_utils.labels import ARTIFACT, CLASS_NAMES
from artifact_utils.metrics.scores import scalars
from artifact_utils.plots.style import COLOURS, GREEN, GREY, house_style


@house_style
def plot_summary(metrics: dict[str, Any], history: pd.DataFrame, predictions: pd.DataFrame) -> Figure:
    """Curves, confusion matrix, ROC and precision-recall curves and the key numbers of a run, on one page.

    Args:
        metrics: a run's ``metrics.json``.
        history: its ``history.csv``; without rows the curves stay empty.
        predictions: its ``predictions.csv``.
    """
    split = "test" if "test" in metrics else "validation"
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    figure.suptitle(
        f"{metrics['arch']}, {metrics['parameters'] / 1e6:.1f} million parameters, trained in "
        f"{metrics['train_seconds'] / 60:.1f} minutes, seed {metrics['seed']}"
    )
    _curve(axes[0, 0], history, {"train_loss": "training", "val_loss": "validation"}, "Loss", metrics["best_epoch"])
    scores = {"val_macro_f1": "macro F1", "val_roc_auc": "ROC AUC", "val_artifact_recall": "artifact recall"}
    _curve(axes[0, 1], history, scores, "Validation", metrics["best_epoch"])
    _numbers(axes[0, 2], metrics[split], metrics["threshold"], split)
    _confusion(axes[1, 0], np.asarray(metrics[split]["confusion_matrix"]))
    targets, probabilities = predictions["target"].to_numpy(), predictions["probability"].to_numpy()
    for ax in axes[1, 1:]:
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes[1, 1].set(title="ROC curve", xlabel="false alarms among clean pictures", ylabel="recall of artifacts")
    axes[1, 2].set(title="Precision-recall curve", xlabel="recall of artifacts", ylabel="precision of artifacts")
    if len(np.unique(targets)) < 2:
        return figure
    false_alarms, recalls, _ = roc_curve(targets, probabilities)
    axes[1, 1].plot(false_alarms, recalls, color=GREEN)
    axes[1, 1].plot([0, 1], [0, 1], color=GREY, linestyle=":")
    precisions, recalls, _ = precision_recall_curve(targets, probabilities)
    axes[1, 2].plot(recalls, precisions, color=GREEN, drawstyle="steps-post")
    axes[1, 2].axhline(targets.mean(), color=GREY, linestyle=":")
    return figure


def _curve(ax: Axes, history: pd.DataFrame, columns: dict[str, str], title: str, best_epoch: int) -> None:
    for (column, name), colour in zip(columns.items(), (GREY, GREEN, COLOURS[CLASS_NAMES[ARTIFACT]]), strict=False):
        if column in history:
            ax.plot(history["epoch"], history[column], color=colour, marker="o", markersize=3, label=name)
    if len(history):
        ax.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":", label=f"best epoch: {best_epoch}")
        ax.legend(fontsize=8, frameon=True, edgecolor="white")  # lines may run through where it lies
    ax.set(title=title, xlabel="epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _numbers(ax: Axes, metrics: dict[str, Any], threshold: float, split: str) -> None:
    artifacts, intervals = metrics["classes"][CLASS_NAMES[ARTIFACT]], metrics["intervals"]
    of_artifacts = intervals.get("classes", {}).get(CLASS_NAMES[ARTIFACT], {})
    rows = [
        *(row for row in scalars(metrics) if row[0] in ("accuracy", "right and grounded", "macro F1", "ROC AUC")),
        *((f"artifact {name}".replace("f1", "F1"), artifacts[name], of_artifacts.get(name))
          for name in ("precision", "recall", "f1")),
    ]  # fmt: skip
    ax.axis("off")
    ax.set_title(f"{split.capitalize()} set, {metrics['n']:,} pictures, {metrics['n_artifacts']:,} with an artifact")
    for place, (name, value, interval) in enumerate(rows):
        y = 0.9 - 0.12 * place
        ax.text(0.0, y, name, transform=ax.transAxes)
        ax.text(0.5, y, "-" if value is None else f"{value:.3f}", transform=ax.transAxes, weight="bold")
        if interval is not None:
            ax.text(0.68, y, f"[{interval[0]:.3f}, {interval[1]:.3f}]", transform=ax.transAxes, color=GREY)
    ax.text(0.0, 0.04, f"threshold {threshold:.3f}; in brackets 95% intervals", transform=ax.transAxes, color=GREY)


def _confusion(ax: Axes, counts: np.ndarray) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true in range(2):
        for predicted in range(2):
            colour = "white" if shares[true, predicted] > 0.5 else "black"
            text = f"{counts[true, predicted]:,}\n{shares[true, predicted]:.1%}"
            ax.text(predicted, true, text, ha="center", va="center", color=colour)
    names = [name.replace("_", " ") for name in CLASS_NAMES]
    ax.set_xticks(range(2), names)
    ax.set_yticks(range(2), names, rotation=90, va="center")
    ax.grid(visible=False)
    ax.set(title="Confusion matrix", xlabel="predicted", ylabel="true")
