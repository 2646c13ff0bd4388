"""Scoring pictures in any number, on one machine or a cluster of them, by Ray Data: ``score_urls``.

Pictures and scores may lie in object storage or in folders. What is scored is a set of Parquet files that only grows
until a run is finished; the same command goes on from it. Ray and the file systems are not installed by default:
``python -m pip install -e ".[scale]"``.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "ScaleConfig": "scale_options",
    "ScaleError": "scale_options",
    "ScoredParts": "ray_engine",
    "score_urls": "ray_engine",
}
"""Module of each public name: the options import nothing heavy."""

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
