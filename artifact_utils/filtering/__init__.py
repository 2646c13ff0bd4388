"""Scoring whole folders with a detector, and moving the flagged pictures away and back.

`score_folder` writes the table, `move_flagged` moves what it flags, `undo` puts that back, `import_labels` reads labels
from a table, `export_labels` copies the labelled pictures, `learn` and `fit_generator` make a new run; all take a
`FilterConfig`. `zip_clean` takes an open state.
`select` looks into the scores of ``--engine ray``.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "FilterConfig": "options",
    "FilterError": "options",
    "Scored": "scoring",
    "score_folder": "scoring",
    "move_flagged": "moving",
    "undo": "moving",
    "import_labels": "label_import",
    "export_labels": "label_export",
    "zip_clean": "clean_archive",
    "learn": "learning",
    "fit_generator": "learning",
    "SelectConfig": "selection",
}
"""Module of each public name: learning imports PyTorch, scoring does once a picture needs it."""

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
