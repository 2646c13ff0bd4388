"""Class names, their numbers, the families of artifacts, and how a label is read from a file name."""

import re
from pathlib import Path

from artifact_utils.console import ArtifactUtilsError

CLASS_NAMES = ("no_artifacts", "artifacts")
"""Folder names by class number: an artifact is 1 and the positive class everywhere."""

CLEAN, ARTIFACT = 0, 1

FAMILY_NAMES = ("hands", "face", "text", "objects", "glitch")
"""Families of artifacts; ``synthesis.FAMILIES`` has the kinds in each."""

_LABELLED_STEM = re.compile(r"_([01])$")


class LabelError(ArtifactUtilsError):
    """A file name that carries no readable label."""


def parse_label(path: str | Path, artifact_label: int = ARTIFACT) -> int:
    """Read the class of a picture from its name, ``image_00002_1.png`` -> 1.

    Args:
        path: file name or path; only the stem counts, so ``.PNG`` and ``.jpeg`` are alike.
        artifact_label: the digit that means "artifact" in this data set. Some sets use 0.

    Returns:
        ``ARTIFACT`` (1) or ``CLEAN`` (0), whatever digit the set uses.

    Raises:
        LabelError: the name does not end in ``_0`` or ``_1``.
        ValueError: ``artifact_label`` is neither 0 nor 1.
    """
    if artifact_label not in (0, 1):
        raise ValueError(f"artifact_label must be 0 or 1, not {artifact_label!r}")
    match = _LABELLED_STEM.search(Path(path).stem)
    if match is None:
        raise LabelError(f"no label in {Path(path).name!r}: expected a name ending in _0 or _1")
    return ARTIFACT if int(match.group(1)) == artifact_label else CLEAN
