"""The table of scores that people read: written whole from the state, never read again."""

import os
from collections.abc import Iterator

from artifact_utils.files.tables import write_csv
from artifact_utils.filtering.judging import Counts, Judge
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import State

SCORE_COLUMNS = ("path", "probability", "flagged", "reason", "family", "x", "y", "left", "top", "right", "bottom")
"""Then comes the probability of each family that the model tells apart."""


def write_scores(state: State, outputs: Outputs, judge: Judge) -> Counts:
    """Write a row a picture, in the order of their paths, and count them on the way.

    An unreadable one has a reason instead of a probability. ``family`` is the most probable of those that count,
    flagged or not; the point and the box of its place are in pixels of the picture.
    """

    counts = Counts(families=dict.fromkeys(judge.families, 0))

    def rows() -> Iterator[tuple[object, ...]]:
        for score in state.scores():
            said = judge(score)
            counts.add(score, said)
            flagged = "" if said.probability is None else int(said.flagged)
            place = ("",) * 6 if said.place is None else said.place
            chances = [said.families.get(name, "") for name in judge.known]
            yield os.fsdecode(score.path), said.probability, flagged, score.reason, said.family, *place, *chances

    write_csv(outputs.table, (*SCORE_COLUMNS, *judge.known), rows())
    return counts
