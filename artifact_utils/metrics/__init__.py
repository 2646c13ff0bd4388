"""Metrics of a classifier with confidence intervals, by slice, their calibration, and the choice of a threshold.

Pure functions on arrays and tables. A picture is called an artifact where ``probability >= threshold``. A number that
cannot be computed (the precision of a class that was never predicted, the AUC of one class) is ``None``: never a silent
0, never a NaN that JSON cannot hold. All of it for a run, as files and one HTML page:

    python -m artifact_utils.metrics runs/efficientnet_lite0 dataset
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifact_utils.metrics.bootstrap import MIN_GROUPS, share_interval  # noqa: F401
    from artifact_utils.metrics.calibration import (  # noqa: F401
        calibration_error,
        fit_temperature,
        measure_calibration,
        reliability,
        scale_logits,
        scale_threshold,
        uncalibrated,
    )
    from artifact_utils.metrics.comparison import compare_models, mcnemar  # noqa: F401
    from artifact_utils.metrics.scores import evaluate, format_table  # noqa: F401
    from artifact_utils.metrics.slices import by_slice, worst_slices  # noqa: F401
    from artifact_utils.metrics.thresholds import ThresholdRule, choose_threshold  # noqa: F401

_MODULES = {
    "bootstrap": ("MIN_GROUPS", "share_interval"),
    "calibration": (
        "calibration_error",
        "fit_temperature",
        "measure_calibration",
        "reliability",
        "scale_logits",
        "scale_threshold",
        "uncalibrated",
    ),
    "comparison": ("compare_models", "mcnemar"),
    "scores": ("evaluate", "format_table"),
    "slices": ("by_slice", "worst_slices"),
    "thresholds": ("ThresholdRule", "choose_threshold"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a threshold can be read without scikit-learn."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
