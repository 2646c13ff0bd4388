"""The table of answers to labelled portraits, as a run folder and ``Detector.table`` have it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from artifact_utils.datasets import Portrait

PREDICTION_COLUMNS = ("path", "group", "kind", "strength", "target", "probability", "predicted")
"""The layout of ``predictions.csv`` and ``validation.csv``; ``kind`` and ``strength`` are of the artifact, if known."""


def prediction_rows(
    portraits: Sequence[Portrait], probabilities: Iterable[float], threshold: float, root: Path
) -> list[dict[str, Any]]:
    """Rows of ``PREDICTION_COLUMNS``, compared with the threshold in double precision as the metrics do."""
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
