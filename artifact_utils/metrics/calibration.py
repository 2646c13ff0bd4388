"""What a probability is worth: of the pictures that are given 0.7, do seven in ten have an artifact?

Temperature scaling (Guo et al., On calibration of modern neural networks, ICML 2017) divides logits by one number that
is fitted on validation. It makes a model more or less sure of itself and changes no answer: the order of the pictures
stays, and the threshold is moved along.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from artifact_utils.metrics.bootstrap import check_scores, share_interval

TEMPERATURES = (0.05, 20.0)
"""Range that a temperature is looked for in."""


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Find the temperature with which ``sigmoid(logits / temperature)`` explains the targets best.

    The loss is the log loss against targets drawn in a little from 0 and 1 (Platt, Probabilistic outputs for support
    vector machines, 1999): without that, a validation set without a mistake would ask for endless certainty.

    Args:
        logits: (N,) raw logits of a validation set, finite.
        targets: (N,) 0 or 1.

    Returns:
        A temperature in ``TEMPERATURES``: above 1 where the model is too sure, below 1 where it is not sure enough. 1
        where fewer than both classes are there to learn it from.

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
    """The threshold on calibrated probabilities that gives the answers which ``threshold`` gave without a temperature.

    Args:
        threshold: in [0, 1]; both ends stay where they are.
        temperature: above 0; to take a temperature back, give ``1 / temperature``.
    """
    return float(expit(logit(threshold) / temperature))


def uncalibrated(probabilities: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """The probabilities that a model would have given without its temperature, of any shape."""
    return scale_logits(logit(np.asarray(probabilities, dtype=np.float64)), 1 / temperature)


def reliability(probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, n_bins: int = 10) -> pd.DataFrame:
    """Compare what was said with what came true, in bins of equal width.

    Args:
        probabilities: (N,) probability of an artifact, in [0, 1].
        targets: (N,) 0 or 1.
        n_bins: a probability on the edge of two bins counts in the lower one, as in scikit-learn.

    Returns:
        One row a bin that holds any picture: ``low`` and ``high`` (its edges), ``n``, ``probability`` (the mean of what
        was said), ``share`` (of artifacts), ``share_low`` and ``share_high`` (its 95% Wilson interval).

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
    """The expected calibration error: how far, on average over the pictures, a bin's share is from what was said.

    Args and errors are those of ``reliability``.

    Returns:
        In [0, 1], 0 is perfect; None without pictures. It is blind to how well the classes are told apart.
    """
    bins = reliability(probabilities, targets, n_bins=n_bins)
    if bins.empty:
        return None
    return float(np.average((bins["probability"] - bins["share"]).abs(), weights=bins["n"]))


def measure_calibration(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, temperature: float
) -> dict[str, float | None]:
    """What a temperature did for probabilities: the ``calibration`` of a ``metrics.json``.

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
