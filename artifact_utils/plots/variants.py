"""The figure of an experiment: how its variants differ."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from artifact_utils.plots.style import COLOURS, house_style


@house_style
def plot_variants(table: pd.DataFrame, measures: Sequence[str] = ("macro F1", "artifact recall", "AUC")) -> Figure:
    """Mean and interval of every variant, a panel a measure.

    Args:
        table: from ``train_variants``; the first row comes out on top.
        measures: columns of it.
    """
    height = 0.9 + 0.34 * len(table)
    figure = Figure(figsize=(11, height), layout="constrained")
    axes = figure.subplots(1, len(measures), sharey=True, squeeze=False)
    places = range(len(table))[::-1]
    for axis, measure in zip(axes[0], measures, strict=True):
        low, high = table[f"{measure} low"], table[f"{measure} high"]
        axis.hlines(places, low.fillna(table[measure]), high.fillna(table[measure]), color="0.7", linewidth=3)
        axis.plot(table[measure], places, "o", color=COLOURS["artifacts"])
        axis.set(title=measure, yticks=list(places), yticklabels=[str(name) for name in table.index])
        lowest = low.fillna(table[measure]).min()
        axis.set(xlim=(max(0.0, lowest - 0.02), 1.005), ylim=(-0.6, len(table) - 0.4))
        axis.grid(axis="y", visible=False)
    return figure
