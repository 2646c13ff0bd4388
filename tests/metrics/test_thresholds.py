import numpy as np
import pytest
from sklearn.metrics import f1_score

from artifact_utils.metrics.thresholds import ThresholdError, ThresholdRule, choose_threshold


def macro_f1(probabilities, targets, threshold):
    return f1_score(targets, probabilities >= threshold, average="macro", zero_division=0)


def test_the_threshold_lies_in_the_middle_of_the_gap_between_the_classes():
    assert choose_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]) == pytest.approx(0.4)


def test_of_equally_good_cuts_the_widest_gap_wins():
    # Cutting at 0.15 or at 0.7 makes one mistake of the same kind in mirrored positions.
    probabilities, targets = [0.1, 0.2, 0.5, 0.9], [0, 1, 0, 1]
    threshold = choose_threshold(probabilities, targets)
    assert threshold == pytest.approx(0.7)
    assert macro_f1(np.array(probabilities), targets, 0.15) == macro_f1(np.array(probabilities), targets, threshold)


def test_no_other_threshold_has_a_better_macro_f1(scored):
    probabilities, targets = scored
    best = macro_f1(probabilities, targets, choose_threshold(probabilities, targets))
    assert best + 1e-12 >= max(macro_f1(probabilities, targets, t) for t in np.linspace(0, 1, 201))


def test_saturated_tied_and_neighbouring_scores_keep_the_classes_apart():
    assert choose_threshold([0.0, 0.0, 1.0], [0, 0, 1]) == 0.5
    low = 0.3
    high = np.nextafter(low, 1)
    threshold = choose_threshold([low, high], [0, 1])
    assert low < threshold <= high
    assert 0 <= choose_threshold([0.7] * 4, [0, 1, 0, 1]) <= 1


def test_one_class_has_nothing_to_separate_and_no_rows_are_an_error():
    assert choose_threshold([0.2, 0.9], [1, 1]) == 0.5
    with pytest.raises(ValueError, match="is the validation split empty"):
        choose_threshold([], [])


def rates(probabilities, targets, threshold):
    flagged = np.asarray(probabilities) >= threshold
    targets = np.asarray(targets)
    return flagged[targets == 1].mean(), flagged[targets == 0].mean()


@pytest.mark.parametrize("seed", range(20))
def test_a_threshold_serves_its_rule_as_well_as_any_other(random_case):
    probabilities, targets, _ = random_case
    every = np.unique(np.concatenate([probabilities, [0.0, 1.0], probabilities + 1e-9]).clip(0, 1))
    n_artifacts, n_clean = targets.sum(), (1 - targets).sum()
    options = [rates(probabilities, targets, threshold) for threshold in every]

    recall, false_alarms = rates(probabilities, targets, choose_threshold(probabilities, targets, "recall=0.9"))
    assert recall >= 0.9 - 1e-9
    assert false_alarms == pytest.approx(min(f for r, f in options if r >= 0.9 - 1e-9))

    possible = [r for r, f in options if f <= 0.1]
    recall, false_alarms = rates(probabilities, targets, choose_threshold(probabilities, targets, "false_alarms=0.1"))
    if possible:
        assert false_alarms <= 0.1
        assert recall == pytest.approx(max(possible))

    recall, false_alarms = rates(probabilities, targets, choose_threshold(probabilities, targets, "cost=4"))
    cost = 4 * (1 - recall) * n_artifacts + false_alarms * n_clean
    assert cost == pytest.approx(min(4 * (1 - r) * n_artifacts + f * n_clean for r, f in options))


def test_a_dearer_miss_lowers_the_threshold(scored):
    cheap, dear = (choose_threshold(*scored, ThresholdRule("cost", cost)) for cost in (0.1, 50))
    assert dear < cheap


def test_where_clean_pictures_are_certain_no_threshold_spares_them_all():
    assert choose_threshold([1.0, 1.0, 0.3], [0, 1, 0], "false_alarms=0") == 1.0


@pytest.mark.parametrize("text", ["best", "cost", "cost=0", "cost=inf", "recall=1.1", "recall=all", "macro_f1=2", ""])
def test_a_rule_that_cannot_be_read_says_how_to_write_one(text):
    with pytest.raises(ThresholdError, match=r"cannot choose a threshold for .*cost=5 .*=0.95 .*false_alarms=0.01"):
        ThresholdRule.parse(text)


def test_a_rule_made_by_hand_is_checked_like_one_that_is_read():
    assert ThresholdRule("recall", 0.9) == ThresholdRule.parse(" recall=0.9 ")
    with pytest.raises(ValueError, match="recall=2"):
        ThresholdRule("recall", 2)
