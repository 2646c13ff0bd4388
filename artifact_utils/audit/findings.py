"""Everything an audit finds out about a folder, and what follows from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from artifact_utils.audit.duplicates import find_duplicates, find_leaks, united_groups
from artifact_utils.audit.issues import THRESHOLDS, find_issues
from artifact_utils.audit.scanning import scan
from artifact_utils.audit.shortcuts import Shortcuts, find_shortcuts
from artifact_utils.files.tables import read_csv
from artifact_utils.labels import ARTIFACT, CLASS_NAMES


@dataclass(frozen=True)
class Findings:
    """The tables of an audit: of ``scan``, ``find_issues``, ``find_duplicates``, ``find_leaks``; the verdict on
    shortcuts; the table of ``find_label_errors`` with ``path`` and ``class_name``, None where there are no labels."""

    table: pd.DataFrame
    issues: pd.DataFrame
    duplicates: pd.DataFrame
    leaks: pd.DataFrame
    shortcuts: Shortcuts | None
    label_errors: pd.DataFrame | None

    def balance(self) -> pd.DataFrame:
        """How many pictures each split has of each class."""
        named = self.table.assign(
            split=self.table["split"].replace("", "(none)"),
            class_name=self.table["class_name"].replace("", "(no label)"),
        )
        return named.groupby(["split", "class_name"]).size().reset_index(name="pictures")

    def summary(self) -> pd.DataFrame:
        """How many pictures each issue flags."""
        flagged = [int(self.issues[f"is_{name}"].sum()) for name in THRESHOLDS]
        return pd.DataFrame({"issue": list(THRESHOLDS), "flagged": flagged})

    def to_fix(self) -> list[str]:
        """What to do, the worst first; empty where all is well."""
        return list(self._to_fix())

    def _to_fix(self) -> Iterator[str]:
        if len(self.leaks):
            yield (
                f"{len(self.leaks)} pictures of one split lie in another, too: keep each on one side, "
                f"first {self.leaks['path'].iloc[0]} = {self.leaks['other'].iloc[0]}"
            )
        if self.shortcuts is not None and self.shortcuts.found:
            yield str(self.shortcuts)
        for issue, flagged in self.summary().to_numpy():
            if flagged and issue != "near_duplicate":
                yield f"{issue.replace('_', ' ')}: look at {flagged} pictures"
        n_groups = self.duplicates["group"].nunique()
        if n_groups:
            yield f"{n_groups} groups of near-duplicates: less variety than {len(self.table):,} files suggest"
        if self.label_errors is not None and self.label_errors["is_label_error"].any():
            yield f"{self.label_errors['is_label_error'].sum()} labels look wrong: check the most suspicious first"


def audit_folder(
    folder: Path, *, table: Path | None = None, at_most: int | None = None, labels: bool = True
) -> Findings:
    """Audit a folder of pictures, labelled or not, organised or not.

    Args:
        folder: see ``scan``. People are read from the ``manifest.csv`` that ``organize_dataset.py`` writes, if any.
        table: Parquet file to keep the measurements in, and to go on from.
        at_most: look at no more pictures than this, evenly spread.
        labels: whether to look for wrong labels, which takes longest: every picture goes through a network.

    Raises:
        AuditError: see ``scan``.
        FileError: ``manifest.csv`` is no table.
    """
    measured = scan(folder, table=table, at_most=at_most)
    duplicates = find_duplicates(measured)
    copies = duplicates.set_index("path")["group"]
    groups = _groups(folder, measured, copies)
    return Findings(
        measured,
        find_issues(measured, duplicates),
        duplicates,
        find_leaks(duplicates),
        find_shortcuts(measured, groups),
        _label_errors(folder, measured, groups) if labels else None,
    )


def _groups(folder: Path, table: pd.DataFrame, copies: pd.Series) -> pd.Series:
    """By path the number of a group that parts neither near-duplicates nor the pictures of a person, if known."""
    people = {row["path"]: row["group"] for row in read_csv(folder / "manifest.csv", ("path", "group"))}
    group_of = {str(path): int(group) for path, group in copies.items()}
    numbers = [group_of.get(path, -1 - i) for i, path in enumerate(table["path"])]  # or one of its own
    names = [people.get(path, "") for path in table["path"]]
    return pd.Series(list(united_groups(names, numbers)), index=table["path"])


def _label_errors(folder: Path, table: pd.DataFrame, groups: pd.Series) -> pd.DataFrame | None:
    from artifact_utils.audit.label_errors import embed, find_label_errors  # PyTorch: only those wait who want it

    rows = table[table["readable"] & table["class_name"].isin(CLASS_NAMES)]
    named = groups.loc[rows["path"]].to_numpy()
    labels = np.asarray(rows["class_name"] == CLASS_NAMES[ARTIFACT], dtype=np.int64)
    if min(len(set(named[labels == label])) for label in range(len(CLASS_NAMES))) < 2:
        return None
    embeddings = embed([folder / path for path in rows["path"]])
    seen = np.flatnonzero(~np.isnan(embeddings).any(axis=1))
    errors = find_label_errors(embeddings[seen], labels[seen], named[seen])
    known = rows[["path", "split", "class_name"]].iloc[seen].reset_index(drop=True)
    return pd.concat([known, errors], axis=1)
