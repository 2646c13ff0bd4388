import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from artifact_utils.config import TrainConfig
from artifact_utils.evaluation.experiment_tables import ExperimentError
from artifact_utils.evaluation.experiments import train_variants
from artifact_utils.training import train


def test_an_experiment_trains_what_is_missing_and_keeps_the_rest(dataset_folder, tmp_path, monkeypatch):
    base = TrainConfig(
        data=dataset_folder, arch="efficientnet_lite0", weights="none", image_size=32, epochs=1, batch_size=8,
        device="cpu", workers=0, synthetic_fraction=0.0, test=False,
    )  # fmt: skip
    folder = tmp_path / "04_one"  # what lies beside it may be taken over
    variants = {"base": base, "slow": replace(base, lr=1e-5)}
    table = train_variants(folder, variants, seeds=(0, 1))
    assert table.index.tolist() == ["base", "slow"]
    assert table["seeds"].tolist() == [2, 2]
    assert "test" not in json.loads((folder / "base-0" / "metrics.json").read_text())
    assert not list(folder.glob("*/*.pt"))
    trained = []
    monkeypatch.setattr("artifact_utils.evaluation.experiments.train", lambda config: trained.append(config.out.name))
    train_variants(folder, variants, seeds=(0, 1, 2))
    assert trained == ["base-2", "slow-2"]
    with pytest.raises(ExperimentError, match=r"base-0 was trained with another epochs, lr: remove it to train anew"):
        train_variants(folder, {"base": replace(base, lr=1e-4, epochs=2)}, seeds=(0,))


def test_a_student_learns_from_teachers_of_another_size(dataset_folder, tmp_path):
    config = TrainConfig(
        data=dataset_folder, arch="efficientnet_lite0", weights="none", image_size=64, epochs=1, batch_size=8,
        device="cpu", workers=0, synthetic_fraction=0.0, test=False, out=tmp_path / "teacher",
    )  # fmt: skip
    teacher = train(config)
    student = replace(config, image_size=32, out=tmp_path / "student", teachers=(teacher,))
    losses = [
        pd.read_csv(train(one) / "history.csv")["train_loss"][0]
        for one in (student, replace(student, teachers=(), out=tmp_path / "alone"))
    ]
    assert losses[0] != losses[1]
    assert json.loads((tmp_path / "student" / "config.json").read_text())["teachers"] == [str(Path(teacher))]


def test_a_variant_that_another_experiment_has_trained_is_taken_over(dataset_folder, tmp_path, monkeypatch):
    base = TrainConfig(
        data=dataset_folder, arch="efficientnet_lite0", weights="none", image_size=32, epochs=1, batch_size=8,
        device="cpu", workers=0, synthetic_fraction=0.0, test=False,
    )  # fmt: skip
    train_variants(tmp_path / "04_one", {"base": base}, seeds=(0,))
    (tmp_path / "00_run" / "evaluation").mkdir(parents=True)
    (tmp_path / "00_run" / "evaluation" / "metrics.json").write_text("{}")  # a report, no run
    trained = []
    monkeypatch.setattr("artifact_utils.evaluation.experiments.train", lambda config: trained.append(config.out.name))
    train_variants(tmp_path / "06_other", {"plain": base, "slow": replace(base, lr=1e-5)}, seeds=(0,))
    assert trained == ["slow-0"]
    taken = tmp_path / "06_other" / "plain-0"
    assert json.loads((taken / "config.json").read_text())["out"] == str(taken)
    same = tmp_path / "04_one" / "base-0" / "best.safetensors"
    assert (taken / "best.safetensors").read_bytes() == same.read_bytes()
