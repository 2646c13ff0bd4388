"""The scripts as a user runs them: their help, bad arguments, a full run over odd file names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import draw_dataset

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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teachers", "nowhere"], "nowhere"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--data", "nowhere"], "nowhere"),
        (["--threshold-for", "accuracy"], "--threshold-for"),
    ],
)
def test_a_bad_option_of_the_training_is_one_line_before_it_starts(dataset_folder, tmp_path, options, message):
    shown = run_script("model_training.py", "--data", dataset_folder, *TINY, *options, cwd=tmp_path)
    assert shown.returncode == 2
    assert message in shown.stderr
    errors = [line for line in shown.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and shown.stderr.endswith(f"{errors[0]}\n") and "Traceback" not in shown.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


def test_two_training_pictures_are_too_few(tmp_path):
    draw_dataset(tmp_path / "dataset", n_train=2, n_test=4)
    shown = run_script("model_training.py", "--data", "dataset", *TINY, cwd=tmp_path)
    assert shown.returncode == 2
    assert shown.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in shown.stderr
