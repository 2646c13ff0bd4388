import json
from dataclasses import replace

import pandas as pd
import pytest
from helpers import weights_of

from artifact_utils.checkpoints import load_checkpoint, save_checkpoint
from artifact_utils.evaluation.measuring import PREDICTION_COLUMNS
from artifact_utils.training import train


def test_a_model_that_is_calibrated_already_keeps_its_temperature_of_1(config):
    run = train(replace(config, epochs=1))
    model, info = load_checkpoint(run / "best.safetensors")
    assert info.calibrated
    assert info.temperature != 1.0
    save_checkpoint(run / "best.safetensors", model, replace(info, temperature=1.0, threshold=0.37))
    (run / "metrics.json").unlink()  # killed before the last step: the results are written again
    train(replace(config, epochs=1, out=run, resume=True))
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["temperature"], metrics["threshold"]) == (1.0, 0.37)


def test_results_of_a_run_agree_with_each_other(config):
    run = train(replace(config, epochs=1))
    metrics = json.loads((run / "metrics.json").read_text())
    assert list(metrics) == [
        "arch", "parameters", "best_epoch", "threshold", "threshold_for", "temperature", "train_seconds", "seed",
        "validation", "test",
    ]  # fmt: skip
    for name, split in (("validation.csv", "validation"), ("predictions.csv", "test")):
        table = pd.read_csv(run / name, keep_default_na=False)
        assert table.columns.tolist() == list(PREDICTION_COLUMNS)
        assert len(table) == metrics[split]["n"]
        assert (table["predicted"] == table["target"]).mean() == pytest.approx(metrics[split]["accuracy"])
    assert metrics["parameters"] <= sum(tensor.numel() for tensor in weights_of(run).values())


def test_without_a_test_set_the_answers_of_validation_are_the_predictions(config):
    run = train(replace(config, epochs=1, test=False))
    assert "test" not in json.loads((run / "metrics.json").read_text())
    assert (run / "predictions.csv").read_bytes() == (run / "validation.csv").read_bytes()
