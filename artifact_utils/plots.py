"""Every figure of the notebooks and of a run: data in, a matplotlib ``Figure`` out.

Figures are made without pyplot, so nothing has to be closed and none is shown twice in a notebook. Blue is clean and
orange is artifact in all of them, two colours that colour-blind readers can tell apart (Okabe and Ito, 2008).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from artifact_utils.images import load_image
from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN

COLOURS = {CLASS_NAMES[CLEAN]: "#0072B2", CLASS_NAMES[ARTIFACT]: "#D55E00"}
OUTCOMES = {"true positive": (1, 1), "true negative": (0, 0), "false positive": (0, 1), "false negative": (1, 0)}
"""The kinds of answer as (target, predicted)."""

_TITLES = {
    "width": "width (px)",
    "height": "height (px)",
    "bytes": "file size (KB)",
    "brightness": "brightness (0 black, 1 white)",
    "contrast": "contrast (deviation of the grey levels)",
    "sharpness": "sharpness (variance of the Laplacian)",
}
_LOGARITHMIC = ("sharpness",)  # a few pictures have a hundred times more of it than most
_GREEN, _GREY = "#009E73", "#666666"
_THUMBNAIL = 128  # pixels; a gallery of full pictures would make a notebook too large for git
_STYLE = {
    **sns.axes_style("whitegrid"),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
}

_P = ParamSpec("_P")


def _styled(function: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw in the house style and leave the caller's own settings alone."""

    @wraps(function)
    def draw(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return function(*args, **kwargs)

    return draw


@_styled
def plot_class_balance(table: pd.DataFrame) -> Figure:
    """Bars of how many pictures each split has of each class, with the share of artifacts.

    Args:
        table: with the columns ``split`` and ``class_name``, as ``audit.scan`` returns it.
    """
    counts = pd.crosstab(table["split"], table["class_name"]).reindex(columns=list(CLASS_NAMES), fill_value=0)
    counts = counts.sort_index(key=lambda splits: splits.map({"train": -3, "val": -2, "test": -1}).fillna(0))
    figure = Figure(figsize=(6.5, 1.4 + 0.75 * len(counts)), layout="constrained")
    ax = figure.subplots()
    counts.index = pd.Index([split or "(no split)" for split in counts.index])
    for label, name in enumerate(CLASS_NAMES):
        positions = np.arange(len(counts)) + 0.38 * (label - 0.5)
        bars = ax.barh(positions, counts[name], height=0.36, color=COLOURS[name], label=name)
        ax.bar_label(bars, fmt="{:,.0f}", padding=3)
    shares = counts[CLASS_NAMES[ARTIFACT]] / counts.sum(axis=1)
    ax.set_yticks(range(len(counts)), [f"{split}\n{share:.0%} artifacts" for split, share in shares.items()])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.1)
    ax.set(xlabel="pictures", ylabel="", title="Class balance")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


@_styled
def plot_distributions(table: pd.DataFrame, columns: Sequence[str] = ("brightness", "contrast", "sharpness")) -> Figure:
    """How a measurement is distributed in each class, one panel a column (sharpness on a logarithmic axis).

    Each class sums to 100%, so that the minority can be compared. Where the two outlines differ a model has something
    to learn that is no artifact.

    Args:
        table: with ``class_name`` and the columns; missing values are left out.
        columns: numeric columns of ``audit.scan``.
    """
    figure = Figure(figsize=(3.6 * len(columns), 3.2), layout="constrained")
    axes = figure.subplots(1, len(columns), squeeze=False)[0]
    known = table[table["class_name"].isin(CLASS_NAMES)]
    for ax, column in zip(axes, columns, strict=True):
        values = known[column].astype(float) / (1024 if column == "bytes" else 1)
        if column in _LOGARITHMIC:
            values = values.where(values > 0)
        data = pd.DataFrame({"value": values, "class": known["class_name"]}).dropna()
        if len(data) and (data["value"] == data["value"].iloc[0]).all():
            ax.text(0.5, 0.5, f"{data['value'].iloc[0]:g}\nin every picture", ha="center", transform=ax.transAxes)
            ax.tick_params(labelbottom=False, labelleft=False)
        elif len(data):
            sns.histplot(
                data,
                x="value",
                hue="class",
                hue_order=[name for name in CLASS_NAMES if name in set(data["class"])],
                palette=COLOURS,
                bins=20,
                log_scale=column in _LOGARITHMIC,
                stat="percent",
                common_norm=False,
                element="step",
                alpha=0.25,
                legend=False,
                ax=ax,
            )
        ax.set(xlabel=_TITLES.get(column, column), ylabel="")
        ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes[0].set_ylabel("share of the class")
    handles = [mpl.patches.Patch(color=colour, alpha=0.6, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@_styled
def plot_samples(folder: str | Path, table: pd.DataFrame, *, per_class: int = 16, seed: int = 0) -> Figure:
    """Random pictures of both classes, clean above, artifacts below.

    Args:
        folder: what the ``path`` column is relative to.
        table: with ``path``, ``class_name`` and ``readable``.
        per_class: pictures shown of each class, if it has so many.
        seed: which ones.
    """
    rng = np.random.default_rng(seed)
    panels = []
    for name, colour in COLOURS.items():
        paths = table.loc[table["readable"] & (table["class_name"] == name), "path"].to_numpy()
        chosen = rng.choice(paths, size=min(per_class, len(paths)), replace=False)
        panels.append(
            _Panel(f"{name}: {len(chosen)} of {len(paths)}", [Path(folder) / path for path in chosen], colour)
        )
    return _galleries(panels)


@_styled
def plot_extremes(folder: str | Path, table: pd.DataFrame, columns: Sequence[str], *, n: int = 4) -> Figure:
    """The pictures at both ends of each measurement, the lowest on the left, the highest on the right.

    Args:
        folder: what the ``path`` column is relative to.
        table: with ``path`` and the columns; pictures without a value are left out.
        columns: numeric columns of ``audit.scan``.
        n: pictures from each end.
    """
    panels = []
    for column in columns:
        rows = table.dropna(subset=[column]).sort_values(column, kind="stable")
        rows = rows if len(rows) <= 2 * n else pd.concat([rows.head(n), rows.tail(n)])
        colours = [COLOURS.get(name, _GREY) for name in rows["class_name"]]
        captions = [f"{value:,.0f}" if value >= 10 else f"{value:.2f}" for value in rows[column]]
        title = f"{_TITLES.get(column, column)}: lowest and highest"
        panels.append(_Panel(title, [Path(folder) / path for path in rows["path"]], _GREY, captions, colours))
    return _galleries(panels, columns=2 * n)


@_styled
def plot_duplicates(folder: str | Path, duplicates: pd.DataFrame, *, n: int = 6) -> Figure:
    """Pairs of near-duplicates side by side: of every group the two most alike, across splits if the group is.

    Args:
        folder: what the ``path`` column is relative to.
        duplicates: from ``audit.find_duplicates``.
        n: groups shown, those that reach across splits first.
    """
    rows = duplicates.set_index("path", drop=False)
    best = duplicates.sort_values(["across_splits", "group", "distance"], ascending=[False, True, True], kind="stable")
    pairs, captions = [], []
    for number, (_, row) in enumerate(best.drop_duplicates("group").head(n).iterrows(), 1):
        other = rows.loc[row["closest"]]
        pairs += [row, other]
        bits = f"{row['distance']} bit{'' if row['distance'] == 1 else 's'} apart"
        difference = "same bytes" if row["kind"] == "exact" else bits
        captions += [f"pair {number}: {row['split']}\n ", f"pair {number}: {other['split']}\n{difference}"]
    paths = [Path(folder) / row["path"] for row in pairs]
    colours = [COLOURS.get(row["class_name"], _GREY) for row in pairs]
    title = "Near-duplicates, pair by pair" if pairs else "Near-duplicates: none"
    return _galleries([_Panel(title, paths, _GREY, captions, colours)])


@_styled
def plot_learning_curves(history: pd.DataFrame) -> Figure:
    """Loss and validation quality over the epochs, with the epoch whose weights were kept.

    Args:
        history: a run's ``history.csv``: ``epoch`` and any of ``train_loss``, ``val_loss``, ``train_accuracy``,
            ``val_macro_f1``, ``val_roc_auc``.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = {
        "loss": {"train_loss": _GREY, "val_loss": _GREEN},
        "score": {"train_accuracy": _GREY, "val_macro_f1": _GREEN, "val_roc_auc": "#CC79A7"},
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


@_styled
def plot_metrics(metrics: dict[str, Any]) -> Figure:
    """Every number of an evaluation with its 95% interval, both classes and the whole.

    Args:
        metrics: from ``metrics.evaluate``; what is undefined or has no interval is drawn without.
    """
    intervals = metrics["intervals"]
    by_class = intervals.get("classes", {})
    rows = [
        (f"{name}: {metric}".replace("f1", "F1"), metrics["classes"][name][metric], by_class.get(name, {}).get(metric))
        for name in reversed(CLASS_NAMES)
        for metric in ("precision", "recall", "f1")
    ]
    whole = {
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "roc_auc": "ROC AUC",
        "average_precision": "average precision",
    }
    rows += [(title, metrics[name], intervals.get(name)) for name, title in whole.items()]
    colours = [COLOURS[CLASS_NAMES[ARTIFACT]]] * 3 + [COLOURS[CLASS_NAMES[CLEAN]]] * 3 + [_GREY] * 4
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
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


@_styled
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


@_styled
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
            ax.text(0.5, 0.5, "one class only: no curve", ha="center", color=_GREY)
        return figure
    predicted = scores >= threshold
    recall = predicted[labels == ARTIFACT].mean()
    point = {"color": "black", "marker": "o", "linestyle": "", "label": f"threshold {threshold:.3f}", "zorder": 3}

    false_alarms, recalls, _ = roc_curve(labels, scores)
    roc.plot(false_alarms, recalls, color=_GREEN, label=f"area {auc(false_alarms, recalls):.3f}")
    roc.plot([0, 1], [0, 1], color=_GREY, linestyle=":", label="guessing")
    roc.plot(predicted[labels == CLEAN].mean(), recall, **point)

    precisions, recalls, _ = precision_recall_curve(labels, scores)
    area = average_precision_score(labels, scores)
    pr.plot(recalls, precisions, color=_GREEN, drawstyle="steps-post", label=f"average precision {area:.3f}")
    pr.axhline(labels.mean(), color=_GREY, linestyle=":", label="guessing")
    if predicted.any():
        pr.plot(recall, labels[predicted].mean(), **point)
    roc.legend(loc="lower right")
    pr.legend(loc="lower left", frameon=True, edgecolor="white")  # the dotted line would run through the text
    return figure


@_styled
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


@_styled
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
    if outcome not in OUTCOMES:
        raise ValueError(f"unknown outcome {outcome!r}: choose one of {', '.join(OUTCOMES)}")
    target, predicted = OUTCOMES[outcome]
    rows = predictions[(predictions["target"] == target) & (predictions["predicted"] == predicted)]
    rows = rows.sort_values("probability", ascending=not predicted, kind="stable")
    shown = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int))]
    title = f"{outcome.capitalize()}s: {len(shown)} of {len(rows)}" if len(rows) else f"{outcome.capitalize()}s: none"
    captions = [f"{probability:.3f}" for probability in shown["probability"]]
    paths = [Path(folder) / path for path in shown["path"]]
    return _galleries([_Panel(title, paths, COLOURS[CLASS_NAMES[target]], captions)])


@_styled
def plot_gallery(
    rows: dict[str, Sequence[npt.NDArray[np.uint8]]],
    *,
    columns: Sequence[str] = (),
    groups: int = 1,
    side: float = 0.95,
) -> Figure:
    """Pictures in rows, each row with its name at the left.

    Args:
        rows: by name, the pictures of a row, uint8 (H, W, 3) or bool (H, W).
        columns: titles over the columns.
        groups: how many rows to put beside each other, to use the width of the page.
        side: of a picture in inches.
    """
    per_row = max((len(pictures) for pictures in rows.values()), default=1)
    n_rows = max(-(-len(rows) // groups), 1)
    figure = Figure(figsize=(side * (per_row + 0.85) * groups, side * n_rows + 0.25))
    figure.subplots_adjust(0, 0, 1, 1 - 0.25 / (side * n_rows + 0.25), wspace=0.03, hspace=0.03)
    axes: npt.NDArray[Any] = figure.subplots(n_rows, groups * (per_row + 1), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for i, (name, pictures) in enumerate(rows.items()):
        row, first = i % n_rows, i // n_rows * (per_row + 1)
        axes[row, first].text(1.0, 0.5, name.replace("_", "\n"), ha="right", va="center", fontsize=8)
        for j, picture in enumerate(pictures):
            ax = axes[row, first + 1 + j]
            ax.imshow(picture, cmap="gray", vmin=0)
            if row == 0 and j < len(columns):
                ax.set_title(columns[j], fontsize=8, loc="center")
    return figure


@dataclass(frozen=True)
class _Panel:
    """One gallery of a figure: thumbnails under a title, each with a caption and a frame of its own, if given."""

    title: str
    paths: list[Path]
    colour: str
    captions: list[str] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)


def _galleries(panels: list[_Panel], columns: int = 8) -> Figure:
    rows = [max(1, -(-len(panel.paths) // columns)) for panel in panels]
    heights = [0.4 + n * (1.15 + 0.2 * _caption_lines(panel)) for panel, n in zip(panels, rows, strict=True)]
    figure = Figure(figsize=(1.2 * columns, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, panel, n_rows in zip(parts, panels, rows, strict=True):
        part.suptitle(panel.title, x=0.01, ha="left", color=panel.colour, fontweight="bold")
        if not panel.paths:
            continue
        axes: npt.NDArray[Any] = part.subplots(n_rows, columns, squeeze=False)
        for i, ax in enumerate(axes.flat):
            ax.set_visible(i < len(panel.paths))
            if i < len(panel.paths):
                _show_thumbnail(ax, panel.paths[i], panel.colours[i] if panel.colours else panel.colour)
                ax.set_xlabel(panel.captions[i] if panel.captions else "", fontsize=9)
    return figure


def _caption_lines(panel: _Panel) -> int:
    return max((caption.count("\n") + 1 for caption in panel.captions), default=0)


def _show_thumbnail(ax: Axes, path: Path, colour: str) -> None:
    image = load_image(path, min_side=_THUMBNAIL)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    ax.imshow(np.asarray(image))
    ax.grid(visible=False)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=1.5)
