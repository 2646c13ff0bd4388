"""An evaluation of a run as files: numbers, tables, figures, and one HTML page that needs nothing else."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from artifact_utils.detector import Detector
from artifact_utils.evaluation.grounding import read_mask
from artifact_utils.evaluation.measuring import measure
from artifact_utils.evaluation.named_families import by_family, name_families
from artifact_utils.evaluation.robustness import measure_robustness
from artifact_utils.explain import heat_map
from artifact_utils.files.tables import read_csv, write_frame
from artifact_utils.files.writing import write_bytes, write_json
from artifact_utils.images import load_image
from artifact_utils.labels import ARTIFACT, CLEAN, Portrait
from artifact_utils.metrics.calibration import uncalibrated
from artifact_utils.metrics.scores import format_table
from artifact_utils.metrics.slices import by_slice, worst_slices
from artifact_utils.metrics.thresholds import ThresholdRule, choose_threshold
from artifact_utils.plots import (
    OUTCOMES,
    plot_answers,
    plot_confusion_matrix,
    plot_metrics,
    plot_probabilities,
    plot_reliability,
    plot_robustness,
    plot_roc_and_precision_recall,
    plot_slices,
)
from artifact_utils.plots.web_page import embedded, escape, html_page
from artifact_utils.portraits import DataError, list_portraits
from artifact_utils.synthesis import FAMILY_OF

SLICES = ("family", "kind", "strength", "area", "group", "brightness", "size")
"""What predictions are sliced by: artifacts by their family, kind, strength and share of the picture; pictures by
person, brightness and short side in pixels."""


@dataclass(frozen=True)
class Report:
    """What ``write_report`` found, and the folder where it lies."""

    out: Path
    metrics: dict[str, Any]
    predictions: pd.DataFrame


def with_slices(predictions: pd.DataFrame, portraits: Sequence[Portrait]) -> pd.DataFrame:
    """Add the columns that predictions are sliced by.

    Args:
        predictions: of ``measure``.
        portraits: those of the table, in its order.

    Returns:
        A copy with ``family`` (empty where the kind is not known), ``area`` (share of the picture under the mask,
        missing without one), ``brightness`` (mean grey level, in [0, 1]) and ``size`` (short side in pixels).

    Raises:
        ImageError: a picture or a mask cannot be read.
    """
    rows = []
    for portrait in portraits:
        image, mask = load_image(portrait.path), read_mask(portrait)
        rows.append(
            {
                "family": FAMILY_OF.get(portrait.kind, ""),
                "area": np.nan if mask is None else mask.mean(),
                "brightness": np.asarray(image.convert("L")).mean() / 255,
                "size": min(image.size),
            }
        )
    columns = ["family", "area", "brightness", "size"]
    extra = pd.DataFrame(rows, columns=columns, index=predictions.index)
    strength = pd.to_numeric(predictions["strength"]).astype(float)
    return predictions.assign(strength=strength, **{name: extra[name] for name in columns})


def write_report(
    run: Path,
    data: Path,
    *,
    out: Path | None = None,
    split: str = "test",
    threshold_for: str | None = None,
    robust: bool = True,
    device: str = "auto",
) -> Report:
    """Evaluate a trained model on labelled pictures and write everything down.

    Args:
        run: a run folder, or a ``.safetensors`` file from one.
        data: a folder made by ``organize_dataset.py``.
        out: where the results go; by default ``RUN/evaluation``.
        split: train, val or test.
        threshold_for: choose another threshold on the run's ``validation.csv``: macro_f1, cost=5, recall=0.95 or
            false_alarms=0.01.
        robust: whether to measure on perturbed pictures, too, which takes twenty times as long.
        device: auto, cpu, cuda, cuda:1, mps.

    Returns:
        ``out`` holds ``metrics.json``, ``predictions.csv``, ``slices.csv``, ``families.csv`` (see
        ``by_family``), ``robustness.csv``, figures and ``index.html``.

    Raises:
        CheckpointError, ConfigError, DataError, ImageError, ThresholdError: what was named cannot be used.
    """
    detector = Detector.load(run, device=device)
    if threshold_for is not None:
        threshold = _threshold_on_validation(run, threshold_for)
        detector = Detector(detector.model, replace(detector.info, threshold=threshold))
    portraits = list_portraits(data, split)
    measured = measure(detector, portraits, root=data)
    predictions = with_slices(measured.predictions, portraits)
    named = name_families(detector, portraits)
    families = by_family(predictions, portraits, named)
    predictions = predictions.assign(named=named)
    tables = {"predictions": predictions, "slices": by_slice(predictions, SLICES), "families": families}
    metrics = measured.metrics | {"worst_slices": worst_slices(tables["slices"])}
    if robust:
        tables["robustness"] = measure_robustness(detector, portraits, groups=predictions["group"].to_numpy())
    out = out or (run if run.is_dir() else run.parent) / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_frame(out / f"{name}.csv", table)
    images = {name: _png(figure) for name, figure in _draw_figures(detector, data, metrics, tables).items()}
    for name, image in images.items():
        write_bytes(out / f"{name}.png", image)
    title = f"{detector.info.arch} on {data.resolve().name}/{split}"
    write_bytes(out / "index.html", _render(title, metrics, families, images).encode())
    write_json(out / "metrics.json", metrics)  # last: its presence says that all is there
    return Report(out, metrics, predictions)


def _threshold_on_validation(run: Path, rule: str) -> float:
    file = (run if run.is_dir() else run.parent) / "validation.csv"
    parsed = ThresholdRule.parse(rule)
    rows = read_csv(file, ("probability", "target"))
    if not rows:
        raise DataError(f"no {file} to choose a threshold on: train again, or leave --threshold-for out")
    try:
        probabilities = np.array([float(row["probability"]) for row in rows])
        targets = np.array([int(row["target"]) for row in rows])
    except ValueError as error:  # int() and float() of what the table holds
        raise DataError(f"{file} is damaged ({error}): train again, or leave --threshold-for out") from error
    if not (np.isin(targets, (CLEAN, ARTIFACT)).all() and ((probabilities >= 0) & (probabilities <= 1)).all()):
        raise DataError(f"{file} is damaged (a value out of range): train again, or leave --threshold-for out")
    return choose_threshold(probabilities, targets, parsed)


def _draw_figures(
    detector: Detector, data: Path, metrics: dict[str, Any], tables: dict[str, pd.DataFrame]
) -> dict[str, Figure]:
    predictions = tables["predictions"]
    scores, targets = predictions["probability"], predictions["target"]
    before = uncalibrated(scores, detector.info.temperature)
    figures = {
        "metrics": plot_metrics(metrics),
        "confusion_matrix": plot_confusion_matrix(metrics["confusion_matrix"]),
        "curves": plot_roc_and_precision_recall(scores, targets, detector.threshold),
        "probabilities": plot_probabilities(scores, targets, detector.threshold),
        "reliability": plot_reliability({"before": before, "after temperature scaling": scores}, targets),
        "slices": plot_slices(tables["slices"]),
    }
    if "robustness" in tables:
        figures["robustness"] = plot_robustness(tables["robustness"])
    for outcome in OUTCOMES:
        name = outcome.replace(" ", "_") + "s"
        figures[name] = plot_answers(data, predictions, outcome, lambda picture: heat_map(detector, picture))
    return figures


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _render(title: str, metrics: dict[str, Any], families: pd.DataFrame, images: dict[str, bytes]) -> str:
    parts = [f"<pre>{escape(format_report(metrics))}</pre>"]
    if len(families):
        parts.append(f"<h2>Families</h2>\n<pre>{escape(families.round(3).to_string(index=False))}</pre>")
    for name, image in images.items():
        heading = name.replace("_", " ").capitalize()
        parts.append(f"<h2>{heading}</h2>\n{embedded(image, heading, 'png')}")
    return html_page(title, parts)


def format_report(metrics: dict[str, Any]) -> str:
    """The numbers of a report as text."""
    calibration = metrics["calibration"]
    lines = [format_table(metrics), ""]
    if calibration["ece"] is not None:
        lines.append(
            f"calibration error {calibration['ece']:.3f}, {calibration['ece_before']:.3f} without the temperature of "
            f"{calibration['temperature']:.3f}"
        )
    return "\n".join(lines + metrics["worst_slices"])
