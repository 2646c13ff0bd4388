"""The scores of a folder as arrays in memory: judged by other families or at another threshold in milliseconds."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from artifact_utils.filtering.judging import read_details
from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.state import Score
from artifact_utils.predictions import TOO_SMALL, counting

Array = npt.NDArray[np.float64]


@dataclass
class Row:
    """What is known of one picture."""

    path: bytes
    chances: tuple[float, ...]
    """Of each family that the model tells apart, or of any artifact; empty where it could not be judged."""
    reason: str
    label: int | None = None
    """What a person says of it."""
    moved: bool = False
    version: int = 0
    """Of the table, when it changed last."""

    @property
    def too_small(self) -> bool:
        return not self.chances and self.reason == TOO_SMALL


class ScoreTable:
    """Scores by their number.

    Args:
        known: families that the model tells apart; none if it does not.
        sharpness: of the smooth maximum over their logits.
    """

    def __init__(self, known: Sequence[str], sharpness: float) -> None:
        self.known, self.sharpness = tuple(known), sharpness
        self.rows: dict[int, Row] = {}
        self.version = 0

    def put(self, scores: Iterable[tuple[int, Score]]) -> None:
        """Add scores, or replace what was there under their number; labels stay."""
        self.version += 1
        for number, score in scores:
            row = Row(score.path, self._chances(score), score.reason, version=self.version)
            if before := self.rows.get(number):
                row.label, row.moved = before.label, before.moved
            self.rows[number] = row

    def _chances(self, score: Score) -> tuple[float, ...]:
        if score.probability is None:
            return ()
        if not self.known:
            return (score.probability,)
        chances, _ = read_details(score.details)
        if missing := [name for name in self.known if name not in chances]:
            raise FilterError(f"the state says nothing of {missing[0]}: name another table with --scores")
        return tuple(chances[name] for name in self.known)

    def row(self, number: int) -> Row:
        """The row of a number.

        Raises:
            FilterError: there is none.
        """
        row = self.rows.get(number)
        if row is None:
            raise FilterError("this picture is not in the folder any more: load the page anew")
        return row

    def touch(self, number: int) -> Row:
        """``row``, which is going to be changed."""
        row = self.row(number)
        self.version += 1
        row.version = self.version
        return row

    def probabilities(self, numbers: Sequence[int], only: Collection[str] | None = None) -> tuple[Array, list[str]]:
        """Of an artifact of the families that count, and the most probable of those; NaN and "" where nothing is known.

        Args:
            numbers: of scores.
            only: the families; by default ``predictions.counting``'s.

        Raises:
            ConfigError: a family that the model does not tell apart.
        """
        chosen = counting(self.known, only)
        n_families = max(len(self.known), 1)
        nothing = (np.nan,) * n_families
        chances = np.array([self.rows[n].chances or nothing for n in numbers], np.float64).reshape(-1, n_families)
        if not self.known:
            return chances[:, 0], [""] * len(numbers)
        columns = [self.known.index(name) for name in chosen]
        probabilities = smooth_maxima(chances[:, columns], self.sharpness)
        best = np.where(np.isnan(chances[:, columns]), -1, chances[:, columns]).argmax(axis=1)
        names = [chosen[i] if self.rows[n].chances else "" for i, n in zip(best, numbers, strict=True)]
        return probabilities, names


def smooth_maxima(chances: Array, sharpness: float) -> Array:
    """``predictions.verdict`` of many pictures: probabilities (N, F) -> (N,)."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        logits = sharpness * (np.log(chances) - np.log1p(-chances))
        highest = logits.max(axis=1)
        finite = np.where(np.isfinite(highest), highest, 0)
        logit = (finite + np.log(np.exp(logits - finite[:, None]).sum(axis=1))) / sharpness
        answers = 1 / (1 + np.exp(-logit))
    return np.where(np.isinf(highest), (highest > 0).astype(np.float64), answers)


STEPS = 1000
"""Thresholds between 0 and 1 that a curve tells of."""


def threshold_curve(probabilities: Array) -> tuple[list[int], list[float]]:
    """What thresholds of 0, 1/1000, ..., 1 would flag, and how many of those would be clean if probabilities hold.

    Args:
        probabilities: (N,) in [0, 1], NaN where nothing is known.

    Returns:
        The number of pictures from each threshold on, and the sum of ``1 - p`` over them: the expected false alarms.
    """
    known = np.sort(probabilities[~np.isnan(probabilities)])
    first = np.searchsorted(known, np.arange(STEPS + 1) / STEPS, side="left")
    clean = np.concatenate([np.cumsum((1 - known)[::-1])[::-1], [0.0]])
    return (len(known) - first).tolist(), np.round(clean[first], 2).tolist()
