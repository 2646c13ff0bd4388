"""Figures of a run: learning curves, scores, and which pictures it got right and wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from artifact_utils.images import load_image
from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN
from artifact_utils.metrics.scores import scalars
from artifact_utils.plots.galleries import Panel, draw_galleries, plot_where
from artifact_utils.plots.style import COLOURS, GREEN, GREY, house_style

OUTCOMES = {"true positive": (1, 1), "true negative": (0, 0), "false positive": (0, 1), "false negative": (1, 0)}
"""The kinds of answer as (target, predicted)."""


@house_style
def plot_learning_curves(history: pd.DataFrame) -> Figure:
    """Loss and validation quality over the epochs, with the epoch whose weights were kept.

    Args:
        history: a run's ``history.csv``: ``epoch`` and any of ``train_loss``, ``val_loss``, ``train_accuracy``,
            ``val_macro_f1``, ``val_roc_auc``.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = {
        "loss": {"train_loss": GREY, "val_loss": GREEN},
        "score": {"train_accuracy": GREY, "val_macro_f1": GREEN, "val_roc_auc": "#CC79A7"},
    }
    for ax, (label, lines) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for column, colour in lines.items():
            if column in history and history[column].notna().any():
                name = column.replace("val_", "validation ").replace("train_", "training ")
                name = name.replace("macro_f1", "macro F1").replace("roc_auc", "ROC AUC")
                ax.plot(history["epoch"], history[column], color=colour, marker="o", markersize=3, label=name)
        if "val_macro_f1" in history and history["val_macro_f1"].notna().any():
            ranking = ["val_macro_f1"] + (["val_loss"] if "val_loss" in history else [])  # loss decides between equals
            best = history.sort_values(ranking, ascending=[False, True][: len(ranking)], kind="stable")["epoch"].iloc[0]
            ax.axvline(best, color="black", linewidth=0.8, linestyle=":", label=f"best epoch: {best:g}")
        ax.set(xlabel="epoch", title=label.capitalize())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if ax.lines:
            ax.legend()
    return figure


@house_style
def plot_metrics(metrics: dict[str, Any]) -> Figure:
    """Every number of an evaluation with its 95% interval, both classes and the whole.

    Args:
        metrics: from ``metrics.evaluate``, and in it ``grounded`` where masks are known; what is
            undefined or has no interval is drawn without.
    """
    intervals = metrics["intervals"]
    by_class = intervals.get("classes", {})
    rows = [
        (f"{name}: {metric}".replace("f1", "F1"), metrics["classes"][name][metric], by_class.get(name, {}).get(metric))
        for name in reversed(CLASS_NAMES)
        for metric in ("precision", "recall", "f1")
    ]
    rows += scalars(metrics)
    colours = [COLOURS[CLASS_NAMES[ARTIFACT]]] * 3 + [COLOURS[CLASS_NAMES[CLEAN]]] * 3 + [GREY] * (len(rows) - 6)
    figure = Figure(figsize=(7.5, 4.0), layout="constrained")
    ax = figure.subplots()
    for y, ((_, value, interval), colour) in enumerate(zip(rows, colours, strict=True)):
        if interval is not None:
            ax.plot(interval, [y, y], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
        if value is not None:
            ax.plot(value, y, "o", color=colour)
            ax.annotate(f"{value:.3f}", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    ax.set_yticks(range(len(rows)), [title for title, _, _ in rows])
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel="value and 95% interval")
    ax.set_xlim(right=1.005)
    ax.grid(axis="y", visible=False)
    return figure


@house_style
def plot_confusion_matrix(matrix: npt.ArrayLike) -> Figure:
    """Counts of right and wrong answers, shaded by the share of each true class.

    Args:
        matrix: (2, 2) rows true, columns predicted, clean first, as ``metrics.evaluate`` returns it.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    texts = [[f"{n:,}\n{share:.1%}" for n, share in zip(*row, strict=True)] for row in zip(counts, shares, strict=True)]
    figure = Figure(figsize=(4.4, 3.8), layout="constrained")
    ax = figure.subplots()
    names = [name.replace("_", " ") for name in CLASS_NAMES]
    sns.heatmap(
        shares,
        annot=np.array(texts),
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=1,
        square=True,
        cbar=False,
        linewidths=2,
        annot_kws={"size": 12},
        xticklabels=names,
        yticklabels=names,
        ax=ax,
    )
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    return figure


@house_style
def plot_roc_and_precision_recall(probabilities: npt.ArrayLike, targets: npt.ArrayLike, threshold: float) -> Figure:
    """ROC and precision-recall curves side by side, with the point that the threshold picks.

    Args:
        probabilities: (N,) probability of an artifact.
        targets: (N,) 0 or 1; with one class only the panels say that there is no curve.
        threshold: artifact where ``probability >= threshold``.
    """
    scores, labels = np.asarray(probabilities, dtype=float), np.asarray(targets)
    figure = Figure(figsize=(9, 4), layout="constrained")
    roc, pr = figure.subplots(1, 2)
    roc.set(xlabel="false alarms among clean pictures", ylabel="recall of artifacts", title="ROC curve")
    pr.set(xlabel="recall of artifacts", ylabel="precision of artifacts", title="Precision-recall curve")
    for ax in (roc, pr):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal")
    if len(np.unique(labels)) < 2:
        for ax in (roc, pr):
            ax.text(0.5, 0.5, "one class only: no curve", ha="center", color=GREY)
        return figure
    predicted = scores >= threshold
    recall = predicted[labels == ARTIFACT].mean()
    point = {"color": "black", "marker": "o", "linestyle": "", "label": f"threshold {threshold:.3f}", "zorder": 3}

    false_alarms, recalls, _ = roc_curve(labels, scores)
    roc.plot(false_alarms, recalls, color=GREEN, label=f"area {auc(false_alarms, recalls):.3f}")
    roc.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="guessing")
    roc.plot(predicted[labels == CLEAN].mean(), recall, **point)

    precisions, recalls, _ = precision_recall_curve(labels, scores)
    area = average_precision_score(labels, scores)
    pr.plot(recalls, precisions, color=GREEN, drawstyle="steps-post", label=f"average precision {area:.3f}")
    pr.axhline(labels.mean(), color=GREY, linestyle=":", label="guessing")
    if predicted.any():
        pr.plot(recall, labels[predicted].mean(), **point)
    roc.legend(loc="lower right")
    pr.legend(loc="lower left", frameon=True, edgecolor="white")  # the dotted line would run through the text
    return figure


@house_style
def plot_probabilities(probabilities: npt.ArrayLike, targets: npt.ArrayLike, threshold: float) -> Figure:
    """Histogram of the probabilities of both classes; the count axis is logarithmic, or the minority would not show.

    Args:
        probabilities: (N,) probability of an artifact.
        targets: (N,) 0 or 1.
        threshold: drawn as a line; what lies right of it is called an artifact.
    """
    scores, labels = np.asarray(probabilities, dtype=float), np.asarray(targets)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.subplots()
    bins = np.linspace(0, 1, 41).tolist()
    for label, name in enumerate(CLASS_NAMES):
        of_class, colour = scores[labels == label], COLOURS[name]
        ax.hist(of_class, bins, histtype="stepfilled", alpha=0.35, color=colour, label=name)
        ax.hist(of_class, bins, histtype="step", linewidth=1.5, color=colour)
    ax.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
    ax.set_yscale("symlog", linthresh=1)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set(xlim=(0, 1), xlabel="probability of an artifact", ylabel="pictures")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


@house_style
def plot_outcome(folder: str | Path, predictions: pd.DataFrame, outcome: str, *, n: int = 16) -> Figure:
    """A gallery of one kind of answer with the probabilities, from the surest to the closest call.

    Args:
        folder: what the ``path`` column is relative to.
        predictions: a run's ``predictions.csv``: ``path``, ``target``, ``predicted``, ``probability``.
        outcome: "true positive", "true negative", "false positive" or "false negative".
        n: pictures shown, spread evenly over all of that kind.

    Raises:
        ValueError: an outcome of another name.
    """
    rows, target = _answers(predictions, outcome)
    shown = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int))]
    title = f"{outcome.capitalize()}s: {len(shown)} of {len(rows)}" if len(rows) else f"{outcome.capitalize()}s: none"
    captions = [f"{probability:.3f}" for probability in shown["probability"]]
    paths = [Path(folder) / path for path in shown["path"]]
    return draw_galleries([Panel(title, paths, COLOURS[CLASS_NAMES[target]], captions)])


@house_style
def plot_answers(
    folder: str | Path,
    predictions: pd.DataFrame,
    outcome: str,
    locate: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    *,
    n: int = 16,
) -> Figure:
    """The most and the least certain answers of one kind, each with its probability, the family that the detector
    names, its kind of artifact and its map.

    Args:
        folder: what the ``path`` column is relative to.
        predictions: a run's ``predictions.csv``: ``path``, ``target``, ``predicted``, ``probability`` and, if known,
            ``kind`` and ``named``.
        outcome: "true positive", "true negative", "false positive" or "false negative".
        locate: from a picture, uint8 (H, W, 3), to its heat map, such as ``Detector.locate``.
        n: pictures shown; where there are more of that kind, half of them from either end.

    Raises:
        ValueError: an outcome of another name.
    """
    rows, target = _answers(predictions, outcome)
    if rows.empty:
        return draw_galleries([Panel(f"{outcome.capitalize()}s: none", [], COLOURS[CLASS_NAMES[target]])])
    half = max(n // 2, 1)
    shown, names = rows, ["most certain first"]
    if len(rows) > 2 * half:
        shown, names = pd.concat([rows.head(half), rows.tail(half)]), ["most certain", "least certain"]
    title = f"{outcome.capitalize()}s: {len(shown)} of {len(rows)}"
    pictures = [np.asarray(load_image(Path(folder) / path)) for path in shown["path"]]
    named, kinds = (
        shown[column].fillna("").astype(str) if column in shown else [""] * len(shown) for column in ("named", "kind")
    )
    captions = [
        f"{f'{p:.3f} {family}'.rstrip()}\n{kind.replace('_', ' ')}".rstrip()
        for p, family, kind in zip(shown["probability"], named, kinds, strict=True)
    ]
    maps = [locate(picture) for picture in pictures]
    return plot_where(pictures, maps, captions, columns=min(half, 8), rows=names, title=title)


def _answers(predictions: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, int]:
    """The rows of one kind of answer, the most certain first, and their true class."""
    if outcome not in OUTCOMES:
        raise ValueError(f"unknown outcome {outcome!r}: choose one of {', '.join(OUTCOMES)}")
    target, predicted = OUTCOMES[outcome]
    rows = predictions[(predictions["target"] == target) & (predictions["predicted"] == predicted)]
    return rows.sort_values("probability", ascending=not predicted, kind="stable"), target
