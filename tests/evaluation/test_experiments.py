import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from artifact_utils.config import TrainConfig
from artifact_utils.evaluation.experiments import (
    BEGIN,
    END,
    ExperimentError,
    compare,
    family_table,
    leaderboard,
    main,
    summarise,
)
from artifact_utils.training import train


def write_run(folder, name, macro_f1):
    run = folder / name
    run.mkdir(parents=True)
    validation = {"macro_f1": macro_f1, "roc_auc": 0.9, "classes": {"artifacts": {"recall": 0.8}}}
    (run / "metrics.json").write_text(
        json.dumps({"parameters": 3_400_000, "train_seconds": 10, "validation": validation})
    )
    pd.DataFrame(
        {
            "path": list("abcd"), "group": "", "kind": ["", "", "third_eye", "torn_shape"], "strength": "",
            "target": [0, 0, 1, 1], "probability": [0.1, 0.4, 0.3, 0.9], "predicted": [0, 0, 0, 1],
        }
    ).to_csv(run / "validation.csv", index=False)  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    for seed, value in enumerate((0.80, 0.82, 0.84)):
        write_run(tmp_path / "05_x", f"light-{seed}", value)
    write_run(tmp_path / "05_x", "none-0", 0.7)
    return tmp_path


def test_a_variant_is_a_mean_with_the_interval_of_students_t(runs):
    table = summarise(runs / "05_x")
    assert table.index.tolist() == ["light", "none"]
    light = table.loc["light"]
    assert light["macro F1"] == pytest.approx(0.82)
    assert light["macro F1 high"] - 0.82 == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)
    assert pd.isna(table.loc["none", "macro F1 low"])
    assert (light["seeds"], light["parameters"], light["seconds"]) == (3, 3.4, 10)


def test_the_leaderboard_goes_between_its_marks_and_nowhere_else(runs, capsys):
    readme = runs / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    main(runs, write=readme)
    text = readme.read_text()
    assert text == f"before\n{BEGIN}\n{leaderboard(runs)}\n{END}\nafter\n"
    assert "| light | 0.820 [0.770, 0.870] |" in text
    readme.write_text("no marks")
    with pytest.raises(ExperimentError, match="no place"):
        main(runs, write=readme)
    assert readme.read_text() == "no marks"
    with pytest.raises(ExperimentError, match="no finished"):
        leaderboard(runs / "05_x" / "none-0")


def test_families_have_an_area_of_their_own(runs):
    table = family_table(runs / "05_x")
    assert table.loc["none", ("AUC", "face")].startswith("0.500")
    assert table.loc["none", ("recall", "face")].startswith("0.000")


def test_a_comparison_trains_what_is_missing_and_keeps_the_rest(dataset_folder, tmp_path, monkeypatch):
    base = TrainConfig(
        data=dataset_folder, arch="efficientnet_lite0", weights="none", image_size=32, epochs=1, batch_size=8,
        device="cpu", workers=0, synthetic_fraction=0.0, test=False,
    )  # fmt: skip
    folder = tmp_path / "04_one"  # what lies beside it may be taken over
    variants = {"base": base, "slow": replace(base, lr=1e-5)}
    table = compare(folder, variants, seeds=(0, 1))
    assert table.index.tolist() == ["base", "slow"]
    assert table["seeds"].tolist() == [2, 2]
    assert "test" not in json.loads((folder / "base-0" / "metrics.json").read_text())
    assert not list(folder.glob("*/*.pt"))
    trained = []
    monkeypatch.setattr("artifact_utils.evaluation.experiments.train", lambda config: trained.append(config.out.name))
    compare(folder, variants, seeds=(0, 1, 2))
    assert trained == ["base-2", "slow-2"]
    with pytest.raises(ExperimentError, match=r"base-0 was trained with another epochs, lr: remove it to train anew"):
        compare(folder, {"base": replace(base, lr=1e-4, epochs=2)}, seeds=(0,))


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


def test_a_variant_that_another_comparison_has_trained_is_taken_over(dataset_folder, tmp_path, monkeypatch):
    base = TrainConfig(
        data=dataset_folder, arch="efficientnet_lite0", weights="none", image_size=32, epochs=1, batch_size=8,
        device="cpu", workers=0, synthetic_fraction=0.0, test=False,
    )  # fmt: skip
    compare(tmp_path / "04_one", {"base": base}, seeds=(0,))
    (tmp_path / "00_run" / "evaluation").mkdir(parents=True)
    (tmp_path / "00_run" / "evaluation" / "metrics.json").write_text("{}")  # a report, no run
    trained = []
    monkeypatch.setattr("artifact_utils.evaluation.experiments.train", lambda config: trained.append(config.out.name))
    compare(tmp_path / "06_other", {"plain": base, "slow": replace(base, lr=1e-5)}, seeds=(0,))
    assert trained == ["slow-0"]
    taken = tmp_path / "06_other" / "plain-0"
    assert json.loads((taken / "config.json").read_text())["out"] == str(taken)
    same = tmp_path / "04_one" / "base-0" / "best.safetensors"
    assert (taken / "best.safetensors").read_bytes() == same.read_bytes()
