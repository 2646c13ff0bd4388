"""Every figure of the notebooks and of a run: data in, a matplotlib ``Figure`` out.

Figures are made without pyplot, so nothing has to be closed and none is shown twice in a notebook. Blue is clean and
orange is artifact in all of them, two colours that colour-blind readers can tell apart (Okabe and Ito, 2008).
"""

from artifact_utils.plots.audit import (
    plot_class_balance,
    plot_distributions,
    plot_duplicates,
    plot_extremes,
    plot_map,
    plot_samples,
    plot_suspicious_labels,
)
from artifact_utils.plots.curves import plot_reliability, plot_robustness, plot_slices
from artifact_utils.plots.experiments import plot_comparison
from artifact_utils.plots.features import plot_feature_maps, step_through
from artifact_utils.plots.galleries import plot_gallery, plot_where
from artifact_utils.plots.results import (
    OUTCOMES,
    plot_answers,
    plot_confusion_matrix,
    plot_learning_curves,
    plot_metrics,
    plot_outcome,
    plot_probabilities,
    plot_roc_and_precision_recall,
)
from artifact_utils.plots.style import COLOURS
from artifact_utils.plots.summary import plot_summary

__all__ = [
    "COLOURS",
    "OUTCOMES",
    "plot_answers",
    "plot_class_balance",
    "plot_comparison",
    "plot_confusion_matrix",
    "plot_distributions",
    "plot_duplicates",
    "plot_extremes",
    "plot_feature_maps",
    "plot_gallery",
    "plot_learning_curves",
    "plot_map",
    "plot_metrics",
    "plot_outcome",
    "plot_probabilities",
    "plot_reliability",
    "plot_robustness",
    "plot_roc_and_precision_recall",
    "plot_samples",
    "plot_slices",
    "plot_summary",
    "plot_suspicious_labels",
    "plot_where",
    "step_through",
]
