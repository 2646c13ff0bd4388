"""Galleries, the figures that show pictures: thumbnails in rows, captioned and framed in a colour that says what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from artifact_utils.images import load_image
from artifact_utils.plots.style import house_style

_THUMBNAIL = 128  # pixels; a gallery of full pictures would make a notebook too large for git


@dataclass(frozen=True)
class Panel:
    """One gallery of a figure: thumbnails under a title, each with a caption and a frame of its own, if given."""

    title: str
    paths: list[Path]
    colour: str
    captions: list[str] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)


def draw_galleries(panels: list[Panel], columns: int = 8) -> Figure:
    """The panels one below the other, thumbnails in rows of ``columns``; a panel without pictures is its title only."""
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


def _caption_lines(panel: Panel) -> int:
    return max((caption.count("\n") + 1 for caption in panel.captions), default=0)


def _show_thumbnail(ax: Axes, path: Path, colour: str) -> None:
    image = load_image(path, min_side=_THUMBNAIL)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    ax.imshow(np.asarray(image))
    ax.grid(visible=False)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=1.5)


@house_style
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


@house_style
def plot_where(
    pictures: Sequence[npt.NDArray[np.uint8]],
    maps: Sequence[npt.NDArray[np.float32]],
    captions: Sequence[str] = (),
    *,
    columns: int = 8,
    rows: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Pictures, and under each the same one with a heat map over it: the brighter, the surer of an artifact there.

    Args:
        pictures: uint8 (H, W, 3) RGB.
        maps: float (H, W) in [0, 1], what ``Detector.locate`` gives.
        captions: one a picture.
        columns: pictures in a row.
        rows: what to write beside each row of pictures.
        title: of the figure.
    """
    n_rows = 2 * max(-(-len(pictures) // columns), 1)
    figure = Figure(figsize=(1.2 * columns, 1.3 * n_rows), layout="constrained")
    axes: npt.NDArray[Any] = figure.subplots(n_rows, columns, squeeze=False)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    for ax in axes.flat:
        ax.set_axis_off()
    for row, name in zip(range(0, n_rows, 2), rows, strict=False):
        place = {"ha": "right", "va": "center", "rotation": 90, "fontsize": 8}
        axes[row, 0].text(-0.06, 0.5, name, transform=axes[row, 0].transAxes, **place)
    for i, (picture, heat) in enumerate(zip(pictures, maps, strict=True)):
        row, column = 2 * (i // columns), i % columns
        thumbnail = Image.fromarray(picture).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
        axes[row, column].imshow(np.asarray(thumbnail))
        axes[row, column].set_title(captions[i] if captions else "", fontsize=8, loc="center")
        axes[row + 1, column].imshow(np.asarray(thumbnail.convert("L")), cmap="gray", extent=(0, 1, 0, 1))
        axes[row + 1, column].imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55, extent=(0, 1, 0, 1))
    return figure
