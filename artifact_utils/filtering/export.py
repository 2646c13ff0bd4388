"""The tables that people read: written whole from the state, safe to open in a spreadsheet, never read again."""

import csv
import io
import os

from artifact_utils.files.writing import write_bytes
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import State

SCORE_COLUMNS = ("path", "probability", "flagged", "reason")


def write_scores(state: State, outputs: Outputs, threshold: float) -> None:
    """Write a row a picture, in the order of their paths; an unreadable one has a reason instead of a probability."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(SCORE_COLUMNS)
    for score in state.scores():
        probability = score.probability
        flagged = "" if probability is None else int(probability >= threshold)
        cell = "" if probability is None else probability
        writer.writerow((defused(os.fsdecode(score.path)), cell, flagged, defused(score.reason)))
    write_bytes(outputs.table, text.getvalue().encode("utf-8", "surrogateescape"))


def defused(cell: str) -> str:
    """The text with an apostrophe in front, if a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
