"""The table of what a model answers on labelled portraits: ``predictions.csv`` and ``validation.csv`` of a run."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from artifact_utils.datasets import Portrait

PREDICTION_COLUMNS = ("path", "group", "kind", "strength", "target", "probability", "predicted")
"""Its columns; ``kind`` and ``strength`` are of the artifact, if known."""


def prediction_rows(
    portraits: Sequence[Portrait], probabilities: Iterable[float], threshold: float, root: Path
) -> list[dict[str, Any]]:
    """Rows of ``PREDICTION_COLUMNS``, compared with the threshold in double precision as the metrics do.

    Args:
        portraits: below ``root``, which their ``path`` is told from.
        probabilities: of an artifact, one for each portrait.
        threshold: the probability from which on a picture is flagged.
    """
    return [
        {
            "path": portrait.path.relative_to(root).as_posix(),
            "group": portrait.group,
            "kind": portrait.kind,
            "strength": "" if portrait.strength is None else portrait.strength,
            "target": portrait.label,
            "probability": probability,
            "predicted": int(probability >= threshold),
        }
        for portrait, probability in zip(portraits, probabilities, strict=True)
    ]
