"""The verdict on the pictures of a scored folder, from what is stored of each and the families that count."""

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from artifact_utils.filtering.options import FilterConfig, FilterError
from artifact_utils.filtering.state import Score, State
from artifact_utils.labels import FAMILY_NAMES
from artifact_utils.predictions import TOO_SMALL, Place, Prediction, counting, most_probable, verdict

Details = tuple[dict[str, float], dict[str, Place]]
"""The probability and the place of each family; of "", any artifact, where the model does not tell them apart."""


def write_details(prediction: Prediction) -> str:
    """What is stored of the families: JSON, by name a probability and a place."""
    rows = {name: [probability] for name, probability in prediction.families.items()}
    for name, place in prediction.places.items():
        rows.setdefault(name, [prediction.probability]).extend(astuple(place))
    return json.dumps(rows, separators=(",", ":")) if rows else ""


def read_details(text: str) -> Details:
    """What ``write_details`` wrote.

    Raises:
        FilterError: it was somebody else.
    """
    chances, places = {}, {}
    try:
        for name, (chance, *place) in (json.loads(text) if text else {}).items():
            if name not in ("", *FAMILY_NAMES) or not 0 <= chance <= 1 or {type(n) for n in place} - {int}:
                raise ValueError(name)
            chances[name] = float(chance)
            if place:
                places[name] = Place(*place)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # a stranger's JSON
        raise FilterError(f"details of a score are damaged ({error}): name another table with --scores") from error
    return chances, places


@dataclass(frozen=True)
class Judgement:
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

    def __call__(self, score: Score) -> Judgement:
        if score.probability is None:
            return Judgement(None, False, "", None, {})
        chances, places = read_details(score.details)
        if not self.families:
            return Judgement(score.probability, score.probability >= self.threshold, "", places.get(""), {})
        if missing := [name for name in self.families if name not in chances]:
            raise FilterError(f"the state says nothing of {missing[0]}: name another table with --scores")
        probability = verdict(chances, self.families, self.sharpness)
        family = most_probable(chances, self.families)
        return Judgement(probability, probability >= self.threshold, family, places.get(family), chances)


@dataclass(frozen=True)
class Counts:
    """How many pictures there are, and of what."""

    n: int
    flagged: int
    unreadable: int
    too_small: int
    families: dict[str, int]
    """Flagged pictures by the most probable family."""


def count(scores: Iterable[Score], judge: Judge) -> Counts:
    """Count what a judge says of the scores."""
    n = flagged = unreadable = too_small = 0
    families = dict.fromkeys(judge.families, 0)
    for score in scores:
        n += 1
        if score.probability is None:
            too_small += score.reason == TOO_SMALL
            unreadable += score.reason != TOO_SMALL
            continue
        judgement = judge(score)
        flagged += judgement.flagged
        if judgement.flagged and judgement.family:
            families[judgement.family] += 1
    return Counts(n, flagged, unreadable, too_small, families)
