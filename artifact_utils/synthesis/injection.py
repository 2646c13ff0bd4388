"""Putting one artifact, or one edit without a fault, into a clean portrait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import settle, to_uint8
from artifact_utils.synthesis.families import ARTIFACTS, FAMILIES, KINDS, SMALL_KINDS, draw_kind, draw_of_family
from artifact_utils.synthesis.harmless import EDITS
from artifact_utils.synthesis.twins import TWINS

MIN_MEAN_CHANGE = 14.0
"""Mean change of the changed pixels, in grey levels, below which a fault counts as invisible."""
MIN_AREA = 0.006
"""Share of the picture below which a fault counts as invisible."""
MIN_SMALL_AREA = 0.0015
"""The same for ``SMALL_KINDS``."""
_MAX_DRAWS = 6


@dataclass(frozen=True)
class Injected:
    """A picture with an artifact.

    ``image`` is uint8 (H, W, 3) RGB, ``mask`` bool (H, W), ``kind`` one of :data:`FAMILY_OF`, ``strength`` in [0, 1].
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
        kind: of artifact, or a family to draw from; by default any of :data:`KINDS`, see :data:`FAMILY_SHARES`.
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
        kind = draw_of_family(rng, kind)
    if kind not in ARTIFACTS:
        raise ValueError(f"unknown artifact {kind!r}: expected one of {', '.join(KINDS)}, or of {', '.join(FAMILIES)}")
    if strength is None:
        strength = float(rng.uniform(0.2, 1))
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie in [0, 1], not {strength}")
    face = face or Face.guess(*image.shape[:2])
    original = image.astype(np.float32)
    best: tuple[float, Injected] | None = None
    for _ in range(_MAX_DRAWS):
        changed, mask = settle(image, ARTIFACTS[kind](original, rng, strength, face))
        injected = Injected(changed, mask, kind, strength)
        visibility = _visibility(image, injected)
        if best is None or visibility > best[0]:
            best = visibility, injected
        if visibility >= 1:
            break
        strength = min(1.0, strength + 0.15)
    assert best is not None
    return best[1]


def harmless_edit(
    image: np.ndarray, rng: np.random.Generator, *, face: Face | None = None, kinds: Sequence[str] | None = None
) -> tuple[np.ndarray, str]:
    """Change a portrait in a way that nobody would call a fault.

    Args:
        image: uint8 (H, W, 3) RGB; it is not changed.
        rng: the only source of randomness.
        face: where the face is; by default a guess from the shape of the picture.
        kinds: names of the edits to draw from, of ``harmless.EDITS`` and ``twins.TWINS``; by default all of the first.

    Returns:
        The changed picture, uint8 (H, W, 3), and the name of the edit.

    Raises:
        ValueError: an unknown name in ``kinds``.
    """
    face = face or Face.guess(*image.shape[:2])
    known = {edit.__name__: edit for edit in (*EDITS, *TWINS)}
    names = [edit.__name__ for edit in EDITS] if kinds is None else list(kinds)
    if not names or set(names) - set(known):
        raise ValueError(f"unknown harmless edit in {names}: expected some of {', '.join(known)}")
    edit = known[names[int(rng.integers(len(names)))]]
    return to_uint8(edit(image.astype(np.float32), rng, face)), edit.__name__


def _visibility(image: np.ndarray, injected: Injected) -> float:
    """At least 1 where the fault is large and strong enough to be seen."""
    if not injected.mask.any():
        return 0.0
    change = cv2.mean(cv2.absdiff(injected.image, image), injected.mask.view(np.uint8))
    smallest = MIN_SMALL_AREA if injected.kind in SMALL_KINDS else MIN_AREA
    return min(sum(change) / 3 / MIN_MEAN_CHANGE, float(injected.mask.mean()) / smallest)


def _check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 picture (H, W, 3), not {image.dtype} {image.shape}")
    if min(image.shape[:2]) < 32:
        raise ValueError(f"expected a picture of at least 32 x 32 pixels, not {image.shape[1]} x {image.shape[0]}")
