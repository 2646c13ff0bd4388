"""Sort flat folders of labelled portraits into class folders, verified by content hash.

    python organize_dataset.py --source portraits                       # copies into dataset/
    python organize_dataset.py --source portraits --dry-run             # only says what would happen
    python organize_dataset.py --source portraits --mode move           # or link
    python organize_dataset.py --source portraits --artifact-label 0    # names in which _0 means "artifact"
    python organize_dataset.py --undo                                   # everything back as it was

Interrupted or killed, the same command finishes the job. dataset/manifest.csv says where every file came from,
dataset/rejected.csv what was left where it is, and why.
"""

import io
import sys

import tyro

from artifact_utils.organize import OrganizeConfig, run

if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # folders may have names that the terminal cannot show
    raise SystemExit(run(tyro.cli(OrganizeConfig, description=__doc__)))
