"""Every figure of the notebooks and of a run: data in, a matplotlib ``Figure`` out.

Figures are made without pyplot, so nothing has to be closed and none is shown twice in a notebook. Blue is clean and
orange is artifact in all of them, two colours that colour-blind readers can tell apart (Okabe and Ito, 2008).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifact_utils.plots.audit_figures import (  # noqa: F401
        plot_class_balance,
        plot_distributions,
        plot_duplicates,
        plot_extremes,
        plot_map,
        plot_samples,
        plot_suspicious_labels,
    )
    from artifact_utils.plots.curves import plot_reliability, plot_robustness, plot_slices  # noqa: F401
    from artifact_utils.plots.features import plot_feature_maps, step_through  # noqa: F401
    from artifact_utils.plots.galleries import plot_gallery, plot_where  # noqa: F401
    from artifact_utils.plots.results import (  # noqa: F401
        OUTCOMES,
        plot_answers,
        plot_confusion_matrix,
        plot_learning_curves,
        plot_metrics,
        plot_outcome,
        plot_probabilities,
        plot_roc_and_precision_recall,
    )
    from artifact_utils.plots.style import COLOURS  # noqa: F401
    from artifact_utils.plots.summary import plot_summary  # noqa: F401
    from artifact_utils.plots.variants import plot_variants  # noqa: F401

_MODULES = {
    "audit_figures": (
        "plot_class_balance",
        "plot_distributions",
        "plot_duplicates",
        "plot_extremes",
        "plot_map",
        "plot_samples",
        "plot_suspicious_labels",
    ),
    "curves": ("plot_reliability", "plot_robustness", "plot_slices"),
    "features": ("plot_feature_maps", "step_through"),
    "galleries": ("plot_gallery", "plot_where"),
    "results": (
        "OUTCOMES",
        "plot_answers",
        "plot_confusion_matrix",
        "plot_learning_curves",
        "plot_metrics",
        "plot_outcome",
        "plot_probabilities",
        "plot_roc_and_precision_recall",
    ),
    "style": ("COLOURS",),
    "summary": ("plot_summary",),
    "variants": ("plot_variants",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a figure of a run needs no widgets, a page no matplotlib."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
