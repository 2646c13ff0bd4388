"""Tables of experiments: each variant as a mean over its seeds, the leaderboard, and results by family of artifact."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.metrics.slices import by_slice
from artifact_utils.synthesis import FAMILY_OF

MEASURES = {
    "macro F1": ("macro_f1",),
    "artifact recall": ("classes", "artifacts", "recall"),
    "AUC": ("roc_auc",),
}
"""What variants are compared by, on validation, and where it is in ``metrics.json``. All are shares, in [0, 1]."""


class ExperimentError(ArtifactUtilsError):
    """There are no runs to compare, or a file cannot take the leaderboard."""


def summarise(folder: Path) -> pd.DataFrame:
    """Average every variant of an experiment over its seeds.

    Args:
        folder: with the runs ``VARIANT-SEED``; unfinished ones are left out.

    Returns:
        One row for each variant, sorted by the mean macro F1: ``seeds``, ``parameters`` (millions), ``seconds`` (of
        training, mean), and of each of ``MEASURES`` the mean and, with ``low`` and ``high`` added to the name, its
        interval (see ``mean_interval``). It covers how results vary with the seed, not with the pictures.

    Raises:
        ExperimentError: there is no finished run.
    """
    rows = []
    for file in _finished(folder):
        try:
            rows.append({"variant": file.parent.name.rpartition("-")[0], **_read_row(file)})
        except (ValueError, KeyError, TypeError, RecursionError) as error:  # whatever the file holds
            raise ExperimentError(f"{file} is damaged ({error}): remove that run, and train it again") from error
    if not rows:
        raise ExperimentError(f"no finished run in {folder}: run the notebook of that number")
    groups = pd.DataFrame(rows).groupby("variant")
    table = groups.mean()
    table.insert(0, "seeds", groups.size())
    for measure in MEASURES:
        intervals = {name: mean_interval(values) for name, values in groups[measure]}
        for place, end in ((1, "low"), (2, "high")):
            table[f"{measure} {end}"] = [intervals[name][place] for name in table.index]
    return table.sort_values("macro F1", ascending=False)


def _finished(folder: Path) -> list[Path]:
    """The results of the runs in a folder; an evaluation of a run has such a file, too, but no config."""
    return sorted(file for file in folder.glob("*/metrics.json") if file.with_name("config.json").exists())


def _read_row(file: Path) -> dict[str, float]:
    metrics = json.loads(file.read_text())
    row = {"parameters": metrics["parameters"] / 1e6, "seconds": metrics["train_seconds"]}
    for measure, path in MEASURES.items():
        value = metrics["validation"]
        for key in path:
            value = value[key]
        row[measure] = value
    return row


def family_table(folder: Path) -> pd.DataFrame:
    """How well each variant of an experiment finds each family of artifacts.

    Args:
        folder: with the runs ``VARIANT-SEED``; the predictions are read from their ``validation.csv``.

    Returns:
        One row for each variant, in the order of the names; of each family the mean AUC against the clean pictures and
        the mean recall over the seeds, each with its 95% interval, as text.

    Raises:
        ExperimentError: there is no finished run.
    """
    tables = []
    for file in sorted(folder.glob("*/validation.csv")):
        predictions = pd.read_csv(file, keep_default_na=False)
        predictions["family"] = predictions["kind"].map(FAMILY_OF).fillna("")
        tables.append(by_slice(predictions, ["family"]).assign(variant=file.parent.name.rpartition("-")[0]))
    if not tables:
        raise ExperimentError(f"no finished run in {folder}")
    groups = pd.concat(tables).groupby(["variant", "value"])
    cells = {
        name: groups[column].agg(lambda values: _cell(*mean_interval(values)))
        for name, column in (("AUC", "roc_auc"), ("recall", "recall"))
    }
    return pd.concat({name: cell.unstack() for name, cell in cells.items()}, axis=1)  # noqa: PD010 (text, nothing to aggregate)


def mean_interval(values: pd.Series) -> tuple[float, float, float]:
    """Mean of shares and its 95% interval (Student's t), within [0, 1]; the interval of a single value is NaN."""
    mean = values.mean()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    low, high = np.clip([mean - half, mean + half], 0.0, 1.0)
    return float(mean), float(low), float(high)


def _cell(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f}" if np.isnan(low) else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def leaderboard(root: Path) -> str:
    """The experiments below a folder as Markdown, a table for each, the best variant first.

    Raises:
        ExperimentError: there is no finished run.
    """
    tables = []
    for folder in sorted(path for path in root.glob("*") if _finished(path)):
        table = summarise(folder)
        rows = [[folder.name, *MEASURES, "parameters", "seconds", "seeds"]]
        for name, row in table.iterrows():
            cells = [_cell(row[m], row[f"{m} low"], row[f"{m} high"]) for m in MEASURES]
            cells += [f"{row['parameters']:.1f} M", f"{row['seconds']:.0f}", f"{row['seeds']:.0f}"]
            rows.append([str(name), *cells])
        rows.insert(1, ["---"] * len(rows[0]))
        tables.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    if not tables:
        raise ExperimentError(f"no finished experiment in {root}: run a notebook of model-training-attempts")
    return "\n\n".join(tables)
