"""Photographed hands to put into pictures, cut from OpenPeople when first asked for.

OpenPeople (pip package ``openpeople``, MIT) shows its generated people from head to foot. ``openpeople_hands.csv``
holds the outlines of 21 of their hands, found with GrabCut and looked at one by one, and where wrist and finger tips
are. The people of the demo set's test split are left out.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import cv2
import numpy as np

from artifact_utils.images import load_image

LENGTH = 128
"""From wrist to finger tips in a cut-out, in pixels."""
WIDTH = 208
"""Of a cut-out, in pixels."""
TIP_ROW = 24
"""Where the finger tips lie; the wrist lies ``LENGTH`` rows below, the arm goes on down to the last row."""
_ARM = 256
"""Rows of arm below the wrist, most of them drawn out of the little that the outlines hold."""


@dataclass(frozen=True)
class _Outline:
    person: str
    asset: str
    wrist: np.ndarray
    tip: np.ndarray
    arm: float
    """How much of the arm can be used, in hand lengths."""
    rings: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class CutHand:
    """A hand whose fingers point up.

    ``shade`` float32 (H, W) is its brightness from 0, its own shadows, to 1, its highlights; ``tint`` float32 (H, W, 3)
    how its channels differ from that, as shares of the brightness; ``alpha`` float32 (H, W) its shape.
    """

    shade: np.ndarray
    tint: np.ndarray
    alpha: np.ndarray


@lru_cache(maxsize=1)
def _outlines() -> tuple[_Outline, ...]:
    table = (
        resources.files("artifact_utils")
        .joinpath("synthesis", "hands", "openpeople_hands.csv")
        .read_text(encoding="utf-8")
    )
    found = []
    for row in csv.DictReader(table.splitlines()):
        rings = tuple(np.array(ring.split(), dtype=int).reshape(-1, 2) for ring in row["outline"].split(";"))
        wrist, tip = (np.array([float(row[f"{end}_x"]), float(row[f"{end}_y"])]) for end in ("wrist", "tip"))
        found.append(_Outline(row["person"], row["asset"], wrist, tip, float(row["arm"]), rings))
    return tuple(found)


def n_hands() -> int:
    """How many hands there are."""
    return len(_outlines())


def cut_hand(index: int) -> CutHand:
    """Hand number ``index`` below :func:`n_hands`; about half a megabyte, kept for the life of the process.

    Raises:
        ModuleNotFoundError: OpenPeople is not installed.
        ImageError: its pictures cannot be read.
    """
    outline = _outlines()[index]
    return _cut_hands(outline.person, outline.asset)[index]


@lru_cache(maxsize=32)
def _cut_hands(person: str, asset: str) -> dict[int, CutHand]:
    """All hands of one picture, by their numbers: decoding it takes longer than cutting one."""
    path = resources.files("openpeople").joinpath("data", "curated", person, "assets", f"{asset}.jpg")
    with resources.as_file(path) as file:
        pixels: np.ndarray = np.asarray(load_image(file))
    wanted = (person, asset)
    return {i: _cut(pixels, o) for i, o in enumerate(_outlines()) if (o.person, o.asset) == wanted}


def _cut(asset: np.ndarray, outline: _Outline) -> CutHand:
    low = np.min([ring.min(axis=0) for ring in outline.rings], axis=0) - 4
    high = np.max([ring.max(axis=0) for ring in outline.rings], axis=0) + 5
    part: np.ndarray = asset[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [ring - low for ring in outline.rings], 255)
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    alpha: np.ndarray = cv2.GaussianBlur(inner, (0, 0), 0.8).astype(np.float32) / 255
    # Beyond the outline the hand's own colours go on, so that no background shines through a soft edge.
    weight = cv2.GaussianBlur(alpha, (0, 0), 4)[..., None] + 1e-4
    spread = cv2.GaussianBlur(part * alpha[..., None], (0, 0), 4) / weight
    part = part * alpha[..., None] + spread * (1 - alpha[..., None])
    x, y = _source(outline, low)
    colours = cv2.remap(part, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    shape = np.clip(cv2.remap(alpha, x, y, cv2.INTER_LINEAR), 0, 1)
    level = cv2.transform(colours, np.full((1, 3), 1 / 3, np.float32))
    dark, bright = np.percentile(level[shape > 0.9], [6, 97])
    tint = colours / np.maximum(level, 8)[..., None]
    tint = tint - np.median(tint[shape > 0.9], axis=0)
    return CutHand((level - np.float32(dark)) / np.float32(bright - dark), np.clip(tint, -0.5, 0.5), shape)


def _source(outline: _Outline, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the part of the asset that begins at ``corner`` each pixel of the cut-out is taken from."""
    length = float(np.hypot(*(outline.tip - outline.wrist)))
    along = (outline.tip - outline.wrist) / length
    across = np.array([-along[1], along[0]])
    v, u = np.mgrid[: TIP_ROW + LENGTH + _ARM, :WIDTH].astype(np.float32)
    t = (TIP_ROW + LENGTH - v) / LENGTH
    u = (u - WIDTH / 2) / LENGTH
    arm = np.minimum(t, 0)
    t = np.where(t < 0, -outline.arm * (1 - np.exp(arm / outline.arm)), t)
    u = u / (1 - 0.12 * arm)
    start = outline.wrist - corner
    x = start[0] + length * (t * along[0] + u * across[0])
    y = start[1] + length * (t * along[1] + u * across[1])
    return x.astype(np.float32), y.astype(np.float32)
