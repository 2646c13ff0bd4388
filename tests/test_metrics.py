import json
import time
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, classification_report, f1_score, roc_auc_score

from artifact_utils.metrics import _bootstrap, _units, choose_threshold, evaluate, format_table


@pytest.fixture
def scored():
    """200 pictures, 20 with an artifact, scored by a fairly good model."""
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], [180, 20])
    probabilities = np.clip(rng.normal(0.25 + 0.45 * targets, 0.18), 0, 1)
    return probabilities, targets


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


def test_point_estimates_are_those_of_scikit_learn(scored):
    probabilities, targets = scored
    metrics = evaluate(probabilities, targets, 0.5)
    report = classification_report(
        targets, probabilities >= 0.5, target_names=["no_artifacts", "artifacts"], output_dict=True
    )
    for name in ("no_artifacts", "artifacts"):
        row = metrics["classes"][name]
        assert row["precision"] == pytest.approx(report[name]["precision"])
        assert row["recall"] == pytest.approx(report[name]["recall"])
        assert row["f1"] == pytest.approx(report[name]["f1-score"])
        assert row["support"] == report[name]["support"]
    assert metrics["accuracy"] == pytest.approx(report["accuracy"])
    assert metrics["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(targets, probabilities))
    assert metrics["average_precision"] == pytest.approx(average_precision_score(targets, probabilities))
    assert np.sum(metrics["confusion_matrix"]) == metrics["n"] == 200
    assert metrics["n_artifacts"] == 20


def test_always_saying_clean_scores_what_it_deserves():
    metrics = evaluate(np.zeros(200), np.repeat([0, 1], [180, 20]), 0.5)
    assert metrics["accuracy"] == 0.9
    assert metrics["macro_f1"] == pytest.approx(0.474, abs=5e-4)
    assert metrics["classes"]["artifacts"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 20}
    assert metrics["confusion_matrix"] == [[180, 0], [20, 0]]


def test_a_probability_equal_to_the_threshold_is_an_artifact():
    assert evaluate([0.5, 0.4], [1, 0], 0.5)["accuracy"] == 1.0


def test_resampled_areas_equal_scikit_learn_on_the_same_resample_ties_included():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 2, 60)
    probabilities = np.round(rng.random(60), 1)  # many ties
    strata, _, _ = _units(targets, None)
    samples = _bootstrap(
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
        assert samples["macro_f1"][i] == pytest.approx(macro_f1(probabilities[rows], targets[rows], 0.5))


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


def test_a_perfect_score_says_what_it_does_not_prove():
    metrics = evaluate([0.1] * 180 + [0.9] * 20, [0] * 180 + [1] * 20, 0.5)
    assert metrics["intervals"]["classes"]["artifacts"]["recall"] == [1.0, 1.0]
    assert any("all 20 artifacts are right" in note and f"{0.05 ** (1 / 20):.3f}" in note for note in metrics["notes"])


@pytest.mark.parametrize(
    ("probabilities", "targets"), [([], []), ([0.2, 0.7], [0, 0]), ([0.2, 0.7], [1, 1]), ([0.5], [1]), ([0.1], [0])]
)
def test_what_is_undefined_is_none_without_warnings_and_survives_json(probabilities, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = evaluate(probabilities, targets, 0.5)
        text = format_table(metrics)
    assert metrics["roc_auc"] is None
    assert metrics["average_precision"] is None
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert "nan" not in text


def test_the_table_shows_both_classes_with_intervals(scored):
    text = format_table(evaluate(*scored, 0.5))
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert rows["no_artifacts"].endswith("180")
    assert rows["artifacts"].endswith("20")
    assert rows["artifacts"].count("[") == 3
    assert "[" in rows["macro F1"]
    assert "20 artifacts found, 0 missed" in format_table(evaluate([0.1] * 9 + [0.9] * 20, [0] * 9 + [1] * 20, 0.5))


def test_without_resamples_there_are_no_intervals(scored):
    metrics = evaluate(*scored, 0.5, n_bootstrap=0)
    assert metrics["intervals"] == {}
    assert "[" not in format_table(metrics)


@pytest.mark.parametrize(
    ("probabilities", "targets", "message"),
    [
        ([0.1, 0.2], [0], "one length"),
        ([[0.1], [0.2]], [[0], [1]], "one length"),
        ([0.1, float("nan")], [0, 1], "1 of 2 probabilities are not in"),
        ([0.1, 3.2], [0, 1], "first: 3.2"),
        ([0.1, 0.2], [0, 2], "targets must be 0 or 1"),
    ],
)
def test_bad_input_is_named(probabilities, targets, message):
    with pytest.raises(ValueError, match=message):
        evaluate(probabilities, targets, 0.5)
    with pytest.raises(ValueError, match=message):
        choose_threshold(probabilities, targets)


def test_groups_must_match_the_pictures():
    with pytest.raises(ValueError, match="1 groups for 2 pictures"):
        evaluate([0.1, 0.9], [0, 1], 0.5, groups=["a"])


def test_a_thousand_resamples_of_two_thousand_pictures_are_quick():
    rng = np.random.default_rng(0)
    targets = (rng.random(2000) < 0.1).astype(int)
    start = time.process_time()  # what other programs take does not count
    evaluate(rng.random(2000), targets, 0.5)
    assert time.process_time() - start < 5  # about 0.3 s on an idle core
