"""Scores of both classes of a classifier with 95% intervals, as a dictionary and as a text table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN
from artifact_utils.metrics.bootstrap import (
    FALSE_ALARM_RATES,
    bootstrap_metrics,
    check_scores,
    percentile_interval,
    resampling_units,
)

SCALARS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "recall_at_1_percent_false_alarms": "recall at 1% false alarms",
    "recall_at_5_percent_false_alarms": "recall at 5% false alarms",
}
"""The scores of both classes together that ``evaluate`` gives, with their names in tables and figures."""
PER_CLASS = ("precision", "recall", "f1")


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
        ``macro_f1``, ``roc_auc``, ``average_precision``, ``recall_at_1_percent_false_alarms`` and ``..._5_...`` (the
        most recall of any threshold that flags at most that share of the clean pictures), ``classes`` (by class name:
        ``precision``, ``recall``, ``f1``, ``support``), ``confusion_matrix`` (rows true, columns predicted, clean
        first), ``intervals`` (``[low, high]`` under the same names) and ``notes`` (sentences). What is undefined is
        ``None``.

    Raises:
        ValueError: lengths that differ, targets other than 0 and 1, probabilities outside [0, 1] or NaN.
    """
    scores, labels = check_scores(probabilities, targets)
    predicted = (scores >= threshold).astype(int)
    result = _point_estimates(scores, labels, predicted)
    result = {"n": len(labels), "n_artifacts": int(labels.sum()), "threshold": float(threshold)} | result
    intervals: dict[str, Any] = {}
    notes: list[str] = []
    if n_bootstrap > 0 and len(labels) > 0:
        units, what, notes = resampling_units(labels, groups)
        samples = bootstrap_metrics(scores, labels, predicted, units, n_bootstrap, np.random.default_rng(seed))
        intervals = {"level": 0.95, "resampled": what, "n_bootstrap": n_bootstrap}
        intervals |= {name: percentile_interval(samples[name]) for name in SCALARS}
        intervals["classes"] = {
            name: {metric: percentile_interval(samples[f"{name}.{metric}"]) for metric in PER_CLASS}
            for name in CLASS_NAMES
        }
        notes += _notes_on_perfect_recall(result["classes"])
    return result | {"intervals": intervals, "notes": notes}


def format_table(metrics: dict[str, Any]) -> str:
    """Lay out what ``evaluate`` returns as the text table that a training run ends with.

    With what ``measure_grounding`` returns under ``grounded``, the share that is right and grounded stands beside the
    accuracy.
    """
    intervals = metrics["intervals"]
    by_class = intervals.get("classes", {})
    width = 22
    lines = [" " * 18 + "".join(f"{title:<{width}}" for title in ("precision", "recall", "F1")) + "pictures"]
    for name in CLASS_NAMES:
        row = metrics["classes"][name]
        cells = [_cell(row[metric], by_class.get(name, {}).get(metric)) for metric in PER_CLASS]
        lines.append(f"{name:<18}" + "".join(f"{cell:<{width}}" for cell in cells) + f"{row['support']}")
    lines.append("")
    lines += [f"{title:<26}{_cell(value, interval)}" for title, value, interval in scalars(metrics)]
    (tn, fp), (fn, tp) = metrics["confusion_matrix"]
    lines += [
        "",
        f"{tp} artifacts found, {fn} missed; {tn} clean passed, {fp} falsely flagged",
        f"threshold {metrics['threshold']:.3f}",
    ]
    if intervals:
        lines.append(f"[95% bootstrap interval, {intervals['n_bootstrap']} resamples of {intervals['resampled']}]")
    ground = metrics.get("grounded")
    if ground is not None and ground["with_mask"]:
        lines.append(
            f"right and grounded, of what was flagged: the peak of the {ground['method']} map lies in "
            f"{ground['grounded']} of {ground['with_mask']} masks of found artifacts, the middle of the picture in "
            f"{ground['centre_prior']}, a random point in {ground['random']:.0%}; its interval is Wilson's"
        )
    return "\n".join(lines + [f"note: {note}" for note in metrics["notes"]])


def scalars(metrics: dict[str, Any]) -> list[tuple[str, float | None, list[float] | None]]:
    """Title, value and interval of each number of both classes together, of those that are known.

    Args:
        metrics: of ``evaluate``; the share that is right and grounded follows the accuracy where there are ``grounded``
            ones in it. Runs of earlier versions have fewer numbers.
    """
    rows = [
        (title, metrics[name], metrics["intervals"].get(name)) for name, title in SCALARS.items() if name in metrics
    ]
    ground = metrics.get("grounded")
    if ground is not None and ground["share_right_and_grounded"] is not None:
        rows.insert(1, ("right and grounded", ground["share_right_and_grounded"], ground["interval"]))
    return rows


def _point_estimates(scores: npt.NDArray[Any], labels: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> dict[str, Any]:
    if len(labels) == 0:
        nothing = {metric: None for metric in PER_CLASS} | {"support": 0}
        return {name: None for name in SCALARS} | {
            "classes": {name: dict(nothing) for name in CLASS_NAMES},
            "confusion_matrix": [[0, 0], [0, 0]],
        }
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=[CLEAN, ARTIFACT], zero_division=np.nan
    )
    both = 0 < labels.sum() < len(labels)
    at_rates: dict[str, float | None] = dict.fromkeys(FALSE_ALARM_RATES)
    if both:
        false_alarms, recalls, _ = roc_curve(labels, scores, drop_intermediate=False)
        at_rates = {name: float(recalls[false_alarms <= most].max()) for name, most in FALSE_ALARM_RATES.items()}
    return {
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": _or_none(np.mean(f1)),
        "roc_auc": float(roc_auc_score(labels, scores)) if both else None,
        "average_precision": float(average_precision_score(labels, scores)) if labels.any() else None,
        **at_rates,
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
