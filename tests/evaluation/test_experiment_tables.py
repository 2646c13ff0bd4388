import json

import pandas as pd
import pytest

from artifact_utils.evaluation.experiment_tables import (
    ExperimentError,
    family_table,
    leaderboard,
    mean_interval,
    summarise,
)
from artifact_utils.evaluation.leaderboard import BEGIN, END, main, write_between_marks


def write_run(folder, name, macro_f1):
    run = folder / name
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
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


def test_the_leaderboard_goes_between_its_marks_and_nowhere_else(runs):
    readme = runs / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between_marks(readme, leaderboard(runs))
    text = readme.read_text()
    assert text == f"before\n{BEGIN}\n{leaderboard(runs)}\n{END}\nafter\n"
    assert "| light | 0.820 [0.770, 0.870] |" in text
    readme.write_text("no marks")
    with pytest.raises(ExperimentError, match="no place"):
        write_between_marks(readme, leaderboard(runs))
    assert readme.read_text() == "no marks"
    with pytest.raises(ExperimentError, match="no finished"):
        leaderboard(runs / "05_x" / "none-0")


def test_an_evaluation_is_no_run_and_damaged_results_are_named(runs):
    (runs / "vgg19" / "evaluation").mkdir(parents=True)
    (runs / "vgg19" / "evaluation" / "metrics.json").write_text("{}")
    (runs / "05_x" / "evaluation").mkdir()
    (runs / "05_x" / "evaluation" / "metrics.json").write_text("{}")
    assert summarise(runs / "05_x").index.tolist() == ["light", "none"]
    assert "vgg19" not in leaderboard(runs)
    for content in ("{}", "[1]", "{"):
        (runs / "05_x" / "none-0" / "metrics.json").write_text(content)
        with pytest.raises(ExperimentError, match=r"none-0.metrics\.json is damaged"):
            leaderboard(runs)


def test_families_have_an_area_of_their_own(runs):
    table = family_table(runs / "05_x")
    assert table.loc["none", ("AUC", "face")].startswith("0.500")
    assert table.loc["none", ("recall", "face")].startswith("0.000")


def test_the_interval_of_a_mean_of_shares_stays_within_0_and_1():
    assert mean_interval(pd.Series([0.0, 0.0, 0.3]))[1] == 0.0
    assert mean_interval(pd.Series([1.0, 1.0, 0.7]))[2] == 1.0
    mean, low, high = mean_interval(pd.Series([0.4, 0.5, 0.6]))
    assert (mean, high - mean) == (pytest.approx(0.5), pytest.approx(mean - low))


def test_the_command_prints_the_tables(runs, monkeypatch, capsys):
    for arguments in ([], ["--by-family"]):
        folder = runs / "05_x" if arguments else runs
        monkeypatch.setattr("sys.argv", ["leaderboard", "--runs", str(folder), *arguments])
        main()
        assert "light" in capsys.readouterr().out
