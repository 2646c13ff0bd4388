import contextlib
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
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from artifact_utils.backbones import BACKBONES
from artifact_utils.checkpoints import ModelInfo, load_checkpoint
from artifact_utils.config import PRESETS, ConfigError, TrainConfig, resolve
from artifact_utils.datasets import DataError, list_portraits
from artifact_utils.detector import Detector
from artifact_utils.evaluation import calibrated
from artifact_utils.metrics import calibration_error, format_table, scale_threshold
from artifact_utils.runs import RunError, TrainingInterrupted
from artifact_utils.training import report, train

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config(dataset_folder, tmp_path):
    """A run of seconds: small pictures, random weights, no worker processes."""
    return TrainConfig(
        data=dataset_folder, out=tmp_path / "run", arch="efficientnet_lite0", weights="none", image_size=32,
        epochs=3, batch_size=8, device="cpu", workers=0, augment="light",
    )  # fmt: skip


def test_a_picture_that_lies_on_both_sides_of_a_split_is_shown(config, own_copy, capsys):
    shutil.copy(own_copy / "train/no_artifacts/image_00006_0.png", own_copy / "test/no_artifacts/again_0.png")
    run = train(replace(config, data=own_copy, image_size=64, epochs=0))
    said = capsys.readouterr().out
    assert "1 pictures lie on both sides of a split" in said
    assert "train/no_artifacts/image_00006_0.png" in said
    assert "test/no_artifacts/again_0.png" in said
    assert (run / "leaks.png").exists()


def weights_of(run):
    return load_file(run / "best.safetensors")


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
    table = Detector.load(run, device="cpu").table(list_portraits(config.data, "test"), config.data)
    stored = pd.read_csv(run / "predictions.csv")
    assert table.probability.to_numpy() == pytest.approx(stored.probability.to_numpy(), abs=1e-4)


@pytest.mark.parametrize("broken", [False, True])
def test_where_masks_are_known_a_run_says_what_is_right_and_grounded(config, own_copy, capsys, broken):
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
        assert "the validation maps point at the artifacts was not measured" in capsys.readouterr().out
    else:
        found = validation["confusion_matrix"][1][1]
        assert found == validation["n_artifacts"]
        assert validation["grounded"]["grounded"] == validation["grounded"]["with_mask"] == found
        assert validation["grounded"]["share_right_and_grounded"] == pytest.approx(
            validation["classes"]["artifacts"]["precision"]
        )
        assert "right and grounded" in format_table(validation)


def test_calibrating_twice_is_calibrating_once():
    info, logits = ModelInfo("resnet18", 64, 0.3), torch.tensor([-1.0, 0.0, 0.5, 2.0])
    once = calibrated(info, logits, torch.tensor([0, 1, 0, 1]))
    again = calibrated(once, logits, torch.tensor([0, 1, 0, 1]))
    assert again.threshold == pytest.approx(once.threshold)
    assert again.temperature == once.temperature


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


class Killed(BaseException):
    """Nobody catches it, like kill -9."""


def assert_same_state(one, other):
    """Bitwise, through all that a state holds: weights, average, optimiser, schedule, random states, progress."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds"}:
            assert_same_state(one[name], other[name])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            assert_same_state(a, b)
    else:
        assert one == other


def state_of(run):
    return torch.load(run / "last.pt", weights_only=True)


EVERYTHING = {"ema": 0.9, "accumulate": 2, "mixup": 0.4, "cutmix": 1.0, "layer_decay": 0.8, "label_smoothing": 0.1}


def test_resuming_after_a_kill_equals_running_through(config, tmp_path):
    config = replace(config, epochs=4, **EVERYTHING)
    straight = train(config)

    def kill(row):
        if row["epoch"] == 2:
            raise Killed

    killed = replace(config, out=tmp_path / "killed")
    with pytest.raises(Killed):
        train(killed, on_epoch_end=kill)
    resumed = train(TrainConfig(out=killed.out, resume=True, device="cpu", workers=0))
    assert_same_state(state_of(straight), state_of(resumed))
    before, after = weights_of(straight), weights_of(resumed)
    assert all(torch.equal(before[name], after[name]) for name in before)
    histories = [pd.read_csv(run / "history.csv").drop(columns="seconds") for run in (straight, resumed)]
    pd.testing.assert_frame_equal(*histories)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_state_is_passed_over_for_the_one_before(config, capsys, damage):
    straight = train(replace(config, epochs=2))
    expected = state_of(straight)
    (straight / "metrics.json").unlink()
    data = bytearray((straight / "last.pt").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (straight / "last.pt").write_bytes(data if damage == "flipped" else data[:1000])
    train(TrainConfig(out=straight, resume=True, device="cpu", workers=0))
    assert "last.pt cannot be read" in (text := capsys.readouterr().out) and "going on from previous.pt" in text
    assert_same_state(expected, state_of(straight))


def test_ctrl_c_in_mid_epoch_saves_says_how_to_continue_and_loses_nothing(config, tmp_path, monkeypatch):
    straight = train(config)
    interrupted = replace(config, out=tmp_path / "interrupted")
    steps = []

    def interrupt_in_step_six(optimizer, *args, **kwargs):
        steps.append(None)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return original(optimizer, *args, **kwargs)

    original = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", interrupt_in_step_six)
    with pytest.raises(TrainingInterrupted, match=r"stopped in epoch 2 of 3.*\n.*--resume --out .*interrupted"):
        train(interrupted)
    resumed = train(TrainConfig(out=interrupted.out, resume=True, device="cpu", workers=0))
    before, after = weights_of(straight), weights_of(resumed)
    assert all(torch.equal(before[name], after[name]) for name in before)


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


def test_continuing_with_another_config_is_refused(config):
    train(replace(config, epochs=1))
    with pytest.raises(RunError, match=r"was started with lr=.*leave --lr out"):
        train(TrainConfig(out=config.out, resume=True, lr=0.5))


def test_without_any_good_state_the_run_cannot_go_on(config):
    train(replace(config, epochs=1))
    (config.out / "metrics.json").unlink()
    (config.out / "last.pt").write_bytes(b"not a state")
    with pytest.raises(RunError, match=r"last.pt cannot be read"):
        train(TrainConfig(out=config.out, resume=True, device="cpu", workers=0))


def test_presets_cover_every_backbone_and_fill_what_is_left_open():
    assert set(PRESETS) == set(BACKBONES)
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
    table = detector.table(list_portraits(config.data, "test"), config.data)
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
