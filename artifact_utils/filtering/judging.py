"""The verdict on the pictures of a scored folder, from what is stored of each and the families that count."""

import heapq
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from artifact_utils.filtering.options import FilterConfig, FilterError
from artifact_utils.filtering.state import NOT_SCORED, Score, State
from artifact_utils.labels import FAMILY_NAMES
from artifact_utils.predictions import TOO_SMALL, Place, Prediction, counting, most_probable, verdict

if TYPE_CHECKING:
    from artifact_utils.detector import Detector

Details = tuple[dict[str, float], dict[str, Place]]
"""The probability and the place of each family; of "", any artifact, where the model does not tell them apart."""


def write_details(prediction: Prediction) -> str:
    """What is stored of the families: JSON, by name a probability and a place."""
    rows = {name: [probability] for name, probability in prediction.families.items()}
    for name, place in prediction.places.items():
        rows.setdefault(name, [prediction.probability]).extend(place)
    return json.dumps(rows, separators=(",", ":")) if rows else ""


def read_details(text: str) -> Details:
    """What ``write_details`` wrote.

    Raises:
        FilterError: it was somebody else.
    """
    rows = _read_rows(text)
    chances = {name: float(row[0]) for name, row in rows.items()}
    return chances, {name: Place(*row[1:]) for name, row in rows.items() if len(row) > 1}


_decode = json.JSONDecoder().raw_decode  # what json.loads calls, after a while
_KNOWN_NAMES, _WHOLE_NUMBERS, _LENGTHS = frozenset(("", *FAMILY_NAMES)), {int}, (1, 1 + len(Place._fields))


def _read_rows(text: str) -> dict[str, list[Any]]:
    """By name a probability and perhaps the numbers of a place; a table has hundreds of thousands of them."""
    try:
        rows, end = _decode(text) if text else ({}, 0)
        if end != len(text):
            raise ValueError("more than one value")
        for name, row in rows.items():
            numbers = set(map(type, row[1:]))
            if name not in _KNOWN_NAMES or not 0 <= row[0] <= 1 or numbers - _WHOLE_NUMBERS or len(row) not in _LENGTHS:
                raise ValueError(name)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:  # a stranger's JSON
        raise FilterError(f"details of a score are damaged ({error}): name another table with --scores") from error
    return rows


class Judgement(NamedTuple):
    """What is said of one picture."""

    probability: float | None
    """None where it is unreadable or too small."""
    flagged: bool
    family: str
    place: Place | None
    families: dict[str, float]


@dataclass(frozen=True)
class Judge:
    """Says of stored scores what is flagged.

    ``families`` are those that count, none where the model does not tell them apart.
    """

    threshold: float
    families: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    sharpness: float = 1.0

    @classmethod
    def of(cls, config: FilterConfig, state: State) -> "Judge | None":
        """As the config asks, and otherwise as the last scoring did; None where there was none.

        Raises:
            ConfigError: a family that the model does not tell apart.
        """
        threshold = state.threshold if config.threshold is None else config.threshold
        known, sharpness = state.families
        if threshold is None:
            return None
        if config.only or config.ignore:
            return cls(threshold, counting(known, config.only_families, config.ignored_families), known, sharpness)
        last = tuple(name for name in state.counted if name in known)
        return cls(threshold, last or counting(known), known, sharpness)

    @classmethod
    def by(cls, detector: "Detector") -> "Judge":
        """As a detector judges."""
        info = detector.info
        return cls(detector.threshold, detector.families, info.families, info.sharpness)

    @classmethod
    def of_model(cls, config: FilterConfig, state: State, sha256: str) -> "Judge | None":
        """As the detector of this SHA-256 would judge, from what a state knows of it; None if that is not enough.

        Raises:
            ConfigError: a family that the model does not tell apart.
        """
        said = state.said_of_model(sha256)
        if said is None:
            return None
        families, sharpness, threshold = said
        threshold = threshold if config.threshold is None else config.threshold
        if threshold is None:
            return None
        return cls(threshold, counting(families, config.only_families, config.ignored_families), families, sharpness)

    def __call__(self, score: Score) -> Judgement:
        if score.probability is None:
            return Judgement(None, False, "", None, {})
        rows = _read_rows(score.details)
        chances = {name: float(row[0]) for name, row in rows.items()}
        if not self.families:
            return Judgement(score.probability, score.probability >= self.threshold, "", _place(rows.get("")), {})
        if missing := [name for name in self.families if name not in chances]:
            raise FilterError(f"the state says nothing of {missing[0]}: name another table with --scores")
        probability = verdict(chances, self.families, self.sharpness)
        family = most_probable(chances, self.families)
        return Judgement(probability, probability >= self.threshold, family, _place(rows.get(family)), chances)


def _place(row: list[Any] | None) -> Place | None:
    return Place(*row[1:]) if row is not None and len(row) > 1 else None


N_WORST = 24
"""Pictures on a contact sheet."""


@dataclass
class Counts:
    """How many pictures there are, and of what; and which look worst."""

    n: int = 0
    flagged: int = 0
    unreadable: int = 0
    too_small: int = 0
    families: dict[str, int] = field(default_factory=dict)
    """Flagged pictures by the most probable family."""
    highest: list[tuple[float, bytes, str]] = field(default_factory=list)
    """A heap of the ``N_WORST`` that look worst: probability, path and family."""

    def add(self, score: Score, said: Judgement) -> None:
        """Count a picture."""
        self.n += 1
        if said.probability is None:
            self.too_small += score.reason == TOO_SMALL
            self.unreadable += score.reason not in (TOO_SMALL, NOT_SCORED)
            return
        self.flagged += said.flagged
        if said.flagged and said.family:
            self.families[said.family] += 1
        if len(self.highest) < N_WORST:
            heapq.heappush(self.highest, (said.probability, score.path, said.family))
        elif said.probability >= self.highest[0][0]:
            heapq.heappushpop(self.highest, (said.probability, score.path, said.family))

    @property
    def worst(self) -> list[tuple[float, bytes, str]]:
        """Probability, path and family of the pictures that look worst, the worst first."""
        return sorted(self.highest, reverse=True)


def count(scores: Iterable[Score], judge: Judge) -> Counts:
    """Count what a judge says of the scores."""
    counts = Counts(families=dict.fromkeys(judge.families, 0))
    for score in scores:
        counts.add(score, judge(score))
    return counts
