import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from artifact_utils.metrics.calibration import (
    calibration_error,
    fit_temperature,
    measure_calibration,
    reliability,
    scale_logits,
    scale_threshold,
    uncalibrated,
)


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
