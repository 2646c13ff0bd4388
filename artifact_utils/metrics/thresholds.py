"""The threshold that turns probabilities into predictions: for the best macro-F1, or for what a user needs."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.metrics.bootstrap import check_scores, count_rates

Array = npt.NDArray[Any]

_AIMS = {"cost": (1e-6, 1e6), "recall": (0.0, 1.0), "false_alarms": (0.0, 1.0)}
_HOW = (
    "say macro_f1, cost=5 (a missed artifact costs five false alarms), recall=0.95 (at least) "
    "or false_alarms=0.01 (at most)"
)


class ThresholdError(ArtifactUtilsError):
    """A rule for the threshold that cannot be read."""


@dataclass(frozen=True)
class ThresholdRule:
    """What a threshold is chosen for.

    ``aim`` is one of

    - ``macro_f1``: the best mean F1 of both classes, which models are selected by; ``value`` means nothing;
    - ``cost``: the least total cost where one missed artifact costs as much as ``value`` false alarms;
    - ``recall``: at least the share ``value`` of the artifacts found, with as few false alarms as that allows;
    - ``false_alarms``: at most the share ``value`` of the clean pictures flagged, with as much recall as that allows.
    """

    aim: str = "macro_f1"
    value: float = math.nan

    def __post_init__(self) -> None:
        if self.aim != "macro_f1" and not _in_range(self.aim, self.value):
            raise ValueError(f"cannot choose a threshold for {self.aim}={self.value:g}: {_HOW}")

    @classmethod
    def parse(cls, text: str) -> "ThresholdRule":
        """Read ``macro_f1``, ``cost=5``, ``recall=0.95`` or ``false_alarms=0.01``.

        Raises:
            ThresholdError: anything else, or a value out of range.
        """
        aim, equals, number = text.strip().partition("=")
        if aim == "macro_f1" and not equals:
            return cls()
        try:
            value = float(number)
        except ValueError:  # not a number
            value = math.nan
        if not _in_range(aim, value):
            raise ThresholdError(f"cannot choose a threshold for {text!r}: {_HOW}")
        return cls(aim, value)


def _in_range(aim: str, value: float) -> bool:
    low, high = _AIMS.get(aim, (math.nan, math.nan))
    return low <= value <= high


def choose_threshold(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, rule: ThresholdRule | str = "macro_f1"
) -> float:
    """Find the best threshold by a rule; do it on validation, never on the pictures that are reported.

    Every cut between two neighbouring scores is tried. Among equally good cuts the widest gap wins and its middle is
    taken, so the threshold is the one that small changes in the scores disturb least, and the same input always gives
    the same answer.

    Args:
        probabilities: (N,) probability of an artifact, in [0, 1].
        targets: (N,) 0 or 1.
        rule: what for, as ``ThresholdRule.parse`` reads it.

    Returns:
        A threshold in [0, 1]. Where only one class is present there is nothing to separate: 0.5. Where clean pictures
        at 1.0 leave no threshold that flags few enough of them: 1.0.

    Raises:
        ThresholdError: a rule that cannot be read.
        ValueError: no rows, lengths that differ, targets other than 0 and 1, or probabilities outside [0, 1] or NaN.
    """
    rule = ThresholdRule.parse(rule) if isinstance(rule, str) else rule
    scores, labels = check_scores(probabilities, targets)
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
    gain = _gain(rule, tp, fp, labels.sum() - tp, (1 - labels).sum() - fp)
    edges = np.concatenate([[0.0], values, [1.0]])
    usable = edges[1:] > edges[:-1]
    usable[0] |= values[0] == 0  # a threshold of 0 flags everything
    if np.isneginf(gain[usable]).all():
        return 1.0
    best = usable & (gain >= gain[usable].max() - 1e-12)
    starts = np.flatnonzero(best & ~np.append(False, best[:-1]))
    ends = np.flatnonzero(best & ~np.append(best[1:], False))
    low, high = edges[starts], edges[ends + 1]
    widest = int(np.argmax(high - low))
    middle = float((low[widest] + high[widest]) / 2)
    return middle if middle > low[widest] else float(high[widest])  # neighbouring floats have no middle


def _gain(rule: ThresholdRule, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
    """How well each cut serves the rule, the largest is best; of equally good cuts, the one with fewer other errors."""
    if rule.aim == "cost":
        return -(rule.value * fn + fp)
    recall, false_alarms = tp / (tp + fn), fp / (fp + tn)
    if rule.aim == "recall":
        return np.where(recall >= rule.value - 1e-12, recall / 2 - fp, -np.inf)
    if rule.aim == "false_alarms":
        return np.where(false_alarms <= rule.value + 1e-12, tp - false_alarms / 2, -np.inf)
    return count_rates(tp, fp, fn, tn)["macro_f1"]
