import json
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, classification_report, roc_auc_score, roc_curve

from artifact_utils.metrics.scores import evaluate, format_table
from artifact_utils.metrics.thresholds import choose_threshold


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
    assert metrics["average_precision"] == (1.0 if any(targets) else None)
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


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_input_numbers_are_those_of_scikit_learn(seed, random_case):
    probabilities, targets, threshold = random_case
    metrics = evaluate(probabilities, targets, threshold, n_bootstrap=0)
    names = ["no_artifacts", "artifacts"]
    report = classification_report(
        targets, probabilities >= threshold, target_names=names, labels=[0, 1], output_dict=True, zero_division=0
    )
    for name in names:
        row = metrics["classes"][name]
        assert (row["precision"] or 0) == pytest.approx(report[name]["precision"])
        assert row["recall"] == pytest.approx(report[name]["recall"])
        assert row["f1"] == pytest.approx(report[name]["f1-score"])
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(targets, probabilities))
    assert metrics["average_precision"] == pytest.approx(average_precision_score(targets, probabilities))
    false_alarms, recalls, _ = roc_curve(targets, probabilities)
    for percent in (1, 5):
        expected = recalls[false_alarms <= percent / 100].max()
        assert metrics[f"recall_at_{percent}_percent_false_alarms"] == pytest.approx(expected)


def test_what_is_right_and_grounded_stands_beside_the_accuracy(scored):
    metrics = evaluate(*scored, 0.5, n_bootstrap=0)
    ground = {"method": "locator", "with_mask": 10, "grounded": 9, "centre_prior": 4, "random": 0.125}
    lines = format_table(metrics | {"grounded": ground | {"share_right_and_grounded": 0.75, "interval": [0.5, 0.9]}})
    place = next(place for place, line in enumerate(lines.splitlines()) if line.startswith("accuracy"))
    assert lines.splitlines()[place + 1].split() == ["right", "and", "grounded", "0.750", "[0.500,", "0.900]"]
    assert "locator map lies in 9 of 10 masks of found artifacts, the middle of the picture in 4" in lines
    unknown = {"method": "locator", "with_mask": 0, "share_right_and_grounded": None, "interval": None}
    assert format_table(metrics | {"grounded": unknown}) == format_table(metrics)
