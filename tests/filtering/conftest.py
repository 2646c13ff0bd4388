from dataclasses import replace

import pytest
import torch
from helpers import draw_portrait
from PIL import Image

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.filtering import FilterConfig, learning, lessons, score_folder
from artifact_utils.models import build_model

FAMILIES = ("hands", "face", "text", "objects", "glitch")


@pytest.fixture
def config(run, tmp_path):
    folder = tmp_path / "portraits"
    for i in range(12):
        draw_portrait(folder / f"part_{i % 3}" / f"{i:02d}.png", seed=i, artifact=i % 2 == 0)
    Image.open(folder / "part_0" / "00.png").save(folder / "строка, 'quoted'\nname.JPG")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("not a picture and not meant to be one")
    return FilterConfig(folder, run, tmp_path / "scores.csv", device="cpu")


@pytest.fixture
def all_flagged(config, tmp_path):
    """Every picture that can be read is in the table as flagged, and none is moved yet."""
    config = replace(config, threshold=0.0, move_flagged=tmp_path / "bad")
    score_folder(config)
    return config


@pytest.fixture(scope="module")
def few_folds():
    """Short lessons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "FOLDS", 2)
        patch.setattr(lessons, "REPEATS", 1)
        patch.setattr(learning, "N_BESIDE", 6)
        yield


@pytest.fixture(scope="module")
def located_run(tmp_path_factory):
    """A run whose untrained model says where."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("located")
    options = {"also_at": (96,), "locates": True, "families": FAMILIES, "pooled": False}
    model = build_model("efficientnet_lite0", image_size=64, **options)
    info = ModelInfo("efficientnet_lite0", 64, 0.3, aspect="looks", temperature=0.5, **options)
    save_checkpoint(folder / "best.safetensors", model, info)
    return folder
