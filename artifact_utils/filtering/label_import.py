"""Labels for the pictures of a scored folder, from a table."""

import os

from artifact_utils.files.tables import read_csv
from artifact_utils.filtering.moving import settle_moves
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.renamed_folder import follow_rename
from artifact_utils.filtering.state import open_state
from artifact_utils.labels import ARTIFACT, CLEAN

VERDICTS = {"1": ARTIFACT, "artifact": ARTIFACT, "0": CLEAN, "clean": CLEAN}


def import_labels(config: FilterConfig) -> str:
    """Label the pictures that ``config.labels`` names, as the page does; returns a sentence for people.

    The table has the columns ``file``, a path below the folder, and ``label``: artifact or 1, clean or 0. All of it is
    read before anything is labelled; a label replaces an earlier one of its picture.

    Raises:
        FilterError: the folder was not scored yet, or a row names no scored picture or no label.
        FileError: there is no such table, or another process has the state open.
    """
    table = config.labels
    if table is None or not table.is_file():
        raise FilterError(f"no table {table}: name one with the columns file and label")
    follow_rename(config)
    if not Outputs.of(config).state.exists():
        raise FilterError(f"{config.folder} was not scored yet: score it first with filter_images.py {config.folder}")
    labels: dict[bytes, int] = {}
    for number, row in enumerate(read_csv(table, ("file", "label")), start=2):
        verdict = VERDICTS.get(row["label"].strip().lower())
        if verdict is None:
            raise FilterError(f"{table}, line {number}: label {row['label']!r}: write artifact or clean")
        labels[os.fsencode(row["file"])] = verdict
    with open_state(config) as state:
        settle_moves(state)
        scored = {score.path for score in state.scores()}
        if missing := sorted(set(labels) - scored):
            raise FilterError(
                f"{table}: {os.fsdecode(missing[0])!r} is not among the scores of {config.folder}"
                f"{f', nor are {len(missing) - 1} others' if len(missing) > 1 else ''}: nothing was labelled"
            )
        for path, verdict in labels.items():
            state.corrections.add(path, verdict)
    n_artifacts = sum(labels.values())
    return f"{len(labels)} pictures labelled: {n_artifacts} artifact, {len(labels) - n_artifacts} clean"
