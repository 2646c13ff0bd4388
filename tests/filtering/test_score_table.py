"""Scores in arrays say what the judge says of each."""

import math

import numpy as np
import pytest

from artifact_utils.config import ConfigError
from artifact_utils.filtering.judging import write_details
from artifact_utils.filtering.options import FilterError
from artifact_utils.filtering.score_table import ScoreTable, smooth_maxima, threshold_curve
from artifact_utils.filtering.state import Score
from artifact_utils.predictions import TOO_SMALL, Prediction, verdict

FAMILIES = ("hands", "text", "gaze")


def score(path: str, **families: float) -> Score:
    details = write_details(Prediction(max(families.values()), flagged=False, families=families))
    return Score(path.encode(), max(families.values()), "", 1, 2, 3, details)


def test_many_verdicts_are_those_of_one_by_one():
    chances = np.random.default_rng(0).uniform(0, 1, (200, 4)) ** 3
    chances[:4] = [[0, 0, 0, 0], [1, 0.5, 0, 0], [0.5, 0.5, 0.5, 0.5], [1e-12, 0, 0, 0]]
    names = ("a", "b", "c", "d")
    for sharpness in (1.0, 4.0):
        one_by_one = [verdict(dict(zip(names, row, strict=True)), names, sharpness) for row in chances.tolist()]
        assert smooth_maxima(chances, sharpness) == pytest.approx(one_by_one, abs=1e-12)


def test_probabilities_go_by_the_families_that_count():
    table = ScoreTable(FAMILIES, 2.0)
    table.put([(7, score("a.png", hands=0.1, text=0.8, gaze=0.9)), (9, Score(b"b.png", None, TOO_SMALL, 1, 2, 3))])
    probabilities, families = table.probabilities([7, 9])
    assert probabilities[0] == pytest.approx(verdict({"hands": 0.1, "text": 0.8}, ("hands", "text"), 2.0))
    assert math.isnan(probabilities[1])
    assert families == ["text", ""]
    probabilities, families = table.probabilities([7], ["hands"])
    assert (probabilities[0], families) == (pytest.approx(0.1), ["hands"])
    with pytest.raises(ConfigError, match="tells no family 'teeth' apart"):
        table.probabilities([7], ["teeth"])
    with pytest.raises(FilterError, match="says nothing of gaze"):
        table.put([(8, score("c.png", hands=0.1, text=0.8))])


def test_a_model_without_families_has_the_probability_itself():
    table = ScoreTable((), 1.0)
    table.put([(1, Score(b"a.png", 0.25, "", 1, 2, 3))])
    probabilities, families = table.probabilities([1])
    assert (probabilities.tolist(), families) == ([0.25], [""])


def test_changed_rows_have_the_version_of_the_change_and_keep_their_label():
    table = ScoreTable((), 1.0)
    table.put([(1, Score(b"a.png", 0.25, "", 1, 2, 3)), (2, Score(b"b.png", 0.5, "", 1, 2, 3))])
    before = table.version
    table.touch(2).label = 1
    assert [n for n, row in table.rows.items() if row.version > before] == [2]
    table.put([(2, Score(b"b.png", 0.75, "", 1, 9, 9))])
    assert (table.rows[2].label, table.rows[2].chances) == (1, (0.75,))
    with pytest.raises(FilterError, match="not in the folder any more: load the page anew"):
        table.touch(3)


def test_a_curve_tells_what_each_threshold_flags_and_how_many_of_them_are_expected_clean():
    flagged, false_alarms = threshold_curve(np.array([0.9, 0.5, math.nan, 0.2]))
    assert [flagged[k] for k in (0, 200, 201, 500, 501, 900, 901, 1000)] == [3, 3, 2, 2, 1, 1, 0, 0]
    assert [false_alarms[k] for k in (0, 500, 900, 1000)] == pytest.approx([1.4, 0.6, 0.1, 0])
