"""A stand-in for the detector that takes a fixed time for each picture; processes of Ray import it."""

import math
import time
from dataclasses import dataclass

from artifact_utils.predictions import Prediction
from artifact_utils.transforms.looks import Seen


@dataclass
class SlowDetector:
    """Takes the brightness of a picture for its probability."""

    seconds: float = 0.0
    """That it takes for a picture."""

    def judge(self, pictures: list[Seen]) -> list[Prediction]:
        time.sleep(self.seconds * len(pictures))
        return [self._one(seen) for seen in pictures]

    def _one(self, seen: Seen) -> Prediction:
        if not seen.looks:
            return Prediction(math.nan, flagged=False, too_small=True)
        value = float(seen.squares.float().mean()) / 255
        return Prediction(value, value >= 0.5)


def slow_detector() -> SlowDetector:
    """One of 5 ms."""
    return SlowDetector(0.005)
