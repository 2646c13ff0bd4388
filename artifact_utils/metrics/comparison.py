"""Two models on the same pictures: McNemar's test, and differences of metrics with paired bootstrap intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from artifact_utils.metrics.bootstrap import bootstrap_metrics, check_scores, percentile_interval, resampling_units
from artifact_utils.metrics.scores import SCALARS, evaluate


def mcnemar(targets: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> dict[str, Any]:
    """The exact McNemar test, which counts the pictures that one model gets right and the other wrong.

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 1947; the exact
    test is a binomial one, and two-sided.

    Args:
        targets: (N,) 0 or 1.
        first, second: (N,) predictions of both models, 0 or 1.

    Returns:
        ``only_first_right``, ``only_second_right`` and ``p_value``, which is 1 where the models never differ.

    Raises:
        ValueError: lengths that differ, or values other than 0 and 1.
    """
    labels = np.asarray(targets)
    right = []
    for answers in (first, second):
        scores, labels = check_scores(answers, targets)
        if not np.isin(scores, (0, 1)).all():
            raise ValueError("McNemar's test compares answers, 0 or 1: compare probabilities with a threshold first")
        right.append(scores == labels)
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    n = only_first + only_second
    p_value = binomtest(only_first, n, 0.5).pvalue if n else 1.0
    return {"only_first_right": only_first, "only_second_right": only_second, "p_value": float(p_value)}


def compare_models(
    first: pd.DataFrame, second: pd.DataFrame, *, n_bootstrap: int = 1000, seed: int = 0, by_group: bool = True
) -> dict[str, Any]:
    """Compare the predictions of two models for the same pictures.

    Each resample is drawn once for both (paired bootstrap): a picture that is hard for both cancels out, so differences
    show that two separate intervals would hide.

    Args:
        first, second: tables in the layout of ``predictions.csv``: ``path``, ``target``, ``probability``, ``predicted``
            and, if known, ``group``; the order of the rows does not matter.
        n_bootstrap: number of resamples.
        seed: of the resampling.
        by_group: whether to resample whole groups, where there are enough.

    Returns:
        ``mcnemar`` (see there), ``differences`` (second minus first, by metric: ``value`` and ``interval``; None where
        undefined), ``resampled`` ("groups" or "pictures") and ``notes``.

    Raises:
        ValueError: the tables are not of the same pictures with the same targets.
    """
    for table in (first, second):
        if table["path"].duplicated().any():
            raise ValueError(f"{table.loc[table['path'].duplicated(), 'path'].iloc[0]} is there twice: cannot pair it")
    second = second.set_index("path").reindex(first["path"]).reset_index()
    if second["target"].isna().any() or len(second) != len(first):
        missing = second.loc[second["target"].isna(), "path"]
        raise ValueError(f"the models were not asked about the same pictures: one lacks {missing.iloc[0]}")
    if (second["target"].to_numpy() != first["target"].to_numpy()).any():
        raise ValueError("the models were not told the same targets: compare predictions on one data set")
    groups = first["group"].fillna("").to_numpy() if by_group and "group" in first else None
    labels = first["target"].to_numpy().astype(int)
    result: dict[str, Any] = {"mcnemar": mcnemar(labels, first["predicted"], second["predicted"])}
    points, samples = [], []
    strata, resampled, notes = resampling_units(labels, groups)
    for table in (first, second):
        scores, _ = check_scores(table["probability"], labels)
        answers = table["predicted"].to_numpy().astype(int)
        points.append(_numbers(scores, labels, answers))
        rng = np.random.default_rng(seed)
        samples.append(bootstrap_metrics(scores, labels, answers, strata, n_bootstrap, rng) if len(labels) else {})
    result["differences"] = {
        name: {
            "value": None if points[0][name] is None or points[1][name] is None else points[1][name] - points[0][name],
            "interval": percentile_interval(samples[1][name] - samples[0][name]) if len(labels) else None,
        }
        for name in points[0]
    }
    return result | {"resampled": resampled, "notes": notes}


def _numbers(scores: npt.NDArray[Any], labels: npt.NDArray[Any], answers: npt.NDArray[Any]) -> dict[str, Any]:
    """Metrics of predictions that need not come from one threshold on these scores."""
    by_score = evaluate(scores, labels, 0.5, n_bootstrap=0)
    by_answer = evaluate(answers, labels, 0.5, n_bootstrap=0)
    numbers = {name: (by_answer if name in ("accuracy", "macro_f1") else by_score)[name] for name in SCALARS}
    return numbers | {"artifacts.recall": by_answer["classes"]["artifacts"]["recall"]}
