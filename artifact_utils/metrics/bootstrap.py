"""Percentile bootstrap of every metric at once, ties and rare classes included, and intervals of plain shares."""

from typing import Any

import numpy as np
import numpy.typing as npt

from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN

Array = npt.NDArray[Any]

MIN_GROUPS = 10
"""Fewer groups than this say nothing about how groups differ; intervals then come from single pictures."""
FALSE_ALARM_RATES = {"recall_at_1_percent_false_alarms": 0.01, "recall_at_5_percent_false_alarms": 0.05}
"""The most recall that any threshold reaches while at most this share of the clean pictures is flagged."""

_CHUNK_CELLS = 4_000_000  # resamples x pictures held at once: 32 MB, whatever the size of the test set


def check_scores(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Array, Array]:
    """Probabilities as float64 and targets as int, or an error that says what is wrong with them.

    Raises:
        ValueError: lengths that differ, targets other than 0 and 1, probabilities outside [0, 1] or NaN.
    """
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


def resampling_units(labels: Array, groups: Any) -> tuple[list[list[Array]], str, list[str]]:
    """What is drawn with replacement: per stratum, a list of index arrays that stay together; its name; and notes."""
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


def bootstrap_metrics(
    scores: Array,
    labels: Array,
    predicted: Array,
    strata: list[list[Array]],
    n_bootstrap: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Metrics of every resample, (n_bootstrap,) each: a resample is a vector of how often each picture was drawn.

    Equal generators draw equal resamples whatever the scores are, so two models can be compared resample by resample.
    """
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


def _resampled_metrics(drawn: Array, labels: Array, predicted: Array, last_of_tie: Array) -> dict[str, Array]:
    outcomes = np.stack([labels & predicted, (1 - labels) & predicted, labels & (1 - predicted)], axis=1)
    tp, fp, fn = (drawn @ outcomes).T
    rates = count_rates(tp, fp, fn, drawn.sum(axis=1) - tp - fp - fn)
    # The rest are sums over distinct scores, where tied pictures move together as in scikit-learn.
    tps = np.cumsum(drawn * labels, axis=1)[:, last_of_tie]
    fps = np.cumsum(drawn * (1 - labels), axis=1)[:, last_of_tie]
    new_tp, new_fp = np.diff(tps, axis=1, prepend=0), np.diff(fps, axis=1, prepend=0)
    flagged = tps + fps
    precisions = np.divide(tps, flagged, out=np.zeros_like(tps), where=flagged > 0)
    both = tps[:, -1] * fps[:, -1]
    rates["roc_auc"] = _divide((new_fp * (tps - new_tp / 2)).sum(axis=1), both)
    rates["average_precision"] = _divide((new_tp * precisions).sum(axis=1), tps[:, -1])
    false_alarms = np.divide(fps, fps[:, -1:], out=np.ones_like(fps), where=fps[:, -1:] > 0)
    for name, most in FALSE_ALARM_RATES.items():
        found = np.where(false_alarms <= most, tps, 0).max(axis=1, initial=0)
        rates[name] = np.where(both > 0, _divide(found, tps[:, -1]), np.nan)
    return rates


def count_rates(tp: Array, fp: Array, fn: Array, tn: Array) -> dict[str, Array]:
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


def _divide(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.full(len(denominator), np.nan), where=denominator > 0)


def percentile_interval(samples: Array) -> list[float] | None:
    """The 95% percentile interval ``[low, high]`` of resampled values; None where most of them are undefined."""
    defined = samples[~np.isnan(samples)]
    if len(defined) * 2 < len(samples):  # what is left would describe the lucky resamples only
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return [float(low), float(high)]


def share_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95% Wilson interval of a share, which holds for few trials and for none or all of them right, too.

    Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.

    Returns:
        ``(low, high)`` in [0, 1]; ``(0, 1)`` where nothing was tried.
    """
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest  # takes a second, which reading a threshold does not need

    interval = binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
