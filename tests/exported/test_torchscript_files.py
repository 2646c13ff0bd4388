"""TorchScript files of strangers: a program that does more than arithmetic is found before it is loaded."""

import warnings

import pytest
import torch

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.detector import Detector


class WritesWhenItRuns(torch.nn.Module):
    def forward(self, pictures):
        torch.save(pictures, "written")
        return pictures


class WritesWhenItIsLoaded(torch.nn.Module):
    @torch.jit.export
    def __getstate__(self):
        return 0

    @torch.jit.export
    def __setstate__(self, state: int):
        torch.save(torch.zeros(1), "written")

    def forward(self, pictures):
        return pictures


class NeverEnds(torch.nn.Module):
    def forward(self, pictures):
        while bool(pictures.sum() >= 0):
            pictures = pictures + 1
        return pictures


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("module", "message"),
    [
        (WritesWhenItRuns, "torch.save"),
        (WritesWhenItIsLoaded, "def __"),
        (NeverEnds, "While"),
    ],
)
def test_what_a_program_must_not_do(module, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(module()).save("own.torchscript")
    with pytest.raises(CheckpointError, match=f"own.torchscript does .*{message}"):
        Detector.load("own.torchscript")
    assert not (tmp_path / "written").exists()


def test_a_harmless_program_that_is_not_ours(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)).save(tmp_path / "own.torchscript")
    with pytest.raises(CheckpointError, match="was not written by this project"):
        Detector.load(tmp_path / "own.torchscript")


def test_what_is_no_archive(tmp_path):
    (tmp_path / "own.torchscript").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="is not a TorchScript file"):
        Detector.load(tmp_path / "own.torchscript")
    with pytest.raises(CheckpointError, match="no exported model"):
        Detector.load(tmp_path / "missing.torchscript")
