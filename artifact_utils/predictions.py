"""What a detector says of a picture: probabilities of the families, the place of each, and the verdict they make.

The verdict is a smooth maximum over the families that count, so that others can be chosen later without another look
at the picture.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from artifact_utils.config import ConfigError
from artifact_utils.labels import OFF_BY_DEFAULT

MIN_SIDE = 128
"""Pixels of the short side from which on a picture is judged; a smaller one is too small to say anything of."""
TOO_SMALL = "too small"
"""What the reason of such a picture begins with."""
PLACE_SHARE = 0.5
"""Share of the highest probability of a map that a place next to it has to reach to belong to it."""


class Place(NamedTuple):
    """Where something is, in whole pixels of the picture: the point ``x``, ``y`` where it is clearest, and its box."""

    x: int
    y: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Prediction:
    """What the detector says of one picture."""

    probability: float
    """Of an artifact of a family that counts, in [0, 1]; NaN where the picture is too small to be judged."""
    flagged: bool
    """Whether it reaches the threshold."""
    family: str = ""
    """The most probable of the families that count, flagged or not; empty where the model does not tell them apart."""
    families: Mapping[str, float] = field(default_factory=dict, hash=False)
    """The calibrated probability of each family that the model tells apart."""
    places: Mapping[str, Place] = field(default_factory=dict, hash=False)
    """Where each of them is if it is there; of "", any artifact, where the model does not tell them apart."""
    too_small: bool = False
    """Whether the picture has less than ``MIN_SIDE`` pixels a side: it is neither clean nor flagged."""

    @property
    def place(self) -> Place | None:
        """Where the artifact is, if there is one; None where the model does not say."""
        return self.places.get(self.family)


def counting(
    known: Collection[str], only: Collection[str] | None = None, ignore: Collection[str] = ()
) -> tuple[str, ...]:
    """The families that count for the verdict.

    Args:
        known: that the model tells apart.
        only: those and no others; by default all but ``labels.OFF_BY_DEFAULT``.
        ignore: of them, leave these out.

    Raises:
        ConfigError: a family that the model does not tell apart, or none is left.
    """
    asked = (*(only or ()), *ignore)
    if asked and not known:
        raise ConfigError("this model does not tell families of artifacts apart: leave --only and --ignore out")
    for family in asked:
        if family not in known:
            raise ConfigError(f"this model tells no family {family!r} apart: choose among {', '.join(known)}")
    wanted = [name for name in known if name not in OFF_BY_DEFAULT] if only is None else only
    chosen = tuple(name for name in known if name in wanted and name not in ignore)
    if known and not chosen:
        raise ConfigError("no family of artifacts is left: choose fewer with --ignore, or others with --only")
    return chosen


def verdict(families: Mapping[str, float], chosen: Collection[str], sharpness: float) -> float:
    """The probability of an artifact of the chosen families, from those of each.

    Args:
        families: calibrated probabilities, in [0, 1].
        chosen: the names of those that count, at least one.
        sharpness: of the smooth maximum over their logits: ``ModelInfo.sharpness``.
    """
    logits = [sharpness * _logit(families[name]) for name in chosen]
    highest = max(logits)
    if math.isinf(highest):
        return float(highest > 0)
    logit = (highest + math.log(sum([math.exp(value - highest) for value in logits]))) / sharpness
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


UNSURE_LOGITS = 0.7
"""How near the threshold a verdict is called unsure: odds of twice or half."""


def doubts(probability: float, families: Mapping[str, float], counted: Collection[str], threshold: float) -> list[str]:
    """What a detector is unsure about in a picture, a line each.

    Args:
        probability: of an artifact.
        families: the probability of each, where the model tells them apart.
        counted: those that count for the verdict.
        threshold: that pictures are flagged from.
    """
    lines = []
    if abs(_logit(probability) - _logit(threshold)) < UNSURE_LOGITS:
        side = "above" if probability >= threshold else "below"
        lines.append(f"close to the threshold: {probability:.2f} is just {side} {threshold:.2f}")
    first = most_probable(families, counted)
    others = [name for name in families if name != first and families[name] >= max(families[first] / 2, 0.1)]
    if also := [f"{name} {families[name]:.2f}" for name in others if name in counted]:
        lines.append(f"may be another family: {', '.join(also)}")
    if apart := [f"{name} {families[name]:.2f}" for name in others if name not in counted]:
        lines.append(f"does not count here: {', '.join(apart)}")
    return lines


def _logit(probability: float) -> float:
    if 0 < probability < 1:
        return math.log(probability) - math.log1p(-probability)
    return math.copysign(math.inf, probability - 0.5)


def most_probable(families: Mapping[str, float], chosen: Collection[str]) -> str:
    """The family with the highest probability among the chosen; empty where there are none."""
    return max(chosen, key=families.__getitem__, default="")


def find_place(
    probabilities: npt.NDArray[np.float32], look: tuple[float, float, float], size: tuple[int, int]
) -> Place:
    """Where a map is highest, and the box of all that hangs together with that and is not much lower.

    Args:
        probabilities: (h, w) in [0, 1], of the cells of a square.
        look: left, top and side of that square in pixels of the picture.
        size: width and height of the picture in pixels.
    """
    row, column = np.unravel_index(int(np.argmax(probabilities)), probabilities.shape)
    high = (probabilities >= PLACE_SHARE * probabilities[row, column]).astype(np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(high, connectivity=8)
    x, y, width, height, _ = (int(number) for number in boxes[labels[row, column]])
    left, top, side = look
    cell_x, cell_y = side / probabilities.shape[1], side / probabilities.shape[0]

    def across(cells: float) -> int:
        return int(np.clip(round(left + cells * cell_x), 0, size[0]))

    def down(cells: float) -> int:
        return int(np.clip(round(top + cells * cell_y), 0, size[1]))

    return Place(
        min(across(int(column) + 0.5), size[0] - 1), min(down(int(row) + 0.5), size[1] - 1),
        across(x), down(y), across(x + width), down(y + height),
    )  # fmt: skip
