"""Labelled pictures of a scored folder as a labelled data set, in the layout that ``organize_dataset.py`` reads."""

import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from artifact_utils.console import progress_bar
from artifact_utils.files.copies import TEMPORARY_NAME, place
from artifact_utils.files.tables import read_csv, write_csv
from artifact_utils.files.writing import file_digest, is_part
from artifact_utils.filtering.labelled import groups_of, labelled_pictures
from artifact_utils.filtering.moving import settle_moves
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.renamed_folder import follow_rename
from artifact_utils.filtering.state import State, open_state
from artifact_utils.images import IMAGE_SUFFIXES
from artifact_utils.labels import ARTIFACT, CLEAN

logger = logging.getLogger(__name__)

GROUPS, LABELS = "groups.csv", "labels.csv"
LABEL_COLUMNS = ("file", "source", "label", "old_verdict", "probability", "time")


@dataclass(frozen=True)
class Exported:
    """Result of exporting labels; as text, two lines for people."""

    artifacts: int
    clean: int
    folder: Path

    def __str__(self) -> str:
        return (
            f"{self.artifacts + self.clean} labelled pictures in {self.folder}, {self.artifacts} with an artifact\n"
            f"next: python organize_dataset.py --source {self.folder}"
        )


def export_labels(config: FilterConfig) -> Exported:
    """Copy the labelled pictures of ``config.folder`` to ``config.export_labels``; see ``export_state``.

    Raises:
        FilterError: nothing was labelled or the target cannot be used, as ``export_state``.
        FileError: another run is at work on this folder.
    """
    if config.export_labels is None:
        raise FilterError("no folder for the labelled pictures: name one with --export-labels")
    follow_rename(config)
    if not Outputs.of(config).state.exists():
        raise FilterError(f"{config.folder} was not scored yet, so nothing is labelled in it")
    with open_state(config) as state:
        settle_moves(state)
        return export_state(state, config.export_labels)


def export_state(state: State, target: Path) -> Exported:
    """Copy the labelled pictures of a state that is open to ``TARGET/train/image_00001_1.png`` and so on.

    Bytes and suffix stay. ``groups.csv`` says what belongs together and ``labels.csv`` where each picture comes from,
    what was said of it before, and when. Killed anywhere, the same call finishes; nothing is ever replaced.

    Args:
        state: with the corrections.
        target: a folder that is new or empty, or holds an export of the same labels, perhaps one that was cut off.

    Raises:
        FilterError: nothing was labelled, or the target holds anything else; nothing was written then.
        FileError: a picture changed while it was copied.
    """
    pictures = labelled_pictures(state)
    if not pictures:
        raise FilterError(f"no picture of {state.folder} is labelled: say of some what they are first")
    names = [f"image_{i:05d}_{p.label}{Path(p.file.name).suffix}" for i, p in enumerate(pictures, 1)]
    train = target / "train"
    missing = _missing(target, {f"train/{n}": p.correction.sha256 for n, p in zip(names, pictures, strict=True)})
    train.mkdir(parents=True, exist_ok=True)
    (train / TEMPORARY_NAME).unlink(missing_ok=True)
    for name, picture in progress_bar(list(zip(names, pictures, strict=True)), "export", unit="img"):
        if f"train/{name}" in missing:
            place(picture.file, train / name, picture.correction.sha256, "copy")
    groups = groups_of(state.folder, pictures)
    rows = []
    for name, picture in zip(names, pictures, strict=True):
        said = picture.correction
        when = datetime.fromtimestamp(said.time, UTC).isoformat(timespec="seconds")
        rows.append((f"train/{name}", os.fsdecode(said.path), said.verdict, said.old_verdict, said.score, when))
    write_csv(target / LABELS, LABEL_COLUMNS, rows)  # first: it says whose the other table is
    write_csv(target / GROUPS, ("file", "group"), ((f"train/{n}", g) for n, g in zip(names, groups, strict=True)))
    if n := sum(Path(name).suffix.lower() not in IMAGE_SUFFIXES for name in names):
        logger.warning("%d pictures are not %s: organize_dataset.py leaves them out", n, ", ".join(IMAGE_SUFFIXES))
    labels = [picture.label for picture in pictures]
    return Exported(labels.count(ARTIFACT), labels.count(CLEAN), target)


def _missing(target: Path, planned: dict[str, str]) -> set[str]:
    """Which of the planned files are not there yet.

    Raises:
        FilterError: there is anything in the target that is not planned.
    """
    if os.path.lexists(target) and not target.is_dir():
        raise FilterError(f"--export-labels {target} is no folder: name a new one")
    there = {f.relative_to(target).as_posix(): f for f in sorted(target.rglob("*")) if not is_part(f.name)}
    tables = {GROUPS, LABELS} & there.keys()
    rows = [row["file"] for row in read_csv(target / LABELS, ("file",))] if tables else []
    own_tables = tables if rows and set(rows) <= planned.keys() else set()
    for name, file in there.items():
        if name != "train" and name not in own_tables and file_digest(file) != planned.get(name):
            raise FilterError(
                f"{str(file)!r} is there already, and is not what would be exported: name a new folder with "
                "--export-labels"
            )
    return planned.keys() - there.keys()
