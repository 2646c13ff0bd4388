"""Calibration: do seven in ten of the pictures with a probability of 0.7 have an artifact?

Temperature scaling (Guo et al., On calibration of modern neural networks, ICML 2017) divides logits by one number that
is fitted on validation. It changes probabilities but no prediction: the order of the pictures stays, and the threshold
is scaled in the same way.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from artifact_utils.metrics.bootstrap import check_scores, share_interval

TEMPERATURES = (0.05, 20.0)
"""Smallest and largest temperature that ``fit_temperature`` returns."""


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Find the temperature with which ``sigmoid(logits / temperature)`` explains the targets best.

    The loss is the log loss against targets drawn in a little from 0 and 1 (Platt, Probabilistic outputs for support
    vector machines, 1999): without that, the best temperature of a validation set without a mistake would be 0.

    Args:
        logits: (N,) raw logits of a validation set, finite.
        targets: (N,) 0 or 1.

    Returns:
        A temperature in ``TEMPERATURES``: above 1 for an overconfident model, below 1 for an underconfident one, 1
        where only one class is present.

    Raises:
        ValueError: lengths that differ, logits that are not finite, targets other than 0 and 1.
    """
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("logits must be finite: NaN means that training diverged, try a lower learning rate")
    _, labels = check_scores(expit(values), targets)
    n_artifacts, n_clean = labels.sum(), (1 - labels).sum()
    if n_artifacts == 0 or n_clean == 0:
        return 1.0
    wanted = np.where(labels == 1, (n_artifacts + 1) / (n_artifacts + 2), 1 / (n_clean + 2))

    def loss(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - wanted * scaled))  # the log loss, safe for large logits

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x))


def scale_logits(logits: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """Calibrated probabilities of raw logits, of any shape."""
    return expit(np.asarray(logits, dtype=np.float64) / temperature)


def scale_threshold(threshold: float, temperature: float) -> float:
    """The threshold on calibrated probabilities that gives the same predictions as ``threshold`` without a temperature.

    Args:
        threshold: in [0, 1]; both ends stay where they are.
        temperature: above 0; ``1 / temperature`` undoes it.
    """
    return float(expit(logit(threshold) / temperature))


def uncalibrated(probabilities: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """The probabilities without the temperature, of any shape."""
    return scale_logits(logit(np.asarray(probabilities, dtype=np.float64)), 1 / temperature)


def reliability(probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, n_bins: int = 10) -> pd.DataFrame:
    """Compare predicted probabilities with the share of artifacts, in bins of equal width.

    Args:
        probabilities: (N,) probability of an artifact, in [0, 1].
        targets: (N,) 0 or 1.
        n_bins: a probability on the edge of two bins counts in the lower one, as in scikit-learn.

    Returns:
        One row for each bin that is not empty: ``low`` and ``high`` (its edges), ``n``, ``probability`` (the mean of
        those predicted), ``share`` (of artifacts), ``share_low`` and ``share_high`` (its 95% Wilson interval).

    Raises:
        ValueError: lengths that differ, targets other than 0 and 1, probabilities outside [0, 1] or NaN.
    """
    scores, labels = check_scores(probabilities, targets)
    edges = np.linspace(0, 1, n_bins + 1)
    where = np.searchsorted(edges[1:-1], scores)
    rows: list[dict[str, Any]] = []
    for number in np.unique(where):
        inside = where == number
        low, high = share_interval(labels[inside].sum(), inside.sum())
        rows.append(
            {
                "low": edges[number],
                "high": edges[number + 1],
                "n": int(inside.sum()),
                "probability": scores[inside].mean(),
                "share": labels[inside].mean(),
                "share_low": low,
                "share_high": high,
            }
        )
    return pd.DataFrame(rows, columns=["low", "high", "n", "probability", "share", "share_low", "share_high"])


def calibration_error(probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, n_bins: int = 10) -> float | None:
    """The expected calibration error: the mean distance, over the pictures, of probability and share in their bin.

    Args and errors are those of ``reliability``.

    Returns:
        In [0, 1], 0 is perfect; None without pictures. It says nothing of how well the classes are separated.
    """
    bins = reliability(probabilities, targets, n_bins=n_bins)
    if bins.empty:
        return None
    return float(np.average((bins["probability"] - bins["share"]).abs(), weights=bins["n"]))


def measure_calibration(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, temperature: float
) -> dict[str, float | None]:
    """The calibration error with and without a temperature: the ``calibration`` of a ``metrics.json``.

    Args:
        probabilities: (N,) probability of an artifact, in [0, 1], calibrated with ``temperature``.
        targets: (N,) 0 or 1.
        temperature: above 0.

    Returns:
        ``temperature``, and the expected calibration error without it (``ece_before``) and with it (``ece``).

    Raises:
        ValueError: lengths that differ, targets other than 0 and 1, probabilities outside [0, 1] or NaN.
    """
    return {
        "temperature": temperature,
        "ece_before": calibration_error(uncalibrated(probabilities, temperature), targets),
        "ece": calibration_error(probabilities, targets),
    }
