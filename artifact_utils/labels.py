"""Class names, their numbers, the families of artifacts, how a label is read from a file name, and ``Portrait``."""

import re
from dataclasses import dataclass
from pathlib import Path

from artifact_utils.console import ArtifactUtilsError

CLASS_NAMES = ("no_artifacts", "artifacts")
"""Folder names by class number: an artifact is 1 and the positive class everywhere."""

CLEAN, ARTIFACT = 0, 1

FAMILY_NAMES = ("hands", "face", "text", "objects", "glitch", "gaze")
"""Families of artifacts; ``synthesis.FAMILIES`` has the kinds in each. Their order is that of the numbers in masks."""

ANY_FAMILY = 254
"""What stands in a mask where there is an artifact and nobody knows of which family."""


def mask_number(family: str) -> int:
    """What stands in a mask where an artifact of that family is; 0 is none."""
    return FAMILY_NAMES.index(family) + 1 if family in FAMILY_NAMES else ANY_FAMILY


OFF_BY_DEFAULT = ("gaze",)
"""Families that count for no verdict unless they are asked for: many call them no fault."""

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


@dataclass(frozen=True)
class Portrait:
    """One labelled file.

    ``group`` is the person (or the prompt family) it shows, ``GENERATOR/PERSON`` where several generators made the
    portraits; ``face`` holds the points of ``faces.Face`` as ten
    numbers, x and y as shares of the width and the height; ``kind`` is the kind of its artifact, ``strength`` how gross
    it is, from 0 to 1, and ``mask`` a picture that is white where it is. All are empty where nobody said.
    ``unlabelled`` are families of which nobody said whether a clean picture has them. ``made`` is the seed of an
    artifact that the picture is given when it is opened, None for the picture as it is.
    """

    path: Path
    label: int
    group: str = ""
    face: tuple[float, ...] = ()
    kind: str = ""
    made: int | None = None
    strength: float | None = None
    mask: Path | None = None
    unlabelled: tuple[str, ...] = ()

    @property
    def generator(self) -> str:
        """What the group names before its first slash, empty where it has none."""
        name, slash, _ = self.group.partition("/")
        return name if slash else ""
