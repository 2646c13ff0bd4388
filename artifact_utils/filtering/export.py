"""The table of scores that people read: written whole from the state, never read again."""

import os
from collections.abc import Iterator

from artifact_utils.files.tables import write_csv
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import State

SCORE_COLUMNS = ("path", "probability", "flagged", "reason")


def write_scores(state: State, outputs: Outputs, threshold: float) -> None:
    """Write a row a picture, in the order of their paths; an unreadable one has a reason instead of a probability."""

    def rows() -> Iterator[tuple[object, ...]]:
        for score in state.scores():
            flagged = "" if score.probability is None else int(score.probability >= threshold)
            yield os.fsdecode(score.path), score.probability, flagged, score.reason

    write_csv(outputs.table, SCORE_COLUMNS, rows())
