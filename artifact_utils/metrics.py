"""Numbers with confidence intervals, and the threshold that turns probabilities into answers.

A picture is called an artifact where ``probability >= threshold``. A number that cannot be computed (the precision
of a class that was never predicted, the AUC of one class) is ``None``: never a silent 0, never a NaN that JSON cannot
hold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN

MIN_GROUPS = 10
"""Fewer groups than this say nothing about how groups differ; intervals then come from single pictures."""

_CHUNK_CELLS = 4_000_000  # resamples x pictures held at once: 32 MB, whatever the size of the test set
_SCALARS = ("accuracy", "macro_f1", "roc_auc", "average_precision")
_PER_CLASS = ("precision", "recall", "f1")


def choose_threshold(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Find the threshold with the best macro-F1, the number that models are selected by.

    Every cut between two neighbouring scores is tried. Among equally good cuts the widest gap wins and its middle is
    taken, so the threshold is the one that small changes in the scores disturb least, and the same input always gives
    the same answer.

    Args:
        probabilities: (N,) probability of an artifact, in [0, 1].
        targets: (N,) 0 or 1.

    Returns:
        A threshold in [0, 1]. Where only one class is present there is nothing to separate: 0.5.

    Raises:
        ValueError: no rows, lengths that differ, targets other than 0 and 1, probabilities outside [0, 1] or NaN.
    """
    scores, labels = _checked(probabilities, targets)
    if len(scores) == 0:
        raise ValueError("no probabilities to choose a threshold from: is the validation split empty?")
    if labels.all() or not labels.any():
        return 0.5
    values, where = np.unique(scores, return_inverse=True)
    artifacts = np.bincount(where, weights=labels)
    clean = np.bincount(where, weights=1 - labels)
    # Cut j calls values[j:] artifacts; it is any threshold in (edges[j], edges[j + 1]].
    tp = np.append(artifacts[::-1].cumsum()[::-1], 0)
    fp = np.append(clean[::-1].cumsum()[::-1], 0)
    macro_f1 = _rates(tp, fp, labels.sum() - tp, (1 - labels).sum() - fp)["macro_f1"]
    edges = np.concatenate([[0.0], values, [1.0]])
    usable = edges[1:] > edges[:-1]
    best = usable & (macro_f1 >= macro_f1[usable].max() - 1e-12)
    starts = np.flatnonzero(best & ~np.append(False, best[:-1]))
    ends = np.flatnonzero(best & ~np.append(best[1:], False))
    low, high = edges[starts], edges[ends + 1]
    widest = int(np.argmax(high - low))
    middle = float((low[widest] + high[widest]) / 2)
    return middle if middle > low[widest] else float(high[widest])  # neighbouring floats have no middle


def evaluate(
    probabilities: npt.ArrayLike,
    targets: npt.ArrayLike,
    threshold: float,
    *,
    groups: Sequence[Any] | npt.NDArray[Any] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a classifier for both classes, with 95% percentile bootstrap intervals.

    Pictures of one person (one group) are alike, so where there are at least ``MIN_GROUPS`` groups whole groups are
    resampled. With fewer, or none, pictures are resampled within each class: how many artifacts a test set holds was
    decided by its maker, not drawn. ``notes`` in the result says what the intervals do not cover.

    Args:
        probabilities: (N,) probability of an artifact, in [0, 1].
        targets: (N,) 0 or 1.
        threshold: artifact where ``probability >= threshold``.
        groups: (N,) person or prompt family of each picture; an empty one (``""``, ``None``, NaN) is its own group.
        n_bootstrap: number of resamples; 0 leaves the intervals out, as training does after every epoch.
        seed: of the resampling.

    Returns:
        A dictionary that ``json.dumps`` takes as it is: ``n``, ``n_artifacts``, ``threshold``, ``accuracy``,
        ``macro_f1``, ``roc_auc``, ``average_precision``, ``classes`` (by class name: ``precision``, ``recall``, ``f1``,
        ``support``), ``confusion_matrix`` (rows true, columns predicted, clean first), ``intervals`` (``[low, high]``
        under the same names) and ``notes`` (sentences). What is undefined is ``None``.

    Raises:
        ValueError: lengths that differ, targets other than 0 and 1, probabilities outside [0, 1] or NaN.
    """
    scores, labels = _checked(probabilities, targets)
    predicted = (scores >= threshold).astype(int)
    result = _point_estimates(scores, labels, predicted)
    result = {"n": len(labels), "n_artifacts": int(labels.sum()), "threshold": float(threshold)} | result
    intervals: dict[str, Any] = {}
    notes: list[str] = []
    if n_bootstrap > 0 and len(labels) > 0:
        units, what, notes = _units(labels, groups)
        samples = _bootstrap(scores, labels, predicted, units, n_bootstrap, np.random.default_rng(seed))
        intervals = {"level": 0.95, "resampled": what, "n_bootstrap": n_bootstrap}
        intervals |= {name: _interval(samples[name]) for name in _SCALARS}
        intervals["classes"] = {
            name: {metric: _interval(samples[f"{name}.{metric}"]) for metric in _PER_CLASS} for name in CLASS_NAMES
        }
        notes += _notes_on_perfect_recall(result["classes"])
    return result | {"intervals": intervals, "notes": notes}


def format_table(metrics: dict[str, Any]) -> str:
    """Lay out what ``evaluate`` returns as the text table that a training run ends with."""
    intervals = metrics["intervals"]
    by_class = intervals.get("classes", {})
    width = 22
    lines = [" " * 18 + "".join(f"{title:<{width}}" for title in ("precision", "recall", "F1")) + "pictures"]
    for name in CLASS_NAMES:
        row = metrics["classes"][name]
        cells = [_cell(row[metric], by_class.get(name, {}).get(metric)) for metric in _PER_CLASS]
        lines.append(f"{name:<18}" + "".join(f"{cell:<{width}}" for cell in cells) + f"{row['support']}")
    lines.append("")
    for name, title in zip(_SCALARS, ("accuracy", "macro F1", "ROC AUC", "average precision"), strict=True):
        lines.append(f"{title:<18}{_cell(metrics[name], intervals.get(name))}")
    (tn, fp), (fn, tp) = metrics["confusion_matrix"]
    lines += [
        "",
        f"{tp} artifacts found, {fn} missed; {tn} clean passed, {fp} falsely flagged",
        f"threshold {metrics['threshold']:.3f}",
    ]
    if intervals:
        lines.append(f"[95% bootstrap interval, {intervals['n_bootstrap']} resamples of {intervals['resampled']}]")
    return "\n".join(lines + [f"note: {note}" for note in metrics["notes"]])


def _checked(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    scores, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(targets)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"expected two arrays of one length, got shapes {scores.shape} and {labels.shape}")
    outside = ~((scores >= 0) & (scores <= 1))  # NaN included
    if outside.any():
        raise ValueError(
            f"{outside.sum()} of {len(scores)} probabilities are not in [0, 1] (first: {scores[outside][0]}): "
            "apply a sigmoid to logits; NaN means that training diverged, try a lower learning rate"
        )
    unknown = ~np.isin(labels, (CLEAN, ARTIFACT))
    if unknown.any():
        raise ValueError(f"targets must be 0 or 1, not {labels[unknown][0]!r}")
    return scores, labels.astype(int)


def _point_estimates(scores: npt.NDArray[Any], labels: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> dict[str, Any]:
    if len(labels) == 0:
        nothing = {metric: None for metric in _PER_CLASS} | {"support": 0}
        return {name: None for name in _SCALARS} | {
            "classes": {name: dict(nothing) for name in CLASS_NAMES},
            "confusion_matrix": [[0, 0], [0, 0]],
        }
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=[CLEAN, ARTIFACT], zero_division=np.nan
    )
    both = 0 < labels.sum() < len(labels)
    return {
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": _or_none(np.mean(f1)),
        "roc_auc": float(roc_auc_score(labels, scores)) if both else None,
        "average_precision": float(average_precision_score(labels, scores)) if both else None,
        "classes": {
            name: {
                "precision": _or_none(precision[index]),
                "recall": _or_none(recall[index]),
                "f1": _or_none(f1[index]),
                "support": int(support[index]),
            }
            for index, name in enumerate(CLASS_NAMES)
        },
        "confusion_matrix": confusion_matrix(labels, predicted, labels=[CLEAN, ARTIFACT]).tolist(),
    }


def _units(labels: npt.NDArray[Any], groups: Any) -> tuple[list[list[npt.NDArray[Any]]], str, list[str]]:
    """What is drawn with replacement: per stratum, a list of index arrays that stay together."""
    per_class = [[np.array([i]) for i in np.flatnonzero(labels == c)] for c in (CLEAN, ARTIFACT)]
    if groups is None:
        return per_class, "pictures", []
    if len(groups) != len(labels):
        raise ValueError(f"{len(groups)} groups for {len(labels)} pictures")
    members: dict[Any, list[int]] = {}
    for i, group in enumerate(groups):
        known = group is not None and group == group and group != ""  # NaN is not equal to itself
        members.setdefault(("known", group) if known else ("alone", i), []).append(i)
    if len(members) >= MIN_GROUPS:
        return [[np.array(rows) for rows in members.values()]], "groups", []
    note = (
        f"intervals resample pictures: {len(members)} groups are too few to resample (at least {MIN_GROUPS} needed), "
        "so how results vary from person to person is not covered"
    )
    return per_class, "pictures", [note]


def _bootstrap(
    scores: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    predicted: npt.NDArray[Any],
    strata: list[list[npt.NDArray[Any]]],
    n_bootstrap: int,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[Any]]:
    """Metrics of every resample, (n_bootstrap,) each: a resample is a vector of how often each picture was drawn."""
    order = np.argsort(-scores, kind="stable")  # best first, as the curves are walked
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    scores, labels, predicted = scores[order], labels[order], predicted[order]
    last_of_tie = np.flatnonzero(np.append(scores[:-1] != scores[1:], True))
    chunk = max(1, _CHUNK_CELLS // len(scores))
    parts = []
    for start in range(0, n_bootstrap, chunk):
        size = min(chunk, n_bootstrap - start)
        drawn = np.zeros((size, len(scores)))  # (resamples, pictures)
        for units in strata:
            if units:
                times = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=size)
                unit_of = np.repeat(np.arange(len(units)), [len(rows) for rows in units])
                drawn[:, rank[np.concatenate(units)]] = times[:, unit_of]
        parts.append(_resampled_metrics(drawn, labels, predicted, last_of_tie))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _resampled_metrics(
    drawn: npt.NDArray[Any], labels: npt.NDArray[Any], predicted: npt.NDArray[Any], last_of_tie: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    outcomes = np.stack([labels & predicted, (1 - labels) & predicted, labels & (1 - predicted)], axis=1)
    tp, fp, fn = (drawn @ outcomes).T
    rates = _rates(tp, fp, fn, drawn.sum(axis=1) - tp - fp - fn)
    # Both areas are sums over distinct scores, where tied pictures move together as in scikit-learn.
    tps = np.cumsum(drawn * labels, axis=1)[:, last_of_tie]
    fps = np.cumsum(drawn * (1 - labels), axis=1)[:, last_of_tie]
    new_tp, new_fp = np.diff(tps, axis=1, prepend=0), np.diff(fps, axis=1, prepend=0)
    flagged = tps + fps
    precisions = np.divide(tps, flagged, out=np.zeros_like(tps), where=flagged > 0)
    rates["roc_auc"] = _divide((new_fp * (tps - new_tp / 2)).sum(axis=1), tps[:, -1] * fps[:, -1])
    rates["average_precision"] = _divide((new_tp * precisions).sum(axis=1), tps[:, -1])
    return rates


def _rates(
    tp: npt.NDArray[Any], fp: npt.NDArray[Any], fn: npt.NDArray[Any], tn: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """Count-based metrics of many confusion matrices at once; NaN where a denominator is 0."""
    clean, artifact = CLASS_NAMES[CLEAN], CLASS_NAMES[ARTIFACT]
    rates = {
        "accuracy": _divide(tp + tn, tp + fp + fn + tn),
        f"{artifact}.precision": _divide(tp, tp + fp),
        f"{artifact}.recall": _divide(tp, tp + fn),
        f"{artifact}.f1": _divide(2 * tp, 2 * tp + fp + fn),
        f"{clean}.precision": _divide(tn, tn + fn),
        f"{clean}.recall": _divide(tn, tn + fp),
        f"{clean}.f1": _divide(2 * tn, 2 * tn + fn + fp),
    }
    rates["macro_f1"] = (rates[f"{artifact}.f1"] + rates[f"{clean}.f1"]) / 2
    return rates


def _divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.divide(numerator, denominator, out=np.full(len(denominator), np.nan), where=denominator > 0)


def _interval(samples: npt.NDArray[Any]) -> list[float] | None:
    defined = samples[~np.isnan(samples)]
    if len(defined) * 2 < len(samples):  # mostly undefined: what is left would describe the lucky resamples only
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return [float(low), float(high)]


def _notes_on_perfect_recall(classes: dict[str, Any]) -> list[str]:
    """A bootstrap of a perfect score is [1, 1] however small the set; n successes out of n allow 0.05 ** (1 / n)."""
    return [
        f"all {row['support']} {name} are right, so the interval of their recall is a point; "
        f"the true recall is at least {0.05 ** (1 / row['support']):.3f} with 95% confidence"
        for name, row in classes.items()
        if row["recall"] == 1.0
    ]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _cell(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
