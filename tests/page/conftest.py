"""A page of an untrained model, over a folder of drawn portraits."""

import shutil
from dataclasses import replace

import pytest
import torch
from helpers import draw_portrait

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.models import build_model
from artifact_utils.page.settings import PageConfig

FAMILIES = ("hands", "text", "objects")
HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="session")
def family_run(tmp_path_factory):
    """An untrained model that tells three families apart and says where; its answers are spread over 0 to 1."""
    torch.manual_seed(0)
    options = {"locates": True, "families": FAMILIES, "pooled": False}
    model = build_model("efficientnet_lite0", weights="none", image_size=64, **options)
    run = tmp_path_factory.mktemp("runs") / "families"
    run.mkdir()
    save_checkpoint(run / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.5, **options))
    return run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "portraits"
    for i in range(12):
        draw_portrait(folder / f"{i:02d}.png", seed=i, artifact=i % 2 == 0, size=160)
    shutil.copy(folder / "00.png", folder / HOSTILE)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture
def portraits(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "portraits")


@pytest.fixture
def page_config(family_run, portraits, tmp_path, monkeypatch):
    monkeypatch.delenv("PAGE_AUTH", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    config = PageConfig(run=family_run, runs=tmp_path / "runs", port=0, device="cpu")
    return replace(config, folder=portraits)
