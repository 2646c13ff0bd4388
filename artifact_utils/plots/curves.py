"""Figures of an evaluation: calibration, recall and false alarms by slice, robustness."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN
from artifact_utils.metrics.calibration import calibration_error, reliability
from artifact_utils.plots.style import COLOURS, GREEN, GREY, house_style


@house_style
def plot_reliability(probabilities: Mapping[str, npt.ArrayLike], targets: npt.ArrayLike, *, n_bins: int = 10) -> Figure:
    """Reliability diagrams: predicted probability against share of artifacts, and below the number of pictures.

    Args:
        probabilities: by title, (N,) probability of an artifact, for example before and after temperature scaling.
        targets: (N,) 0 or 1.
        n_bins: of equal width.
    """
    figure = Figure(figsize=(4.2 * len(probabilities), 4.6), layout="constrained")
    axes = figure.subplots(2, len(probabilities), squeeze=False, sharex=True, height_ratios=(3, 1))
    for (title, scores), (top, bottom) in zip(probabilities.items(), axes.T, strict=True):
        bins = reliability(scores, targets, n_bins=n_bins)
        error = calibration_error(scores, targets, n_bins=n_bins)
        top.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect")
        top.vlines(bins["probability"], bins["share_low"], bins["share_high"], color=GREEN, linewidth=4, alpha=0.35)
        sizes = 12 + 6 * np.sqrt(bins["n"].to_numpy(dtype=float))
        top.scatter(bins["probability"], bins["share"], sizes, color=GREEN, label="share of artifacts, 95% interval")
        top.set(ylim=(-0.02, 1.02), title=title if error is None else f"{title}: ECE {error:.3f}")
        bottom.bar(bins["low"], bins["n"], width=bins["high"] - bins["low"], align="edge", color=GREY, alpha=0.5)
        bottom.set_yscale("symlog", linthresh=1)
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.set(xlim=(-0.02, 1.02), xlabel="probability of an artifact")
    axes[0, 0].set_ylabel("share of artifacts")
    axes[1, 0].set_ylabel("pictures")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@house_style
def plot_slices(slices: pd.DataFrame) -> Figure:
    """Recall and false alarms of every slice with their 95% intervals, beside the counts that they are made of.

    Args:
        slices: from ``metrics.by_slice``.
    """
    n = max(len(slices), 1)
    figure = Figure(figsize=(10, 1.2 + 0.27 * n), layout="constrained")
    panels = (
        ("recall", "found", "artifacts", "recall of artifacts", COLOURS[CLASS_NAMES[ARTIFACT]]),
        ("false_alarms", "flagged", "clean", "false alarms among clean", COLOURS[CLASS_NAMES[CLEAN]]),
    )
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (share, hits, total, label, colour) in zip(axes, panels, strict=True):
        for y, (_, row) in enumerate(slices.iterrows()):
            if row[total]:
                ax.plot([row[f"{share}_low"], row[f"{share}_high"]], [y, y], color=colour, linewidth=4, alpha=0.35)
                ax.plot(row[share], y, "o", color=colour, markersize=5, clip_on=False)
                text = f"{row[hits]} of {row[total]}"
                ax.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=8)
        ax.set(xlabel=f"{label}, 95% interval", ylim=(n - 0.4, -0.6))
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.grid(axis="y", visible=False)
    axes[0].set_xlim(-0.02, 1.02)
    axes[1].set_xlim(left=0)
    axes[0].set_yticks(
        range(len(slices)), [f"{row.slice}: {row.value}".replace("$", r"\$") for row in slices.itertuples()], fontsize=8
    )
    for last in np.flatnonzero(slices["slice"].to_numpy()[1:] != slices["slice"].to_numpy()[:-1]):
        for ax in axes:
            ax.axhline(last + 0.5, color=GREY, linewidth=0.5)
    return figure


@house_style
def plot_robustness(table: pd.DataFrame) -> Figure:
    """Curves of quality over the degree of each perturbation; the dotted lines are of the pictures as they are.

    Args:
        table: from ``measure_robustness``.
    """
    lines = {
        "macro_f1": ("macro F1", GREEN),
        "recall": ("recall of artifacts", COLOURS[CLASS_NAMES[ARTIFACT]]),
        "false_alarms": ("false alarms", COLOURS[CLASS_NAMES[CLEAN]]),
    }
    untouched = table[table["perturbation"] == "none"].iloc[0]
    names = [name for name in table["perturbation"].unique() if name != "none"]
    figure = Figure(figsize=(2.7 * max(len(names), 1), 3.2), layout="constrained")
    for ax, name in zip(figure.subplots(1, max(len(names), 1), sharey=True, squeeze=False)[0], names, strict=False):
        rows = table[table["perturbation"] == name].sort_values("degree")
        places = range(len(rows))
        for column, (label, colour) in lines.items():
            ax.axhline(untouched[column], color=colour, linestyle=":", linewidth=1)
            ax.plot(places, rows[column], color=colour, marker="o", markersize=3, label=label)
            if f"{column}_low" in rows:
                low, high = (rows[f"{column}_{end}"].astype(float) for end in ("low", "high"))
                ax.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0)
        ax.set_xticks(places, [f"{degree:g}" for degree in rows["degree"]])
        ax.set(ylim=(-0.03, 1.03), title=name)
    figure.axes[0].set_ylabel("share")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
