"""Numbers with confidence intervals: how good a classifier is, where it is worst, and what its probabilities are worth.

A picture is called an artifact where ``probability >= threshold``. A number that cannot be computed (the precision
of a class that was never predicted, the AUC of one class) is ``None``: never a silent 0, never a NaN that JSON cannot
hold. All of it for a run, as files and one HTML page:

    python -m artifact_utils.metrics runs/efficientnet_lite0 dataset
"""

from artifact_utils.metrics.bootstrap import MIN_GROUPS, share_interval
from artifact_utils.metrics.calibration import (
    calibration_error,
    fit_temperature,
    measure_calibration,
    reliability,
    scale_logits,
    scale_threshold,
    uncalibrated,
)
from artifact_utils.metrics.comparison import compare, mcnemar
from artifact_utils.metrics.scores import evaluate, format_table
from artifact_utils.metrics.slices import by_slice, worst_slices
from artifact_utils.metrics.thresholds import ThresholdRule, choose_threshold

__all__ = [
    "MIN_GROUPS",
    "ThresholdRule",
    "by_slice",
    "calibration_error",
    "choose_threshold",
    "compare",
    "evaluate",
    "fit_temperature",
    "format_table",
    "mcnemar",
    "measure_calibration",
    "reliability",
    "scale_logits",
    "scale_threshold",
    "share_interval",
    "uncalibrated",
    "worst_slices",
]
