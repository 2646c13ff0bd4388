"""The run folder: a run that was stopped, killed or damaged, and continued, is one that ran through, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import weights_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from artifact_utils import training
from artifact_utils.config import TrainConfig
from artifact_utils.runs import RunError, TrainingInterrupted, save
from artifact_utils.training import train

ROOT = Path(__file__).parent.parent


class Killed(BaseException):
    """Nobody catches it, like kill -9."""


def assert_same_state(one, other):
    """Bitwise, through all that a state holds: weights, average, optimiser, schedule, progress."""
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
    with pytest.raises(TrainingInterrupted, match=r"^stopped in epoch 2 of 3 .* --resume --out .*interrupted$"):
        train(interrupted)
    resumed = train(TrainConfig(out=interrupted.out, resume=True, device="cpu", workers=0))
    before, after = weights_of(straight), weights_of(resumed)
    assert all(torch.equal(before[name], after[name]) for name in before)


KILLING = """
import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter  # once, not in every child

from artifact_utils import training
from artifact_utils.config import TrainConfig
from artifact_utils.files.writing import is_part

torch.set_num_threads(1)  # a forked process has no other threads to wait for
CONFIG = TrainConfig(
    data=Path(sys.argv[1]), arch="efficientnet_lite0", weights="none", image_size=32, epochs=2, batch_size=2,
    device="cpu", workers=0, ema=0.9, layer_decay=0.8, test=False,
)
N_KILLS, SEED = map(int, sys.argv[2:])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_file_operation(run, number, rng):
    # files of the run being opened, renamed or removed; a renamed one loses its end first, as if still being written
    operations = iter(range(1, number))

    def hook(event, arguments):
        if event not in ("open", "os.rename", "os.remove") or not str(arguments[0]).startswith(f"{run}/"):
            return
        if next(operations, None) is None:
            if event == "os.rename" and is_part(Path(arguments[0]).name):
                os.truncate(arguments[0], rng.randrange(os.path.getsize(arguments[0])))
            kill()

    sys.addaudithook(hook)


def kill_after(seconds):
    # of processor time, so that the load of the machine moves nothing
    def watch():
        while time.process_time() < seconds:
            time.sleep(0.002)
        kill()

    threading.Thread(target=watch, daemon=True).start()


def start(run, prepare=lambda: None):
    child = os.fork()
    if child == 0:
        try:
            prepare()
            resume = (run / "config.json").exists()
            training.train(TrainConfig(out=run, resume=True, device="cpu", workers=0) if resume
                           else TrainConfig(**{**vars(CONFIG), "out": run}))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


status, seconds = start(Path("straight"))
assert status == 0
rng, run, n_killed = random.Random(SEED), Path("killed"), 0
while n_killed < N_KILLS and not (run / "metrics.json").exists():
    after, operation = rng.uniform(0.0, seconds / 2), rng.randint(1, 24)
    if n_killed % 2:
        prepare = lambda: kill_after(after)
    else:
        prepare = lambda: kill_at_file_operation(run, operation, random.Random(operation))
    status, _ = start(run, prepare)
    assert status in (0, -signal.SIGKILL), status
    n_killed += status != 0
if not (run / "metrics.json").exists():
    assert start(run)[0] == 0
print(n_killed, "times killed")
"""


def test_killed_at_many_moments_a_run_ends_as_if_nothing_had_happened(dataset_folder, tmp_path):
    (tmp_path / "killing.py").write_text(KILLING)
    n_kills, seed = 6, 0
    process = subprocess.run(
        [sys.executable, "killing.py", str(dataset_folder), str(n_kills), str(seed)], cwd=tmp_path, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}, capture_output=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    assert int(process.stdout.splitlines()[-1].split()[0]) >= 3, process.stdout
    assert "cannot be read" not in process.stdout  # a state is there whole or not at all
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert_same_state(state_of(straight), state_of(killed))
    before, after = weights_of(straight), weights_of(killed)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (killed / "validation.csv").read_bytes() == (straight / "validation.csv").read_bytes()
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (straight, killed)]
    assert metrics[0] | {"train_seconds": 0} == metrics[1] | {"train_seconds": 0}


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
