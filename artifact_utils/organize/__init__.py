"""Sorting flat folders of labelled portraits into class folders, verified by content and safe to interrupt.

    SOURCE/train/image_00002_1.png   ->   OUTPUT/train/artifacts/image_00002_1.png
    SOURCE/test/image_00007_0.jpg    ->   OUTPUT/test/no_artifacts/image_00007_0.jpg

`plan` reads everything and touches nothing. `apply` first writes OUTPUT/manifest.csv, the record of what is about to
happen, and then places the files it lists. `undo` takes them back. A file is placed under a temporary name, compared
with the hash of its source and then renamed; a file is removed only while another path holds the same content. So
every picture is in at least one place at any moment, and after a kill the next run finishes the job.
"""

from artifact_utils.organize.command import OrganizeConfig, run
from artifact_utils.organize.manifest import (
    COLUMNS,
    MANIFEST,
    REJECTED,
    SPLITS,
    Entry,
    OrganizeError,
    read_manifest,
)
from artifact_utils.organize.placing import apply, undo
from artifact_utils.organize.planning import SPLIT_FOLDERS, Plan, plan

__all__ = [
    "COLUMNS",
    "MANIFEST",
    "REJECTED",
    "SPLITS",
    "SPLIT_FOLDERS",
    "Entry",
    "OrganizeConfig",
    "OrganizeError",
    "Plan",
    "apply",
    "plan",
    "read_manifest",
    "run",
    "undo",
]
