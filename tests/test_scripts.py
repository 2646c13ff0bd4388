"""The scripts as a user runs them: their help, bad arguments, a full run over odd file names."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from helpers import draw_dataset, draw_portrait, error_of

from artifact_utils.config import TrainConfig

ROOT = Path(__file__).parent.parent
TINY = ["--arch", "efficientnet_lite0", "--weights", "none", "--image-size", "32", "--batch-size", "8", "--epochs", "1"]
TINY += ["--device", "cpu", "--workers", "0", "--augment", "light", "--out", "run"]


def run_script(script, *arguments, cwd):
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, errors="surrogateescape", timeout=240
    )


@pytest.mark.parametrize("script", ["organize_dataset.py", "model_training.py", "filter_images.py"])
def test_help_shows_the_example_commands_one_to_a_line(script, tmp_path):
    examples = [line for line in (ROOT / script).read_text().splitlines() if line.startswith("    python ")]
    shown = run_script(script, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert len(examples) >= 4
    assert set(examples) <= set(shown.stdout.splitlines())


def test_help_shows_the_options_of_training_in_groups_and_each_text_as_one_paragraph(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    shown = run_script("model_training.py", "--help", cwd=tmp_path).stdout
    assert re.findall(r"─ (\w+) options ─", shown) == ["data", "synthesis", "model", "optimisation", "run"]
    groups = re.split(r"─ \w+ options ─", shown)
    for name in ("--validation-fraction", "--leave-out", "--also-at", "--lr", "--precision"):
        assert sum(f"│ {name} " in group for group in groups) == 1  # under its flat name
    assert all(f"│ --{field.name.replace('_', '-')}" in shown for field in fields(TrainConfig))
    indent = shown.index("show this help") - shown.rindex("│", 0, shown.index("show this help"))
    text = [line[indent:-1].rstrip() if line[indent - 2 : indent] == "  " else "" for line in shown.splitlines()]
    width = max(map(len, text))
    for line, after in itertools.pairwise(text):
        goes_on = line and after and not line.endswith(")")
        assert not goes_on or len(f"{line} {after.split()[0]}") > width  # broken where the line is full, nowhere else


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teachers", "nowhere"], "nowhere"),
        (["--also-at", *map(str, range(64, 352, 32))], "--also-at"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--device", "meta"], "device 'meta' cannot be used"),
        (["--arch", "resnet81"], "resnet81"),
        (["--threshold-for", "accuracy"], "--threshold-for"),
    ],
)
def test_a_bad_option_of_the_training_is_an_error_before_it_starts(
    dataset_folder, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    options = ["--data", dataset_folder, *TINY, *options]
    error = error_of(ROOT / "model_training.py", *options, monkeypatch=monkeypatch)
    assert message in error and "\n" not in error
    assert not list(tmp_path.rglob("*.safetensors"))


def test_an_error_of_the_training_is_one_line(tmp_path):
    shown = run_script("model_training.py", "--data", "nowhere", *TINY, cwd=tmp_path)
    assert shown.returncode == 2
    assert "nowhere" in shown.stderr
    errors = [line for line in shown.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and shown.stderr.endswith(f"{errors[0]}\n") and "Traceback" not in shown.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("whose", ["of one person", "of two people"])
def test_two_training_pictures_are_too_few(tmp_path, whose):
    data = draw_dataset(tmp_path / "dataset", n_train=2, n_test=4)
    if whose == "of two people":
        (data / "manifest.csv").unlink()  # two pictures that do not look alike
    shown = run_script("model_training.py", "--data", "dataset", *TINY, cwd=tmp_path)
    assert shown.returncode == 2
    assert shown.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in shown.stderr


def test_a_name_that_is_not_utf8_is_one_line_or_left_out(dataset_folder, tmp_path):
    data = shutil.copytree(dataset_folder, tmp_path / "dataset")
    for split, seed in (("train", 70), ("test", 71)):
        draw_portrait(data / split / "artifacts" / os.fsdecode(b"\xff\xfe_1.png"), seed=seed, artifact=True)
    (data / "train" / "no_artifacts" / os.fsdecode(b"\xfe_0.png")).write_bytes(b"no picture")
    stopped = run_script("model_training.py", "--data", "dataset", *TINY, cwd=tmp_path)
    assert stopped.returncode == 2
    assert stopped.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in stopped.stderr
    assert "udcfe" in stopped.stderr
    assert "--skip-broken" in stopped.stderr
    went_on = run_script("model_training.py", "--data", "dataset", *TINY, "--skip-broken", cwd=tmp_path)
    assert went_on.returncode == 0, went_on.stderr
    assert (tmp_path / "run" / "best.safetensors").exists()


CTRL_C_IN_TORCH = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.nn":  # in the middle of the import of torch
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = {argv}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("script", ["model_training.py", "filter_images.py"])
def test_ctrl_c_while_torch_is_imported_is_one_line(script, tmp_path):
    (tmp_path / "portraits").mkdir()
    argv = [str(ROOT / script), *(["portraits"] if script == "filter_images.py" else ["--data", "portraits"])]
    command = [sys.executable, "-c", CTRL_C_IN_TORCH.format(argv=argv)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (shown.returncode, shown.stdout) == (130, "")
    assert shown.stderr.startswith("stopped") and shown.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["organize_dataset.py", "model_training.py", "filter_images.py"])
def test_help_to_a_closed_pipe_is_silent(script, tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(ROOT / script), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (shown.returncode, shown.stderr) == (141, b"")
