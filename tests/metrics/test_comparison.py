import numpy as np
import pandas as pd
import pytest

from artifact_utils.metrics.comparison import compare_models, mcnemar


def test_mcnemar_counts_only_the_pictures_that_tell_models_apart():
    targets = [1] * 30
    first, second = [1] * 20 + [0] * 10, [1] * 20 + [1] * 8 + [0] * 2
    result = mcnemar(targets, first, second)
    assert result == {"only_first_right": 0, "only_second_right": 8, "p_value": pytest.approx(2 * 0.5**8)}
    assert mcnemar(targets, first, first)["p_value"] == mcnemar([], [], [])["p_value"] == 1.0
    with pytest.raises(ValueError, match="compares answers, 0 or 1"):
        mcnemar([1], [0.3], [1])


def table(probabilities, targets, threshold=0.5):
    return pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(len(targets))],
            "target": targets,
            "probability": probabilities,
            "predicted": (np.asarray(probabilities) >= threshold).astype(int),
        }
    )


def test_a_paired_comparison_sees_what_separate_intervals_hide(scored):
    probabilities, targets = scored
    first = table(probabilities, targets)
    better = probabilities.copy()
    wrong = np.flatnonzero((probabilities >= 0.5) != targets)
    better[wrong] = targets[wrong]
    second = table(better, targets).sample(frac=1, random_state=0)  # the order of the rows means nothing
    result = compare_models(first, second)
    value, (low, high) = result["differences"]["accuracy"]["value"], result["differences"]["accuracy"]["interval"]
    assert value == pytest.approx(len(wrong) / len(targets))
    assert 0 < low <= value <= high
    assert result["mcnemar"]["only_second_right"] == len(wrong)
    same = compare_models(first, first)
    assert all(d["value"] == 0 and d["interval"] == [0, 0] for d in same["differences"].values())


def test_only_answers_to_the_same_questions_are_compared(scored):
    first = table(*scored)
    with pytest.raises(ValueError, match=r"one lacks 0\.png"):
        compare_models(first, first.iloc[1:])
    with pytest.raises(ValueError, match="same targets"):
        compare_models(first, first.assign(target=1 - first["target"]))
    with pytest.raises(ValueError, match=r"0\.png is there twice"):
        compare_models(first, pd.concat([first, first]))
    assert compare_models(first.iloc[:0], first.iloc[:0])["differences"]["accuracy"] == {
        "value": None,
        "interval": None,
    }
