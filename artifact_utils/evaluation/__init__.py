"""Evaluation of detectors: ``measure`` is the evaluator, everything else is made of its results.

Below training lie ``measuring``, ``grounding`` and ``run_results``; above it ``report``, ``robustness``,
``experiments`` and the tables that are made of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifact_utils.evaluation.experiments import train_variants  # noqa: F401
    from artifact_utils.evaluation.measuring import Measured, measure  # noqa: F401
    from artifact_utils.evaluation.report import write_report  # noqa: F401
    from artifact_utils.evaluation.robustness import measure_robustness  # noqa: F401

_MODULE_OF = {
    "Measured": "measuring",
    "measure": "measuring",
    "measure_robustness": "robustness",
    "train_variants": "experiments",
    "write_report": "report",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: training needs the evaluator, and is needed by the experiments."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
