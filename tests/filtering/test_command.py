"""The script itself, with good arguments and with bad ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import draw_portrait, error_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]


def filter_images(*arguments, cwd):
    command = [sys.executable, str(ROOT / "filter_images.py"), *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_script(config, tmp_path):
    result = filter_images(config.folder, "--run", config.run, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "14 pictures, 14 of them new" in result.stdout
    assert (tmp_path / "portraits.scores.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scores", "."], "--scores . is a folder: name a file in it, such as scores.csv"),
        (["--scores", "scores.jpg"], "--scores scores.jpg: .jpg is for a file beside it, say .csv"),
        (["--batch-size", "0"], "--batch-size 0: choose 1 or more"),
        (["--threshold", "7"], "--threshold 7.0: choose a probability from 0 to 1"),
        (["--threshold", "nan"], "--threshold nan: choose a probability from 0 to 1"),
        (["--undo"], "--undo needs to know what to undo: name the folder with --move-flagged"),
        (["--move-flagged", "bad", "--undo"], "nothing was moved from portraits to bad"),
        (["--device", "meta"], "device 'meta' cannot be used"),
        (["--run", "nowhere"], "nowhere"),
    ],
)
def test_a_bad_option_is_an_error_and_nothing_is_written(tmp_path, monkeypatch, options, message):
    (tmp_path / "portraits").mkdir()
    monkeypatch.chdir(tmp_path)
    error = error_of(ROOT / "filter_images.py", "portraits", *options, monkeypatch=monkeypatch)
    assert message in error and "\n" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["portraits"]


def test_a_folder_that_is_not_there_is_named(config, tmp_path):
    shown = filter_images("nowhere", "--run", config.run, cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (2, "error: no folder nowhere: name a folder of portraits\n")


@pytest.mark.parametrize("header", [{"threshold": 10**400}, {"nested": "[" * 100_000 + "]" * 100_000}])
def test_a_poisoned_checkpoint_is_one_line_and_exit_code_2(config, tmp_path, header):
    weights = load_file(config.run / "best.safetensors")
    with safe_open(config.run / "best.safetensors", "pt") as file:
        metadata = file.metadata()
    if "threshold" in header:
        info = next(name for name, value in metadata.items() if '"threshold"' in value)
        metadata[info] = metadata[info].replace('"threshold": 0.5', f'"threshold": {header["threshold"]}')
        assert str(10**400) in metadata[info]
    else:
        metadata = dict.fromkeys(metadata, header["nested"])
    save_file(weights, tmp_path / "poisoned.safetensors", metadata)
    shown = filter_images(config.folder, "--run", tmp_path / "poisoned.safetensors", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("error: ") and shown.stderr.count("\n") == 1
    assert "poisoned.safetensors" in shown.stderr


def test_a_name_that_is_not_utf8_is_scored_moved_and_put_back(config, tmp_path):
    odd = config.folder / os.fsdecode(b"\xff\xfe.png")
    draw_portrait(odd, seed=50, artifact=True)
    (config.folder / os.fsdecode(b"\xff.jpg")).write_bytes(b"no picture")
    options = [config.folder, "--run", config.run, "--threshold", "0", "--move-flagged", "bad"]
    scored = filter_images(*options, cwd=tmp_path)
    assert (scored.returncode, scored.stderr) == (0, "")
    assert "16 pictures, 16 of them new" in scored.stdout and "2 unreadable" in scored.stdout
    assert (tmp_path / "bad" / odd.name).exists() and not odd.exists()
    undone = filter_images(*options, "--undo", cwd=tmp_path)
    assert (undone.returncode, undone.stderr) == (0, "")
    assert odd.exists() and not (tmp_path / "bad").exists()
