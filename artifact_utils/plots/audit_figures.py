"""Figures of a data set: what is in it, how its classes differ, which pictures stand out or come twice."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from artifact_utils.labels import ARTIFACT, CLASS_NAMES
from artifact_utils.plots.galleries import Panel, draw_galleries
from artifact_utils.plots.style import COLOURS, GREY, house_style

_TITLES = {
    "width": "width (px)",
    "height": "height (px)",
    "bytes": "file size (KB)",
    "brightness": "brightness (0 black, 1 white)",
    "contrast": "contrast (deviation of the grey levels)",
    "sharpness": "sharpness (variance of the Laplacian)",
}
_LOGARITHMIC = ("sharpness",)  # a few pictures have a hundred times more of it than most


@house_style
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


@house_style
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


@house_style
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
        panels.append(Panel(f"{name}: {len(chosen)} of {len(paths)}", [Path(folder) / path for path in chosen], colour))
    return draw_galleries(panels)


@house_style
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
        colours = [COLOURS.get(name, GREY) for name in rows["class_name"]]
        captions = [f"{value:,.0f}" if value >= 10 else f"{value:.2f}" for value in rows[column]]
        title = f"{_TITLES.get(column, column)}: lowest and highest"
        panels.append(Panel(title, [Path(folder) / path for path in rows["path"]], GREY, captions, colours))
    return draw_galleries(panels, columns=2 * n)


@house_style
def plot_duplicates(folder: str | Path, duplicates: pd.DataFrame, *, n: int = 6) -> Figure:
    """Pairs of near-duplicates side by side: of every group the two most alike, across splits if the group is.

    Args:
        folder: what the ``path`` column is relative to.
        duplicates: from ``audit.find_duplicates``.
        n: groups shown, those that reach across splits first.
    """
    rows = duplicates.set_index("path", drop=False)
    crosses = duplicates["split"] != duplicates["closest"].map(rows["split"])
    best = duplicates.assign(crosses=crosses).sort_values(
        ["across_splits", "group", "crosses", "similarity"], ascending=[False, True, False, False], kind="stable"
    )
    pairs, captions = [], []
    for number, (_, row) in enumerate(best.drop_duplicates("group").head(n).iterrows(), 1):
        other = rows.loc[row["closest"]]
        pairs += [row, other]
        alike = "same bytes" if row["kind"] == other["kind"] == "exact" else f"similarity {row['similarity']:.3f}"
        captions += [f"pair {number}: {row['split']}\n ", f"pair {number}: {other['split']}\n{alike}"]
    paths = [Path(folder) / row["path"] for row in pairs]
    colours = [COLOURS.get(row["class_name"], GREY) for row in pairs]
    title = "Near-duplicates, pair by pair" if pairs else "Near-duplicates: none"
    return draw_galleries([Panel(title, paths, GREY, captions, colours)])


@house_style
def plot_suspicious_labels(folder: str | Path, label_errors: pd.DataFrame, *, n: int = 16) -> Figure:
    """The pictures whose labels are the most suspicious, framed in the colour of the label they have.

    Args:
        folder: what the ``path`` column is relative to.
        label_errors: with ``path``, ``class_name``, ``probability`` and ``rank``, as in ``Findings.label_errors``.
        n: pictures shown.
    """
    rows = label_errors.sort_values("rank").head(n)
    captions = [f"P(artifact) {probability:.2f}" for probability in rows["probability"]]
    colours = [COLOURS[name] for name in rows["class_name"]]
    title = "Suspicious labels: the frame is the label (blue clean, orange artifact)"
    return draw_galleries([Panel(title, [Path(folder) / path for path in rows["path"]], GREY, captions, colours)])


@house_style
def plot_map(positions: npt.NDArray[np.float64], class_names: Sequence[str], people: Sequence[str]) -> Figure:
    """A map on which pictures that a network sees alike lie close, coloured by class and by person.

    Args:
        positions: (N, 2), from t-SNE for example.
        class_names: of each picture.
        people: who is on each, or any other grouping.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour in COLOURS.items():
        chosen = np.array([class_name == name for class_name in class_names], dtype=bool)
        left.scatter(*positions[chosen].T, s=8, color=colour, label=name, alpha=0.7, linewidths=0)
    left.set_title("by class")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, -0.12), ncols=2, markerscale=2)
    names = sorted(set(people))
    colours = sns.color_palette("husl", len(names))
    for name, colour in zip(names, colours, strict=True):
        chosen = np.array([person == name for person in people], dtype=bool)
        right.scatter(*positions[chosen].T, s=8, color=[colour], label=name, linewidths=0)
    right.set_title("by person")
    if len(names) <= 20:
        right.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    for ax in (left, right):
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
    return figure
