import json
import shutil
import sys

import pandas as pd
import pytest

from artifact_utils.console import run_cli
from artifact_utils.detector import Detector
from artifact_utils.evaluation.measuring import measure
from artifact_utils.evaluation.report import with_slices, write_report
from artifact_utils.metrics.__main__ import main
from artifact_utils.portraits import DataError, list_portraits


@pytest.fixture
def labelled(own_copy):
    """The test folder, with kinds, strengths and masks of its artifacts."""
    paths = sorted(path.relative_to(own_copy).as_posix() for path in (own_copy / "test" / "artifacts").iterdir())
    (own_copy / ".masks").mkdir()
    for path in paths:
        shutil.copy(own_copy / path, own_copy / ".masks" / path.rpartition("/")[2])
    rows = [f"{path},strap,0.{i + 5},.masks/{path.rpartition('/')[2]}" for i, path in enumerate(paths)]
    (own_copy / "artifacts.csv").write_text("\n".join(["path,kind,strength,mask", *rows]))
    return own_copy


def command(monkeypatch, *arguments):
    """Exit code of the command line."""
    monkeypatch.setattr(sys, "argv", ["artifact_utils.metrics", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        run_cli(main)
    return end.value.code


def test_a_report_holds_everything(run, labelled, tmp_path, monkeypatch, capsys):
    out = tmp_path / "evaluation"
    assert command(monkeypatch, run, labelled, "--out", out, "--no-robust") == 0
    text = capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n"] == 12
    assert set(metrics["calibration"]) == {"temperature", "ece_before", "ece"}
    predictions = pd.read_csv(out / "predictions.csv")
    assert metrics["grounded"]["flagged"] == predictions["predicted"].sum()
    assert metrics["grounded"]["grounded"] == (predictions["grounded"] == 1).sum()
    assert ("right and grounded" in text) == (metrics["grounded"]["with_mask"] > 0)
    assert predictions.loc[predictions.target == 1, "family"].eq("objects").all()
    assert {"kind", "strength", "group", "brightness", "size", "area", "grounded"} <= set(predictions)
    assert set(pd.read_csv(out / "slices.csv")["slice"]) >= {"family", "kind", "group", "brightness", "size"}
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(list(out.glob("*.png"))) == 10
    assert "http" not in page
    assert "macro F1" in page


def test_what_slices_need_is_read_from_pictures_and_tables(run, labelled):
    portraits = list_portraits(labelled, "test")
    measured = measure(Detector.load(run, device="cpu"), portraits, root=labelled, n_bootstrap=0)
    table = with_slices(measured.predictions, portraits)
    artifacts = table[table.target == 1]
    assert artifacts.strength.tolist() == [0.5, 0.6, 0.7]
    assert artifacts.area.between(0, 1).all()
    assert table[table.target == 0][["strength", "area"]].isna().all(axis=None)
    assert table["size"].eq(64).all()
    assert table.brightness.between(0.1, 0.9).all()


def test_another_threshold_is_chosen_on_validation(run, labelled, tmp_path):
    own_run = shutil.copytree(run, tmp_path / "own_run")
    rows = pd.DataFrame({"probability": [0.1, 0.2, 0.3, 0.9], "target": [0, 1, 0, 1]})
    rows.to_csv(own_run / "validation.csv")
    every = write_report(own_run, labelled, threshold_for="recall=1", robust=False)
    assert every.metrics["threshold"] == pytest.approx(0.15)
    assert every.out == own_run / "evaluation"


@pytest.mark.parametrize("row", ["0.5,artifact", "much,1", "1.5,1", "0.5,7"])
def test_a_damaged_validation_table_is_named(run, labelled, tmp_path, row):
    own_run = shutil.copytree(run, tmp_path / "own_run")
    (own_run / "validation.csv").write_text(f"probability,target\n0.1,0\n{row}\n")
    with pytest.raises(DataError, match=r"validation.csv is damaged .*: train again"):
        write_report(own_run, labelled, threshold_for="recall=1", robust=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "DATA"], "no checkpoint at nowhere"),
        (["RUN", "nowhere"], "no folder nowhere"),
        (["RUN", "DATA", "--threshold-for", "luck"], "cannot choose a threshold for 'luck'"),
        (["RUN", "DATA", "--threshold-for", "recall=0.9"], "validation.csv to choose a threshold on: train again"),
    ],
)
def test_what_cannot_be_evaluated_is_named(run, dataset_folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": run, "DATA": dataset_folder}
    assert command(monkeypatch, *(places.get(argument, argument) for argument in arguments)) == 2
    assert message in capsys.readouterr().err
    assert not (run / "evaluation").exists()
