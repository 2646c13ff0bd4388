"""Making artifacts on clean portraits, with masks: one file per family, one function per artifact.

>>> import numpy as np
>>> from artifact_utils.synthesis import inject
>>> portrait = np.full((256, 256, 3), 128, np.uint8)
>>> changed = inject(portrait, np.random.default_rng(0), kind="strap", strength=0.8)
>>> changed.kind, changed.mask.shape
('strap', (256, 256))

Every artifact is a function ``(image, rng, strength, face) -> image`` on float32 pictures in 0..255; to add one, write
it and list it in its family's ``ARTIFACTS``. Masks are not the functions' business: they are what really changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis import (
    adornments,
    defects,
    eyes,
    features,
    fused,
    glitch,
    grafted,
    hands,
    held,
    marks,
    mouths,
    objects,
    prints,
    scripts,
    text,
)
from artifact_utils.synthesis import face as face_family
from artifact_utils.synthesis.compositing import Artifact, settle
from artifact_utils.synthesis.harmless import harmless_edit

__all__ = [
    "FAMILIES",
    "FAMILY_OF",
    "FAMILY_SHARES",
    "KINDS",
    "Injected",
    "draw_kind",
    "harmless_edit",
    "inject",
]

_FAMILY_ARTIFACTS: dict[str, tuple[Artifact, ...]] = {
    "hands": hands.ARTIFACTS + held.ARTIFACTS + grafted.ARTIFACTS,
    "face": face_family.ARTIFACTS + eyes.ARTIFACTS + features.ARTIFACTS + mouths.ARTIFACTS + marks.FACE_ARTIFACTS,
    "text": text.ARTIFACTS + scripts.ARTIFACTS + prints.ARTIFACTS,
    "objects": objects.ARTIFACTS + fused.ARTIFACTS + adornments.ARTIFACTS + marks.OBJECT_ARTIFACTS,
    "glitch": glitch.ARTIFACTS + defects.ARTIFACTS + marks.GLITCH_ARTIFACTS,
}

FAMILIES: dict[str, tuple[str, ...]] = {
    name: tuple(artifact.__name__ for artifact in artifacts) for name, artifacts in _FAMILY_ARTIFACTS.items()
}
"""The kinds of artifact in each family."""

FAMILY_OF: dict[str, str] = {kind: name for name, kinds in FAMILIES.items() for kind in kinds}
"""The family of each kind."""

KINDS: tuple[str, ...] = tuple(kind for kinds in FAMILIES.values() for kind in kinds)
"""Every kind of artifact that :func:`inject` can make."""

_ARTIFACTS = {artifact.__name__: artifact for artifacts in _FAMILY_ARTIFACTS.values() for artifact in artifacts}

MIN_MEAN_CHANGE = 14.0
"""Mean change of the changed pixels, in grey levels, below which a fault counts as invisible."""
MIN_AREA = 0.006
"""Share of the picture below which a fault counts as invisible."""
MIN_SMALL_AREA = 0.0015
"""The same for the kinds that are small in nature: signatures, prints, what sticks to a cheek."""
_MAX_DRAWS = 6

_SMALL = frozenset(artifact.__name__ for artifact in prints.SMALL + adornments.SMALL + marks.SMALL)
_MODELLED = frozenset(
    artifact.__name__ for module in (grafted, mouths, prints, adornments, marks) for artifact in module.ARTIFACTS
)
"""Kinds modelled on what generators do."""
_LEARNED_LAST = frozenset({"doubled_eye", "third_eye", "doubled_mouth", "swollen_feature", "shifted_feature"})
"""Kinds that show nothing but what belongs in a face, once too often, too large or in the wrong place."""
_PREFERENCE = 3.0
"""How much more often than the others the kinds of these two sets are drawn."""
FAMILY_SHARES = {"hands": 0.26, "text": 0.24, "face": 0.2, "objects": 0.2, "glitch": 0.1}
"""How often each family is drawn: about as often as generators fail in it, none of them hardly ever."""


@dataclass(frozen=True)
class Injected:
    """A picture with an artifact.

    ``image`` is uint8 (H, W, 3) RGB, ``mask`` bool (H, W), ``kind`` one of :data:`KINDS`, ``strength`` in [0, 1].
    """

    image: np.ndarray
    mask: np.ndarray
    kind: str
    strength: float


def inject(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    kind: str | None = None,
    kinds: Collection[str] | None = None,
    strength: float | None = None,
    face: Face | None = None,
) -> Injected:
    """Put one artifact into a clean portrait.

    A fault that nobody could see is drawn again, stronger each time, so the strength returned may be above the one
    asked for.

    Args:
        image: uint8 (H, W, 3) RGB, at least 32 pixels a side; it is not changed.
        rng: the only source of randomness: the same state gives the same picture.
        kind: one of :data:`KINDS`, or a family to draw from; by default any, see :data:`FAMILY_SHARES`.
        kinds: what to draw from, whatever the families; by default all kinds.
        strength: from 0, subtle, to 1, gross; drawn from 0.2..1 by default.
        face: where the face is; by default a guess from the shape of the picture.

    Returns:
        The changed picture; outside its mask it equals ``image``.

    Raises:
        ValueError: an unknown kind, a strength outside [0, 1], or an image of another type or shape.
    """
    _check_image(image)
    if kind is None:
        kind = draw_kind(rng, kinds)
    elif kind in FAMILIES:
        kind = _drawn(rng, _weights(FAMILIES[kind]))
    if kind not in _ARTIFACTS:
        raise ValueError(f"unknown artifact {kind!r}: expected one of {', '.join(KINDS)}, or of {', '.join(FAMILIES)}")
    if strength is None:
        strength = float(rng.uniform(0.2, 1))
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie in [0, 1], not {strength}")
    face = face or Face.guess(*image.shape[:2])
    original = image.astype(np.float32)
    best: tuple[float, Injected] | None = None
    for _ in range(_MAX_DRAWS):
        changed, mask = settle(image, _ARTIFACTS[kind](original, rng, strength, face))
        injected = Injected(changed, mask, kind, strength)
        visibility = _visibility(image, injected)
        if best is None or visibility > best[0]:
            best = visibility, injected
        if visibility >= 1:
            break
        strength = min(1.0, strength + 0.15)
    assert best is not None
    return best[1]


def draw_kind(rng: np.random.Generator, kinds: Collection[str] | None = None) -> str:
    """Draw a kind of artifact as :func:`inject` does: of all by :data:`FAMILY_SHARES`, or of ``kinds``."""
    family = FAMILIES[_drawn(rng, FAMILY_SHARES)] if kinds is None else sorted(kinds)
    return _drawn(rng, _weights(family))


def _weights(kinds: Sequence[str]) -> dict[str, float]:
    return {kind: _PREFERENCE if kind in _MODELLED | _LEARNED_LAST else 1.0 for kind in kinds}


def _drawn(rng: np.random.Generator, weights: dict[str, float]) -> str:
    shares = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=shares / shares.sum()))


def _visibility(image: np.ndarray, injected: Injected) -> float:
    """At least 1 where the fault is large and strong enough to be seen."""
    if not injected.mask.any():
        return 0.0
    change = cv2.mean(cv2.absdiff(injected.image, image), injected.mask.view(np.uint8))
    smallest = MIN_SMALL_AREA if injected.kind in _SMALL else MIN_AREA
    return min(sum(change) / 3 / MIN_MEAN_CHANGE, float(injected.mask.mean()) / smallest)


def _check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 picture (H, W, 3), not {image.dtype} {image.shape}")
    if min(image.shape[:2]) < 32:
        raise ValueError(f"expected a picture of at least 32 x 32 pixels, not {image.shape[1]} x {image.shape[0]}")
