"""The demo set where training looks for its data, organised like a user's own files."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from artifact_utils.demo.dataset import build_demo_dataset, write_whole
from artifact_utils.faces import FACE_COLUMNS
from artifact_utils.files.tables import read_csv, write_csv
from artifact_utils.labels import CLASS_NAMES
from artifact_utils.organize import apply, plan

DEFAULT_DATA = Path("dataset")
"""Where training looks when it is not told otherwise."""

logger = logging.getLogger(__name__)


def ensure_dataset(root: Path) -> None:
    """Build the demo set into ``DEFAULT_DATA`` if that is what is asked for and it is not there yet.

    It goes through the raw layout in ``demo_data/`` and the organiser, like a user's own files. Interrupted at any
    moment, the next call goes on; the folder gets its name only when it is complete.
    """
    if root != DEFAULT_DATA or root.exists():
        return
    raw, partial = Path("demo_data"), root.with_name(f"{root.name}.partial")
    logger.info(
        f"no {root}/ here: building a demo set from OpenPeople in {raw}/, 2,000 portraits, one in ten with an artifact"
    )
    build_demo_dataset(raw)
    todo = plan(raw, partial)
    apply(todo)
    carry_annotations(raw, partial)
    partial.rename(root)
    counts = Counter((entry.split, CLASS_NAMES[entry.label]) for entry in todo.entries)
    listing = ", ".join(f"{split}/{name} {n:,}" for (split, name), n in sorted(counts.items()))
    logger.info(f"organised into {root}/: {listing}; {len(todo.rejected)} rejected")


def carry_annotations(raw: Path, data: Path) -> None:
    """Take along what a demo set says of its faces and artifacts, masks included, into its organised folder.

    Args:
        raw: a folder of ``build_demo_dataset``, such as ``test_data``; what it does not say is left out.
        data: the folder that it was organised into.
    """
    sources = {row["source"]: row["path"] for row in read_csv(data / "manifest.csv", ("path", "source"))}
    places = {Path(source).relative_to(raw.resolve()).as_posix(): path for source, path in sources.items()}
    faces = [(places[row.pop("path")], *row.values()) for row in read_csv(raw / "faces.csv", ("path", *FACE_COLUMNS))]
    rows = []
    for row in read_csv(raw / "artifacts.csv", ("file", "kind", "strength", "mask")):
        mask = f".{row['mask']}"  # hidden: whatever else lies in a data set is taken for a portrait
        (data / mask).parent.mkdir(parents=True, exist_ok=True)
        write_whole(data / mask, (raw / row["mask"]).read_bytes())
        rows.append((places[row["file"]], row["kind"], row["strength"], mask))
    for name, columns, table in (
        ("faces.csv", ("path", *FACE_COLUMNS), faces),
        ("artifacts.csv", ("path", "kind", "strength", "mask"), rows),
    ):
        if table:
            write_csv(data / name, columns, table)
