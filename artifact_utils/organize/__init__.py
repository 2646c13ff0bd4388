"""Sorting flat folders of labelled portraits into class folders, verified by content and safe to interrupt.

    SOURCE/train/image_00002_1.png   ->   OUTPUT/train/artifacts/image_00002_1.png
    SOURCE/test/image_00007_0.jpg    ->   OUTPUT/test/no_artifacts/image_00007_0.jpg

`organize` does what an `OrganizeConfig` says, in two steps. `plan` reads everything and touches nothing. `apply` first
writes down what is about to happen, in OUTPUT/.manifest.sqlite and for people in OUTPUT/manifest.csv, and then places
the files. `undo` takes them back. A file is placed under a temporary name, compared with the hash of its source and
then renamed; a file is removed only while another path holds the same content. So every picture is in at least one
place at any moment, and after a kill the next run finishes the job.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "OrganizeConfig": "command",
    "organize": "command",
    "Entry": "manifest",
    "OrganizeError": "manifest",
    "read_manifest": "manifest",
    "Plan": "planning",
    "plan": "planning",
    "apply": "placing",
    "undo": "placing",
}
"""Module of each public name, which is imported when the name is first used."""

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
