"""The web page: look at portraits, sort a folder, correct the detector, in a browser.

`launch` is the one door; the layout is Gradio's, and what the page can do are functions of the rest of the package.
"""

from importlib import import_module
from typing import Any

_HOME = {"launch": "server", "PageConfig": "settings", "PageError": "options"}
"""Module of each public name: the server imports PyTorch and Gradio, the options do not."""

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
