import contextlib
import functools
import itertools
import json
import math
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

from artifact_utils import training
from artifact_utils.checkpoints import load_checkpoint
from artifact_utils.config import TrainConfig, resolve
from artifact_utils.detector import Detector
from artifact_utils.evaluation.measuring import measure
from artifact_utils.evaluation.run_results import summarise_run
from artifact_utils.metrics import calibration_error, format_table, scale_threshold
from artifact_utils.models import build_model
from artifact_utils.portraits import DataError, list_portraits
from artifact_utils.runs import RunError
from artifact_utils.training import average_of, build_optimizer, lr_scale, train

ROOT = Path(__file__).parent.parent


def test_a_picture_that_lies_on_both_sides_of_a_split_is_shown(config, own_copy, caplog):
    shutil.copy(own_copy / "train/no_artifacts/image_00006_0.png", own_copy / "test/no_artifacts/again_0.png")
    run = train(replace(config, data=own_copy, image_size=64, epochs=0))
    said = caplog.text
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
    assert "macro F1" in summarise_run(run)
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


@pytest.mark.parametrize("arch", ["test_vit", "efficientnet_lite0"])
def test_a_run_that_diverges_ends_with_an_error_that_says_so(config, monkeypatch, arch):
    monkeypatch.setattr(training, "MAX_GRADIENT_NORM", math.inf)  # clipping holds most runs together, even at this rate
    with pytest.raises(RunError, match=r"the training has diverged; start a new run with a --lr below"):
        train(replace(config, arch=arch, optimizer="sgd", lr=10.0))


def test_the_rate_in_the_history_is_the_heads_whatever_the_layer_decay(config):
    history = pd.read_csv(train(replace(config, epochs=1, layer_decay=0.5, schedule="constant")) / "history.csv")
    assert history.lr.tolist() == [resolve(config).lr]


def test_early_stopping(config):
    run = train(replace(config, epochs=20, patience=1, lr=1e-8))
    assert len(pd.read_csv(run / "history.csv")) < 20


def test_no_epochs_evaluates_the_model_as_it_is(config):
    run = train(replace(config, epochs=0))
    assert json.loads((run / "metrics.json").read_text())["best_epoch"] == 0


def test_a_run_that_cannot_start_leaves_nothing_behind(config):
    with pytest.raises(DataError):
        train(replace(config, data=Path("nowhere")))
    assert not config.out.exists()


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


def test_a_run_can_start_from_another(config, tmp_path):
    first = train(replace(config, epochs=2))
    second = train(replace(config, epochs=0, init=str(first), out=tmp_path / "second", arch="auto", image_size=None))
    before, after = weights_of(first), weights_of(second)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert load_checkpoint(second / "best.safetensors")[1].image_size == 32


def test_a_run_that_began_with_another_goes_on_without_it(config, tmp_path):
    first = train(replace(config, epochs=1))
    begun = replace(config, init=str(first), out=tmp_path / "second", arch="auto", image_size=None, epochs=2)

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(begun, on_epoch_end=stop)
    shutil.rmtree(first)
    assert train(TrainConfig(data=config.data, out=begun.out, resume=True, device="cpu")) == begun.out


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


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model("efficientnet_lite0", weights="none", image_size=32, locates=True)


def optimizer_for(model, **options):
    return build_optimizer(model, resolve(TrainConfig(arch="efficientnet_lite0", device="cpu", **options)))


def test_rates_fall_from_layer_to_layer_towards_the_input(model):
    optimizer = optimizer_for(model, lr=1.0, layer_decay=0.5)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rate) == len(list(model.parameters()))
    assert rate[id(model.head[1].weight)] == rate[id(model.locator.gain)] == 1.0
    layers = model.backbone.layer_groups()
    for depth, layer in enumerate(reversed(layers), 1):
        assert {rate[id(parameter)] for parameter in layer} == {0.5**depth}


def test_without_layer_decay_there_is_one_rate_and_nothing_frozen_in_it(model):
    model.freeze(1.0)
    groups = optimizer_for(model, lr=0.1).param_groups
    trained = {id(p) for p in [*model.head.parameters(), *model.locator.parameters()]}
    assert {group["lr"] for group in groups} == {0.1}
    assert {id(p) for group in groups for p in group["params"]} == trained


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_norms_and_biases_do_not_decay(model, name):
    groups = optimizer_for(model, optimizer=name, lr=0.1, weight_decay=0.3).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    norms = {id(p) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()}
    assert norms and {decay[name] for name in norms} == {0.0}
    for parameter_name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.3 if parameter_name.endswith("weight") and parameter.ndim > 1 else 0.0)


def test_the_average_follows_the_weights_and_starts_without_the_random_ones(model):
    average = average_of(model, 0.5)
    weight, mean = model.head[1].weight, average.module.head[1].weight
    with torch.no_grad():
        weight.fill_(1.0)
        average.update_parameters(model)
        assert torch.equal(mean, weight)  # nothing is left of the start
        weight.fill_(0.0)
        average.update_parameters(model)
    assert torch.allclose(mean, torch.full((), 2 / 11))  # the decay of the first steps
    for _ in range(40):
        average.update_parameters(model)
    assert torch.allclose(mean, torch.zeros(()), atol=1e-5)
    counters = [(name, buffer) for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")]
    for _, buffer in counters:
        buffer += 3
    average.update_parameters(model)
    averaged = dict(average.module.named_buffers())
    assert counters and all(averaged[name] == buffer for name, buffer in counters)


def test_the_learning_rate_warms_up_and_decays():
    scale = [lr_scale(step, 100, 10) for step in range(100)]
    assert scale[0] < scale[5] < scale[10] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in itertools.pairwise(scale[10:]))
    assert scale[-1] == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize("schedule", ["cosine", "step", "exponential"])
def test_every_schedule_warms_up_and_ends_at_a_hundredth(schedule):
    scale = [lr_scale(step, 101, 11, schedule) for step in range(102)]
    assert scale[:11] == [lr_scale(step, 101, 11) for step in range(11)]
    assert scale[11] == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(scale[11:]))
    assert scale[-1] == pytest.approx(0.01, rel=1e-3)
    assert {lr_scale(step, 101, 11, "constant") for step in range(11, 101)} == {1.0}


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimiser_goes_downhill(model, name):
    optimizer = optimizer_for(model, optimizer=name, lr=1e-2, weight_decay=0.0)
    weight = model.locator.layers[-1].weight
    before = weight.detach().clone()
    weight.sum().backward()
    optimizer.step()
    assert (weight < before).all()


def test_the_families_that_a_run_tells_apart():
    assert TrainConfig().told_apart == ("hands", "face", "text", "objects", "glitch")
    assert TrainConfig(gaze=0.1).told_apart[-1] == "gaze"
    assert TrainConfig(families=False).told_apart == TrainConfig(mask_weight=0).told_apart == ()
