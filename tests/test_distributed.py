"""Two processes against one, on the CPU; each start of torchrun takes seconds, so one script checks several things."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from artifact_utils.config import TrainConfig
from artifact_utils.losses import FocalLoss
from artifact_utils.training import train

ROOT = Path(__file__).parent.parent
N_PROCESSES = 2

STEP = """
import sys
import torch
from artifact_utils import distributed
from artifact_utils.checkpoints import initial_model
from artifact_utils.config import TrainConfig, resolve
from artifact_utils.datasets import Sample
from artifact_utils.losses import UNKNOWN
from artifact_utils.training import Learner

distributed.join()
torch.use_deterministic_algorithms(True)
config = resolve(TrainConfig(arch="efficientnet_lite0", weights="none", device="cpu", image_size=32, batch_size=4,
                             epochs=1, frozen=0.0, optimizer="sgd", lr=1e-8))
learner = Learner(config, initial_model(config), n_batches=1)
learner.model.eval()  # batch norms and dropout differ between processes on a CPU: the rest does not
kept = {}
learner.optimizer.zero_grad = lambda **options: kept.update(
    {name: parameter.grad.clone() for name, parameter in learner.model.named_parameters()
     if parameter.grad is not None})
generator = torch.Generator().manual_seed(1)
images = torch.randint(0, 256, (8, 3, 32, 32), generator=generator, dtype=torch.uint8)
masks = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
masks[1::3, :, :16] = 1
masks[5:] = UNKNOWN  # the second process knows fewer masks than the first
said = torch.randint(-1, 2, (8, 6), generator=generator, dtype=torch.int8)
whole = Sample(images, torch.tensor([0, 1] * 4), masks, said)
share = 8 // distributed.world_size()
own = slice(distributed.rank() * share, (distributed.rank() + 1) * share)
learner.step(Sample(*(tensor[own] for tensor in whole[:4])))
if distributed.rank() == 0:
    torch.save(kept, sys.argv[1])
"""


def run(command, folder, *, n_processes=N_PROCESSES, **options):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={n_processes}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*launcher, *map(str, command)], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


def test_two_processes_have_the_gradients_of_one_with_twice_the_batch(tmp_path):
    (tmp_path / "step.py").write_text(STEP)
    both = run(["step.py", "both.pt"], tmp_path)
    output, _ = both.communicate(timeout=240)
    assert both.returncode == 0, output
    subprocess.run(
        [sys.executable, "step.py", "one.pt"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "both"))
    assert one.keys() == two.keys()
    for name in one:
        assert (two[name] - one[name]).double().norm() <= 1e-4 * one[name].double().norm() + 1e-7, name
    assert max(value.abs().max() for name, value in one.items() if name.endswith("weight")) > 1e-3


def test_a_run_of_two_processes_learns_what_one_with_twice_the_batch_does(dataset_folder, tmp_path):
    """At a rate near 0: what differs on CPUs, the batch norms and the dropout, then changes little."""
    options: dict[str, Any] = {"arch": "efficientnet_lite0", "image_size": 32, "epochs": 1, "lr": 1e-6, "ema": 0.9}
    arguments = [part for name, value in options.items() for part in ("--" + name.replace("_", "-"), value)]
    command = [ROOT / "model_training.py", "--data", dataset_folder, "--out", "both", "--batch-size", 2, *arguments]
    both = run([*command, "--device", "cpu", "--workers", 1], tmp_path)
    one = train(
        TrainConfig(data=dataset_folder, out=tmp_path / "one", batch_size=4, device="cpu", workers=0, **options)
    )
    output, _ = both.communicate(timeout=240)
    assert both.returncode == 0, output
    assert output.count("macro F1") == 1  # the first process alone reports
    histories = [pd.read_csv(folder / "history.csv") for folder in (one, tmp_path / "both")]
    for column in ("train_loss", "val_loss"):
        assert histories[1][column].tolist() == pytest.approx(histories[0][column].tolist(), rel=0.1)
    predictions = [pd.read_csv(folder / "predictions.csv") for folder in (one, tmp_path / "both")]
    assert predictions[1].path.tolist() == predictions[0].path.tolist()
    assert predictions[1].probability.to_numpy() == pytest.approx(predictions[0].probability.to_numpy(), abs=0.05)
    # both have validated the model that is stored
    validation = pd.read_csv(tmp_path / "both" / "validation.csv")
    temperature = json.loads((tmp_path / "both" / "metrics.json").read_text())["temperature"]
    logits = torch.logit(torch.tensor(validation.probability)) * temperature
    loss = float(FocalLoss()(logits, torch.tensor(validation.target)))
    assert histories[1].val_loss.tolist() == pytest.approx([loss], rel=1e-4)


def test_metrics_of_an_uneven_number_of_pictures_are_exactly_those_of_one_process(own_copy, tmp_path):
    shutil.copytree(own_copy / "test", own_copy / "val")
    for _ in range(5):
        next((own_copy / "val" / "no_artifacts").glob("*.png")).unlink()
    next((own_copy / "test" / "no_artifacts").glob("*.png")).unlink()  # 7 and 11 are left, in batches of 4
    options = ("--arch", "efficientnet_lite0", "--image-size", 32, "--batch-size", 2, "--epochs", 0, "--device", "cpu")
    for name, n_processes in (("one", 1), ("both", 2)):
        command = [ROOT / "model_training.py", "--data", own_copy, "--out", name, "--workers", 0, *options]
        process = run(command, tmp_path, n_processes=n_processes)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
    one, both = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "both"))
    assert (one["validation"]["n"], one["test"]["n"]) == (7, 11)
    assert both == one
    for name in ("validation.csv", "predictions.csv"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_what_ends_one_process_does_not_hang_the_others(dataset_folder, tmp_path, sent):
    command = [ROOT / "model_training.py", "--data", dataset_folder, "--out", "run", "--batch-size", 4]
    small = ["--arch", "efficientnet_lite0", "--weights", "none", "--image-size", 32, "--epochs", 1000, "--workers", 0]
    both = run([*command, *small, "--device", "cpu", "--patience", 1000], tmp_path)
    while both.poll() is None and not (tmp_path / "run" / "last.pt").exists():
        time.sleep(0.02)
    children = Path(f"/proc/{both.pid}/task/{both.pid}/children").read_text().split()
    os.kill(int(children[-1]), sent)
    output, _ = both.communicate(timeout=120)
    assert both.returncode != 0
    if sent == signal.SIGINT:
        assert "which will be done again" in output and "--resume" in output and (tmp_path / "run" / "last.pt").exists()


def test_two_machines_fill_a_cache_each_from_the_data_that_they_share(dataset_folder, tmp_path):
    """As in docs/scale.md: one launcher a machine, --cache on a disk of its own, the run folder shared."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d"),
        *(f"--rdzv_endpoint=127.0.0.1:{port}", "--local-addr=127.0.0.1", ROOT / "model_training.py"),
    ]
    small = ("--arch", "efficientnet_lite0", "--image-size", 32, "--epochs", 1, "--batch-size", 4, "--device", "cpu")
    folders = ("--data", dataset_folder, "--out", tmp_path / "run", "--cache", "cache")
    disks = [tmp_path / "one", tmp_path / "other"]  # where --cache lies, by the same path on every machine
    for disk in disks:
        disk.mkdir()
    machines = [
        subprocess.Popen(
            list(map(str, [*launcher, *small, *folders])),
            cwd=disk, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for disk in disks
    ]  # fmt: skip
    outputs = [machine.communicate(timeout=240)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert sum("macro F1" in output for output in outputs) == 1
    pictures = sum(1 for _ in dataset_folder.rglob("*.png"))
    for disk in disks:
        lines = (disk / "cache" / "squares-32.txt").read_text().splitlines()
        assert len(lines) == 1 + pictures  # a heading, and each picture decoded once
