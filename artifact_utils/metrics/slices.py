"""Recall and false alarms by slice: kinds of artifact, people, properties of the pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from artifact_utils.labels import ARTIFACT, CLEAN
from artifact_utils.metrics.bootstrap import share_interval

OF_ARTIFACTS = ("family", "kind", "strength", "area")
"""Columns that only artifacts have: they slice recall, not false alarms."""
MIN_SUPPORT = 3
"""Fewest pictures of a class in a slice that may be called the worst: one of one missed says next to nothing."""

_COUNTS = ("artifacts", "found", "clean", "flagged")


def by_slice(table: pd.DataFrame, columns: Sequence[str], *, n_bins: int = 3) -> pd.DataFrame:
    """Measure every slice of a table of predictions.

    Args:
        table: ``target`` and ``predicted`` (0 or 1), and the columns to slice by; a picture with an empty cell is in no
            slice of that column. With a column ``probability`` there are areas under the ROC curve, too.
        columns: names of columns. Of numbers with more than ``n_bins`` values, slices are ``n_bins`` ranges with as
            equally many pictures as ties allow; of anything else, each value is one.
        n_bins: number of ranges.

    Returns:
        One row for each slice, in the order of the columns: ``slice`` (the column), ``value``, ``artifacts``,
        ``found``, ``recall``, ``recall_low``, ``recall_high``, ``clean``, ``flagged``, ``false_alarms`` (the share),
        ``false_alarms_low``, ``false_alarms_high``, and ``roc_auc``, within the slice, or for one of artifacts only
        against all clean pictures. Intervals are 95% Wilson ones, over pictures; a share of nothing is missing.

    Raises:
        KeyError: the table lacks a column.
    """
    rows: list[dict[str, Any]] = []
    for column in columns:
        values = table[column].mask(table[column].astype(str).isin(("", "nan", "None")))
        if column in OF_ARTIFACTS:
            values = values.where(table["target"] == ARTIFACT)
        labels = _ranges(values, n_bins) if pd.api.types.is_numeric_dtype(table[column].dtype) else values
        for value in sorted(labels.dropna().unique(), key=lambda label: (values[labels == label].min(), str(label))):
            inside = table[labels == value]
            versus = (
                inside if (inside["target"] == CLEAN).any() else table[(labels == value) | (table["target"] == CLEAN)]
            )
            rows.append({"slice": column, "value": str(value), "roc_auc": _roc_auc(versus)} | _measure(inside))
    shares = ("recall", "recall_low", "recall_high", "false_alarms", "false_alarms_low", "false_alarms_high")
    names = ["slice", "value", *_COUNTS[:2], *shares[:3], *_COUNTS[2:], *shares[3:], "roc_auc"]
    return pd.DataFrame(rows, columns=names).astype(dict.fromkeys((*shares, "roc_auc"), float))


def worst_slices(slices: pd.DataFrame, *, min_support: int = MIN_SUPPORT) -> list[str]:
    """Name the slice with the least recall and the one with the most false alarms.

    The worst is the one that is most surely bad: the upper end of its recall is the lowest, the lower end of its false
    alarms the highest. So a small slice does not win by one unlucky picture. With many slices some one is always worst:
    its interval does not say that it is worse than it would be by chance.

    Args:
        slices: from ``by_slice``.
        min_support: artifacts, or clean pictures, that a slice must hold.

    Returns:
        At most two sentences; none where nothing was missed or flagged in a slice that is large enough.
    """
    sentences = []
    missed = slices[(slices["artifacts"] >= min_support) & (slices["found"] < slices["artifacts"])]
    if len(missed):
        row = missed.sort_values(["recall_high", "recall"], kind="stable").iloc[0]
        sentences.append(
            f"least recall: {row['slice']} {row['value']}, {row['found']} of {row['artifacts']} artifacts found, "
            f"{row['recall']:.2f} [{row['recall_low']:.2f}, {row['recall_high']:.2f}]"
        )
    alarms = slices[(slices["clean"] >= min_support) & (slices["flagged"] > 0)]
    if len(alarms):
        row = alarms.sort_values(["false_alarms_low", "false_alarms"], ascending=False, kind="stable").iloc[0]
        sentences.append(
            f"most false alarms: {row['slice']} {row['value']}, {row['flagged']} of {row['clean']} clean pictures "
            f"flagged, {row['false_alarms']:.2f} [{row['false_alarms_low']:.2f}, {row['false_alarms_high']:.2f}]"
        )
    return sentences


def _roc_auc(rows: pd.DataFrame) -> float:
    if "probability" not in rows or rows["target"].nunique() < 2:
        return float("nan")
    return float(roc_auc_score(rows["target"], rows["probability"]))


def _ranges(values: pd.Series, n_bins: int) -> pd.Series:
    """Each number as the range that it falls in, such as ``0.55 to 0.71``."""
    known = values.dropna().astype(float)
    if known.nunique() <= n_bins:
        return values.map(lambda value: value if pd.isna(value) else f"{value:g}")
    bins = pd.qcut(known, n_bins, duplicates="drop")
    names = {}
    for interval in bins.cat.categories:
        inside = known[bins == interval]
        names[interval] = f"{inside.min():.3g} to {inside.max():.3g}"
    return bins.map(names).astype(object).reindex(values.index)


def _measure(rows: pd.DataFrame) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for label, total, hits, share in (
        (ARTIFACT, "artifacts", "found", "recall"),
        (CLEAN, "clean", "flagged", "false_alarms"),
    ):
        answers = rows.loc[rows["target"] == label, "predicted"]
        n, n_flagged = len(answers), int(answers.sum())
        low, high = share_interval(n_flagged, n) if n else (np.nan, np.nan)
        result |= {total: n, hits: n_flagged, share: n_flagged / n if n else np.nan}
        result |= {f"{share}_low": low, f"{share}_high": high}
    return result
