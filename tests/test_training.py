import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import weights_of
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from artifact_utils.backbones import PRESETS as BACKBONE_PRESETS
from artifact_utils.checkpoints import load_checkpoint
from artifact_utils.config import PRESETS, ConfigError, TrainConfig, resolve
from artifact_utils.datasets import DataError, list_portraits
from artifact_utils.detector import Detector
from artifact_utils.evaluation.measuring import measure
from artifact_utils.metrics import calibration_error, format_table, scale_threshold
from artifact_utils.runs import RunError
from artifact_utils.training import report, train

ROOT = Path(__file__).parent.parent


def test_a_picture_that_lies_on_both_sides_of_a_split_is_shown(config, own_copy, capsys):
    shutil.copy(own_copy / "train/no_artifacts/image_00006_0.png", own_copy / "test/no_artifacts/again_0.png")
    run = train(replace(config, data=own_copy, image_size=64, epochs=0))
    said = capsys.readouterr().out
    assert "1 pictures lie on both sides of a split" in said
    assert "train/no_artifacts/image_00006_0.png" in said
    assert "test/no_artifacts/again_0.png" in said
    assert (run / "leaks.png").exists()


def test_a_run_is_a_folder_with_everything_in_it(config):
    rows = []
    run = train(config, on_epoch_end=rows.append)
    assert {file.name for file in run.iterdir()} == {
        "config.json", "history.csv", "metrics.json", "best.safetensors", "last.pt",
        "previous.pt", "curves.png", "confusion_matrix.png", "summary.png", "tensorboard", "predictions.csv",
        "validation.csv",
    }  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["n"] == 12
    assert metrics["validation"]["n_artifacts"] == 2
    assert metrics["best_epoch"] in (1, 2, 3)
    assert pd.read_csv(run / "history.csv").epoch.tolist() == [1, 2, 3] == [row["epoch"] for row in rows]
    predictions = pd.read_csv(run / "predictions.csv")
    assert predictions.columns.tolist() == ["path", "group", "kind", "strength", "target", "probability", "predicted"]
    assert predictions.path.str.startswith("test/").all()
    assert ((predictions.probability >= metrics["threshold"]) == predictions.predicted.astype(bool)).all()
    assert "macro F1" in report(run)
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("macro_f1/val")] == [1, 2, 3]
    assert [event.value for event in events.Scalars("loss/train")] == pytest.approx([row["train_loss"] for row in rows])


def test_the_checkpoint_knows_its_threshold_and_metrics(config):
    run = train(replace(config, epochs=1))
    metrics = json.loads((run / "metrics.json").read_text())
    _, info = load_checkpoint(run / "best.safetensors")
    assert info.threshold == metrics["threshold"]
    assert info.metrics["test"]["macro_f1"] == metrics["test"]["macro_f1"]


def test_calibration_is_learnt_on_validation_and_changes_no_answer(config):
    run = train(replace(config, threshold_for="recall=1"))
    metrics = json.loads((run / "metrics.json").read_text())
    _, info = load_checkpoint(run / "best.safetensors")
    assert info.temperature == metrics["temperature"] != 1.0
    history = pd.read_csv(run / "history.csv").set_index("epoch")
    raw = history.threshold[metrics["best_epoch"]]
    assert scale_threshold(info.threshold, 1 / info.temperature) == pytest.approx(raw)
    validation = pd.read_csv(run / "validation.csv")
    assert validation.path.str.startswith("train/").all()
    assert validation.predicted[validation.target == 1].all()  # what the threshold was asked for
    assert metrics["validation"]["calibration"]["ece"] == calibration_error(validation.probability, validation.target)
    test = list_portraits(config.data, "test")
    table = measure(Detector.load(run, device="cpu"), test, root=config.data, n_bootstrap=0).predictions
    stored = pd.read_csv(run / "predictions.csv")
    assert table.probability.to_numpy() == pytest.approx(stored.probability.to_numpy(), abs=1e-4)


@pytest.mark.parametrize("broken", [False, True])
def test_where_masks_are_known_a_run_says_what_is_right_and_grounded(config, own_copy, caplog, broken):
    """Masks that cover everything, so that every map points at the artifact."""
    artifacts = sorted(own_copy.glob("*/artifacts/*"))
    Image.new("L", (64, 64), 255).save(own_copy / "mask.png")
    if broken:
        (own_copy / "mask.png").write_bytes(b"no picture")
    rows = [f"{path.relative_to(own_copy).as_posix()},strap,0.5,mask.png" for path in artifacts]
    (own_copy / "artifacts.csv").write_text("\n".join(["path,kind,strength,mask", *rows]))
    run = train(replace(config, data=own_copy, epochs=1, threshold_for="recall=1"))
    validation = json.loads((run / "metrics.json").read_text())["validation"]
    if broken:
        assert "grounded" not in validation
        assert "heat maps point at the artifacts was not measured" in caplog.text
    else:
        found = validation["confusion_matrix"][1][1]
        assert found == validation["n_artifacts"]
        assert validation["grounded"]["grounded"] == validation["grounded"]["with_mask"] == found
        assert validation["grounded"]["share_right_and_grounded"] == pytest.approx(
            validation["classes"]["artifacts"]["precision"]
        )
        assert "right and grounded" in format_table(validation)


def test_training_learns_what_can_be_seen(config):
    plain = replace(config, augment="none", synthetic_fraction=0.0, focal_gamma=0.0, frozen=0.0)
    run = train(replace(plain, weights="imagenet", image_size=64, epochs=6, lr=1e-3))
    history = pd.read_csv(run / "history.csv")
    assert history.train_loss.iloc[-1] < 0.5 * history.train_loss.iloc[0]
    assert history.val_macro_f1.iloc[-1] > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_one_others(config, tmp_path):
    first = weights_of(train(replace(config, epochs=1)))
    again = weights_of(train(replace(config, epochs=1, out=tmp_path / "again")))
    other = weights_of(train(replace(config, epochs=1, out=tmp_path / "other", seed=1)))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_compiled_run_stores_what_any_run_loads(config, tmp_path, monkeypatch):
    plain = train(replace(config, epochs=1))
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))  # quicker
    compiled = train(replace(config, epochs=1, compile=True, out=tmp_path / "compiled"))
    expected, stored = weights_of(plain), weights_of(compiled)
    assert stored.keys() == expected.keys()  # no _orig_mod.
    assert all(torch.allclose(stored[name], expected[name], atol=1e-4) for name in expected)
    state = torch.load(compiled / "last.pt", weights_only=True)["state"]["model"]
    assert state.keys() == expected.keys()


def test_early_stopping(config):
    run = train(replace(config, epochs=20, patience=1, lr=1e-8))
    assert len(pd.read_csv(run / "history.csv")) < 20


def test_no_epochs_evaluates_the_model_as_it_is(config):
    run = train(replace(config, epochs=0))
    assert json.loads((run / "metrics.json").read_text())["best_epoch"] == 0


def test_a_run_folder_in_use_is_not_overwritten(config):
    config.out.mkdir()
    (config.out / "precious.txt").write_text("keep me")
    with pytest.raises(RunError, match="is already in use: continue it with --resume"):
        train(config)
    assert [file.name for file in config.out.iterdir()] == ["precious.txt"]


def test_a_run_that_cannot_start_leaves_nothing_behind(config):
    with pytest.raises(DataError):
        train(replace(config, data=Path("nowhere")))
    assert not config.out.exists()


def test_presets_cover_every_backbone_and_fill_what_is_left_open():
    assert set(PRESETS) == set(BACKBONE_PRESETS)
    resolved = resolve(TrainConfig(arch="vgg19", device="cpu", batch_size=4))
    assert (resolved.batch_size, resolved.lr) == (4, PRESETS["vgg19"]["lr"])


def test_auto_takes_the_small_network_without_a_gpu_and_says_why(capsys):
    assert resolve(TrainConfig(device="cpu")).arch == "efficientnet_lite0"
    assert "EfficientNet-Lite0, since VGG-19 takes hours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": -1}, "--epochs -1 is out of range"),
        ({"batch_size": 1}, "--batch-size 1 is out of range"),
        ({"lr": float("nan")}, "--lr nan is out of range"),
        ({"threshold_for": "luck"}, "--threshold-for: cannot choose a threshold for 'luck': say macro_f1"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"device": "toaster"}, "device 'toaster' cannot be used"),
    ],
)
def test_values_out_of_range_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        resolve(TrainConfig(**{"device": "cpu", **arguments}))


def start(config, *arguments):
    command = [sys.executable, str(ROOT / "model_training.py"), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=config.out.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


SMALL = ("--arch", "efficientnet_lite0", "--weights", "none", "--image-size", 32, "--batch-size", 8, "--workers", 1)


def test_the_script_survives_a_real_kill(config, tmp_path):
    straight = train(config)
    arguments = ("--data", config.data, "--augment", "light", "--epochs", 3, "--device", "cpu", *SMALL)
    process = start(config, "--out", "killed", *arguments)
    while not (tmp_path / "killed" / "last.pt").exists() and process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # it was in mid-run, neither done nor failed
    process = start(config, "--resume", "--out", "killed", "--device", "cpu")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "macro F1" in output
    before, after = weights_of(straight), weights_of(tmp_path / "killed")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_script_reports_bad_input_in_a_line_and_exits_with_two(config, tmp_path):
    broken = shutil.copytree(config.data, tmp_path / "broken")
    (broken / "train" / "artifacts" / "image_00000_1.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    process = start(config, "--data", broken, "--out", "run", *SMALL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "image_00000_1.png" in errors
    assert "--skip-broken" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("also_at", [(), (48,)])
def test_evaluation_may_look_at_larger_pictures_and_more_than_once(config, also_at):
    run = train(replace(config, epochs=1, eval_size=64, also_at=also_at))
    _, info = load_checkpoint(run / "best.safetensors")
    assert (info.image_size, info.also_at) == (64, also_at)
    assert train(TrainConfig(data=config.data, out=run, resume=True, device="cpu")) == run
    predictions = pd.read_csv(run / "predictions.csv")
    detector = Detector.load(run, device="cpu")
    table = measure(detector, list_portraits(config.data, "test"), root=config.data, n_bootstrap=0).predictions
    assert table.probability.to_numpy() == pytest.approx(predictions.probability.to_numpy(), abs=1e-4)


def test_the_size_of_evaluation_is_that_of_training_unless_somebody_says():
    assert resolve(TrainConfig(arch="efficientnet_lite0", device="cpu")).eval_size == 192  # as its preset has it
    assert resolve(TrainConfig(arch="efficientnet_lite0", image_size=128, device="cpu")).eval_size == 128
    assert resolve(TrainConfig(arch="mobilenet_v2", device="cpu")).eval_size == 160
    assert resolve(TrainConfig(arch="efficientnet_lite0", eval_size=224, device="cpu")).eval_size == 224
    with pytest.raises(ConfigError, match="vit_b_16 reads one size only, 224"):
        resolve(TrainConfig(arch="vit_b_16", eval_size=256, device="cpu"))
    with pytest.raises(ConfigError, match="--also-at"):
        resolve(TrainConfig(arch="efficientnet_lite0", also_at=(16,), device="cpu"))
