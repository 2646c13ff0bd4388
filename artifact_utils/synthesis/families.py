"""The kinds of artifact by family, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from artifact_utils.labels import OFF_BY_DEFAULT
from artifact_utils.synthesis import face, gaze, glitch, hands, objects, text
from artifact_utils.synthesis.compositing import Artifact

_FOLDERS = {"hands": hands, "face": face, "text": text, "objects": objects, "glitch": glitch, "gaze": gaze}

ARTIFACTS: dict[str, Artifact] = {
    artifact.__name__: artifact for folder in _FOLDERS.values() for artifact in folder.ARTIFACTS
}
"""The function that draws each kind."""

FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(artifact.__name__ for artifact in folder.ARTIFACTS) for family, folder in _FOLDERS.items()
}
"""The kinds of artifact in each of ``labels.FAMILY_NAMES``. The order of both is part of what a seed draws."""

FAMILY_OF: dict[str, str] = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
"""The family of each kind."""

KINDS: tuple[str, ...] = tuple(kind for kind in ARTIFACTS if FAMILY_OF[kind] not in OFF_BY_DEFAULT)
"""Every kind of artifact that is drawn where none is asked for: not those of gaze, which many call no fault."""

SMALL_KINDS = frozenset(artifact.__name__ for folder in _FOLDERS.values() for artifact in folder.SMALL)
"""Kinds that are small in nature: signatures, prints, what sticks to a cheek."""

FAMILY_SHARES = {"hands": 0.26, "text": 0.24, "face": 0.2, "objects": 0.2, "glitch": 0.1}
"""How often each family is drawn where none is asked for: about as often as generators fail in it, none of them
hardly ever."""

_MODELLED = frozenset(artifact.__name__ for folder in _FOLDERS.values() for artifact in folder.MODELLED)
_LEARNED_LAST = frozenset({"doubled_eye", "third_eye", "doubled_mouth", "swollen_feature", "shifted_feature"})
"""Kinds that show nothing but what belongs in a face, once too often, too large or in the wrong place."""
_PREFERENCE = 3.0
"""How much more often than the others the kinds of these two sets are drawn."""


def draw_kind(rng: np.random.Generator, kinds: Collection[str] | None = None) -> str:
    """Draw a kind of artifact: of all by :data:`FAMILY_SHARES`, or of ``kinds`` whatever their families."""
    return _drawn_of(rng, FAMILIES[_drawn(rng, FAMILY_SHARES)] if kinds is None else sorted(kinds))


def draw_of_family(rng: np.random.Generator, family: str) -> str:
    """Draw a kind of artifact of one family."""
    return _drawn_of(rng, FAMILIES[family])


def _drawn_of(rng: np.random.Generator, kinds: Sequence[str]) -> str:
    return _drawn(rng, {kind: _PREFERENCE if kind in _MODELLED | _LEARNED_LAST else 1.0 for kind in kinds})


def _drawn(rng: np.random.Generator, weights: dict[str, float]) -> str:
    shares = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=shares / shares.sum()))
