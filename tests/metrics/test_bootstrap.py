import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from artifact_utils.metrics.bootstrap import bootstrap_metrics, resampling_units, share_interval
from artifact_utils.metrics.scores import evaluate, format_table


def test_resampled_areas_equal_scikit_learn_on_the_same_resample_ties_included():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 2, 60)
    probabilities = np.round(rng.random(60), 1)  # many ties
    strata, _, _ = resampling_units(targets, None)
    samples = bootstrap_metrics(
        probabilities, targets, (probabilities >= 0.5).astype(int), strata, 3, np.random.default_rng(7)
    )
    replay = np.random.default_rng(7)
    counts = [replay.multinomial(len(units), np.full(len(units), 1 / len(units)), size=3) for units in strata]
    pictures = np.concatenate([np.concatenate(units) for units in strata])
    for i in range(3):
        rows = np.repeat(pictures, np.concatenate([count[i] for count in counts]))
        assert samples["roc_auc"][i] == pytest.approx(roc_auc_score(targets[rows], probabilities[rows]))
        expected = average_precision_score(targets[rows], probabilities[rows])
        assert samples["average_precision"][i] == pytest.approx(expected)
        false_alarms, recalls, _ = roc_curve(targets[rows], probabilities[rows], drop_intermediate=False)
        best = recalls[false_alarms <= 0.05].max()
        assert samples["recall_at_5_percent_false_alarms"][i] == pytest.approx(best)
        assert samples["macro_f1"][i] == pytest.approx(
            f1_score(targets[rows], probabilities[rows] >= 0.5, average="macro", zero_division=0)
        )


def test_intervals_hold_the_estimate_and_shrink_with_more_pictures(scored):
    probabilities, targets = scored
    few = evaluate(probabilities, targets, 0.5)
    many = evaluate(np.tile(probabilities, 10), np.tile(targets, 10), 0.5)
    low, high = few["intervals"]["macro_f1"]
    assert low < few["macro_f1"] < high
    assert many["intervals"]["macro_f1"][1] - many["intervals"]["macro_f1"][0] < (high - low) / 2
    recall_low, recall_high = few["intervals"]["classes"]["artifacts"]["recall"]
    assert recall_low < few["classes"]["artifacts"]["recall"] < recall_high


def test_the_same_seed_gives_the_same_intervals(scored):
    assert evaluate(*scored, 0.5, seed=3) == evaluate(*scored, 0.5, seed=3)
    assert evaluate(*scored, 0.5, seed=3)["intervals"] != evaluate(*scored, 0.5, seed=4)["intervals"]


def test_whole_groups_are_resampled_when_there_are_enough(scored):
    probabilities, targets = scored
    alone = evaluate(probabilities, targets, 0.5)
    # Ten copies of each picture under one group carry no more information than one.
    copies = [np.repeat(values, 10) for values in (probabilities, targets, np.arange(200).astype(str))]
    grouped = evaluate(copies[0], copies[1], 0.5, groups=copies[2])
    assert grouped["intervals"]["resampled"] == "groups"
    width = np.diff(grouped["intervals"]["accuracy"])[0]
    assert width == pytest.approx(np.diff(alone["intervals"]["accuracy"])[0], rel=0.25)


def test_two_people_are_too_few_to_resample_and_the_result_says_so(scored):
    metrics = evaluate(*scored, 0.5, groups=["anna", "bert"] * 100)
    assert metrics["intervals"]["resampled"] == "pictures"
    assert any("2 groups are too few" in note for note in metrics["notes"])
    assert "2 groups are too few" in format_table(metrics)


def test_unknown_groups_stand_alone(scored):
    metrics = evaluate(*scored, 0.5, groups=["", None, float("nan"), "anna"] * 50)
    assert metrics["intervals"]["resampled"] == "groups"


def test_groups_must_match_the_pictures():
    with pytest.raises(ValueError, match="1 groups for 2 pictures"):
        evaluate([0.1, 0.9], [0, 1], 0.5, groups=["a"])


def test_a_thousand_resamples_of_two_thousand_pictures_are_quick():
    rng = np.random.default_rng(0)
    targets = (rng.random(2000) < 0.1).astype(int)
    start = time.process_time()  # what other programs take does not count
    evaluate(rng.random(2000), targets, 0.5)
    assert time.process_time() - start < 5  # about 0.3 s on an idle core


def test_shares_of_few_trials_have_honest_intervals():
    assert share_interval(0, 0) == (0.0, 1.0)
    low, high = share_interval(0, 20)
    assert low == 0.0
    assert 0.1 < high < 0.2
