import json
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, classification_report, f1_score, roc_auc_score, roc_curve

from artifact_utils.metrics import (
    ThresholdRule,
    by_slice,
    calibration_error,
    choose_threshold,
    compare,
    evaluate,
    fit_temperature,
    format_table,
    mcnemar,
    measure_calibration,
    reliability,
    scale_logits,
    scale_threshold,
    share_interval,
    uncalibrated,
    worst_slices,
)
from artifact_utils.metrics.bootstrap import bootstrap, resampling_units


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
    strata, _, _ = resampling_units(targets, None)
    samples = bootstrap(probabilities, targets, (probabilities >= 0.5).astype(int), strata, 3, np.random.default_rng(7))
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


def test_groups_must_match_the_pictures():
    with pytest.raises(ValueError, match="1 groups for 2 pictures"):
        evaluate([0.1, 0.9], [0, 1], 0.5, groups=["a"])


def test_a_thousand_resamples_of_two_thousand_pictures_are_quick():
    rng = np.random.default_rng(0)
    targets = (rng.random(2000) < 0.1).astype(int)
    start = time.process_time()  # what other programs take does not count
    evaluate(rng.random(2000), targets, 0.5)
    assert time.process_time() - start < 5  # about 0.3 s on an idle core


def random_case(seed):
    """Adversarial on purpose: few or many pictures, rare classes, ties, saturated scores."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 120))
    targets = (rng.random(n) < rng.choice([0.05, 0.5, 0.95])).astype(int)
    targets[:2] = 0, 1
    probabilities = np.clip(rng.normal(0.5, 0.4, n), 0, 1)  # many at 0 and at 1
    return np.round(probabilities, int(rng.integers(0, 4))), targets, float(rng.choice([0.0, 0.3, 0.5, 1.0]))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_input_numbers_are_those_of_scikit_learn(seed):
    probabilities, targets, threshold = random_case(seed)
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


def rates(probabilities, targets, threshold):
    flagged = np.asarray(probabilities) >= threshold
    targets = np.asarray(targets)
    return flagged[targets == 1].mean(), flagged[targets == 0].mean()


@pytest.mark.parametrize("seed", range(20))
def test_a_threshold_serves_its_rule_as_well_as_any_other(seed):
    probabilities, targets, _ = random_case(seed)
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
    with pytest.raises(ValueError, match=r"cannot choose a threshold for .*cost=5 .*recall=0.95 .*false_alarms=0.01"):
        ThresholdRule.parse(text)


def test_what_is_right_and_grounded_stands_beside_the_accuracy(scored):
    metrics = evaluate(*scored, 0.5, n_bootstrap=0)
    ground = {"method": "locator", "with_mask": 10, "grounded": 9, "centre_prior": 4, "random": 0.125}
    lines = format_table(metrics | {"grounded": ground | {"share_right_and_grounded": 0.75, "interval": [0.5, 0.9]}})
    place = next(place for place, line in enumerate(lines.splitlines()) if line.startswith("accuracy"))
    assert lines.splitlines()[place + 1].split() == ["right", "and", "grounded", "0.750", "[0.500,", "0.900]"]
    assert "locator map lies in 9 of 10 masks of found artifacts, the middle of the picture in 4" in lines
    unknown = {"method": "locator", "with_mask": 0, "share_right_and_grounded": None, "interval": None}
    assert format_table(metrics | {"grounded": unknown}) == format_table(metrics)


@pytest.fixture
def unsure():
    """Logits of a model that is right about the odds but says them four times too timidly."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 4000)
    targets = (rng.random(4000) < 1 / (1 + np.exp(-logits))).astype(int)
    return logits / 4, targets


def test_the_temperature_is_found_and_makes_probabilities_true(unsure):
    logits, targets = unsure
    temperature = fit_temperature(logits, targets)
    assert temperature == pytest.approx(0.25, rel=0.1)
    before = calibration_error(scale_logits(logits, 1.0), targets)
    after = calibration_error(scale_logits(logits, temperature), targets)
    assert before > 0.15
    assert after < 0.02
    assert fit_temperature(logits * 40, targets) == pytest.approx(10, rel=0.1)


def test_a_validation_set_without_a_mistake_does_not_make_a_model_certain():
    temperature = fit_temperature([-1.0] * 50 + [1.0] * 50, [0] * 50 + [1] * 50)
    assert scale_logits(1.0, temperature) == pytest.approx(51 / 52, abs=1e-3)  # Platt's, not 1
    assert fit_temperature([1.0, -2.0], [1, 1]) == fit_temperature([], []) == 1.0


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_a_temperature_can_be_taken_back(unsure, temperature):
    logits, targets = unsure
    plain, scaled = scale_logits(logits, 1.0), scale_logits(logits, temperature)
    assert uncalibrated(scaled, temperature) == pytest.approx(plain)
    assert uncalibrated([0.0, 1.0], temperature).tolist() == [0.0, 1.0]
    assert measure_calibration(scaled, targets, temperature) == {
        "temperature": temperature,
        "ece_before": pytest.approx(calibration_error(plain, targets)),
        "ece": calibration_error(scaled, targets),
    }
    assert measure_calibration([], [], 2.0) == {"temperature": 2.0, "ece_before": None, "ece": None}


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_threshold_moves_along_so_that_no_answer_changes(unsure, temperature):
    logits, _ = unsure
    for threshold in (0.0, 0.2, 0.531, 1.0):
        moved = scale_threshold(threshold, temperature)
        assert ((scale_logits(logits, temperature) >= moved) == (scale_logits(logits, 1.0) >= threshold)).all()
        assert scale_threshold(moved, 1 / temperature) == pytest.approx(threshold)


def test_reliability_is_that_of_scikit_learn_ties_on_edges_included():
    rng = np.random.default_rng(0)
    probabilities, targets = np.round(rng.random(300), 1), rng.integers(0, 2, 300)
    bins = reliability(probabilities, targets)
    share, said = calibration_curve(targets, probabilities, n_bins=10)
    assert bins["share"].to_numpy() == pytest.approx(share)
    assert bins["probability"].to_numpy() == pytest.approx(said)
    assert bins["n"].sum() == 300
    assert ((bins["share_low"] <= bins["share"]) & (bins["share"] <= bins["share_high"])).all()
    assert calibration_error(probabilities, targets) == pytest.approx(np.average(abs(share - said), weights=bins["n"]))


def test_calibration_of_nothing_and_of_one_class():
    assert calibration_error([], []) is None
    assert calibration_error([0.2, 0.2], [0, 0]) == pytest.approx(0.2)


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
    result = compare(first, second)
    value, (low, high) = result["differences"]["accuracy"]["value"], result["differences"]["accuracy"]["interval"]
    assert value == pytest.approx(len(wrong) / len(targets))
    assert 0 < low <= value <= high
    assert result["mcnemar"]["only_second_right"] == len(wrong)
    same = compare(first, first)
    assert all(d["value"] == 0 and d["interval"] == [0, 0] for d in same["differences"].values())


def test_only_answers_to_the_same_questions_are_compared(scored):
    first = table(*scored)
    with pytest.raises(ValueError, match=r"one lacks 0\.png"):
        compare(first, first.iloc[1:])
    with pytest.raises(ValueError, match="same targets"):
        compare(first, first.assign(target=1 - first["target"]))
    with pytest.raises(ValueError, match=r"0\.png is there twice"):
        compare(first, pd.concat([first, first]))
    assert compare(first.iloc[:0], first.iloc[:0])["differences"]["accuracy"] == {"value": None, "interval": None}


@pytest.fixture
def answers():
    """The detector misses most lettering and flags the dark pictures of one person."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"target": np.repeat([1, 0], [60, 240])})
    rows["kind"] = np.where(rows["target"] == 1, np.tile(["watermark", "strap", "fist"], 100), "")
    rows["group"] = np.tile(["anna", "bert", "carl", "dora"], 75)
    rows["brightness"] = rng.random(300)
    dark = (rows["group"] == "carl") & (rows["brightness"] < 0.5)
    rows["predicted"] = ((rows["target"] == 1) & (rows["kind"] != "watermark")) | ((rows["target"] == 0) & dark)
    return rows.astype({"predicted": int})


def test_the_worst_slices_are_the_planted_ones(answers):
    slices = by_slice(answers, ["kind", "group", "brightness"])
    recall, alarms = worst_slices(slices)
    assert recall.startswith("least recall: kind watermark, 0 of 20 artifacts found, 0.00 [0.00, 0.16]")
    assert alarms.startswith("most false alarms: group carl")
    assert slices.groupby("slice")["artifacts"].sum().eq(60).all()
    counts = slices.set_index("value").loc["strap"]
    assert (counts["found"], counts["artifacts"], counts["clean"]) == (20, 20, 0)
    assert np.isnan(counts["false_alarms"])


def test_a_slice_has_an_area_of_its_own_and_one_of_artifacts_is_set_against_all_clean_pictures(answers):
    rows = answers.assign(probability=answers["predicted"] * 0.9)
    slices = by_slice(rows, ["kind", "group"]).set_index("value")
    clean, watermark = rows[rows["target"] == 0], rows[rows["kind"] == "watermark"]
    both, anna = pd.concat([clean, watermark]), rows[rows["group"] == "anna"]
    assert slices.loc["watermark", "roc_auc"] == roc_auc_score(both["target"], both["probability"])
    assert slices.loc["anna", "roc_auc"] == roc_auc_score(anna["target"], anna["probability"])
    assert by_slice(answers, ["kind"])["roc_auc"].isna().all()


def test_ranges_of_numbers_hold_about_equally_many_pictures(answers):
    slices = by_slice(answers, ["brightness"], n_bins=4)
    assert (slices["artifacts"] + slices["clean"]).tolist() == [75] * 4
    one = by_slice(answers.assign(size=256), ["size"])
    assert one["value"].tolist() == ["256"]


def test_a_slice_of_one_unlucky_picture_is_not_the_worst(answers):
    answers.loc[0, "kind"] = "seam"
    answers.loc[0, "predicted"] = 0
    assert worst_slices(by_slice(answers, ["kind"]))[0].startswith("least recall: kind watermark")
    assert worst_slices(by_slice(answers.iloc[:0], ["kind", "group"])) == []


def test_shares_of_few_trials_have_honest_intervals():
    assert share_interval(0, 0) == (0.0, 1.0)
    low, high = share_interval(0, 20)
    assert low == 0.0
    assert 0.1 < high < 0.2
