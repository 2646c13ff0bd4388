"""The run folder: a run that was stopped, killed or damaged, and continued, is one that ran through, bit for bit."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import assert_same_state, weights_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from artifact_utils import training
from artifact_utils.config import TrainConfig
from artifact_utils.runs import EventLog, RunError, TrainingInterrupted, save
from artifact_utils.training import train

ROOT = Path(__file__).parent.parent


class Killed(BaseException):
    """Nobody catches it, like kill -9."""


def state_of(run):
    return torch.load(run / "last.pt", weights_only=True)


EVERYTHING = {"ema": 0.9, "layer_decay": 0.8}


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
def test_a_damaged_state_is_passed_over_for_the_one_before(config, caplog, damage):
    straight = train(replace(config, epochs=2))
    expected = state_of(straight)
    (straight / "metrics.json").unlink()
    data = bytearray((straight / "last.pt").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (straight / "last.pt").write_bytes(data if damage == "flipped" else data[:1000])
    train(TrainConfig(out=straight, resume=True, device="cpu", workers=0))
    assert "last.pt cannot be read" in (text := caplog.text) and "going on from previous.pt" in text
    assert_same_state(expected, state_of(straight))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_epoch_saves_says_how_to_continue_and_loses_nothing(config, tmp_path, monkeypatch, sent):
    straight = train(config)
    interrupted = replace(config, out=tmp_path / "interrupted")
    steps = []

    def interrupt_in_step_six(optimizer, *args, **kwargs):
        steps.append(None)
        if len(steps) == 6:
            os.kill(os.getpid(), sent)
        return original(optimizer, *args, **kwargs)

    original = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", interrupt_in_step_six)
    with pytest.raises(TrainingInterrupted, match=r"^stopped in epoch 2 of 3 .* --resume --out .*interrupted$") as end:
        train(interrupted)
    assert end.value.exit_code == 128 + sent
    resumed = train(TrainConfig(out=interrupted.out, resume=True, device="cpu", workers=0))
    before, after = weights_of(straight), weights_of(resumed)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_signal_after_the_last_look_is_not_lost(config, monkeypatch):
    def close(log, *exception):
        os.kill(os.getpid(), signal.SIGINT)
        return original(log, *exception)

    original = EventLog.__exit__
    with monkeypatch.context() as patched, pytest.raises(TrainingInterrupted, match="everything is saved"):
        patched.setattr(EventLog, "__exit__", close)
        train(replace(config, epochs=1))
    run = train(TrainConfig(out=config.out, resume=True, device="cpu", workers=0))
    assert (run / "metrics.json").exists()


def test_a_run_killed_at_its_very_end_is_calibrated_once(config):
    run = train(replace(config, epochs=1))
    names = ("best.safetensors", "metrics.json", "validation.csv", "predictions.csv")
    before = {name: (run / name).read_bytes() for name in names}
    (run / "metrics.json").unlink()  # which is written last
    train(TrainConfig(out=run, resume=True, device="cpu", workers=0))
    assert {name: (run / name).read_bytes() for name in names} == before


def test_a_run_killed_after_its_last_state_has_its_whole_history(config, monkeypatch):
    def save_and_die(run, learner, progress):
        save(run, learner, progress)
        if progress.epoch == config.epochs:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(training, "save", save_and_die)
        with pytest.raises(Killed):
            train(config)
    run = train(TrainConfig(out=config.out, resume=True, device="cpu", workers=0))
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert pd.read_csv(run / "history.csv").epoch.tolist() == [1, 2, 3]
    assert [event.step for event in events.Scalars("macro_f1/val")] == [1, 2, 3]


def test_what_a_kill_left_before_anything_was_written_is_no_run(config):
    config.out.mkdir()
    (config.out / ".artifact_utils.0123456789abcdef.part").write_text("{")
    assert (train(replace(config, epochs=0)) / "metrics.json").exists()


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


def test_a_run_folder_in_use_is_not_overwritten(config):
    config.out.mkdir()
    (config.out / "precious.txt").write_text("keep me")
    with pytest.raises(RunError, match="is already in use: continue it with --resume"):
        train(config)
    assert [file.name for file in config.out.iterdir()] == ["precious.txt"]
