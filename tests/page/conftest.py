"""A page of an untrained model, over a folder of drawn portraits."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import draw_portrait

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.filtering import learning, lessons, score_folder
from artifact_utils.models import build_model
from artifact_utils.page.settings import PageConfig

FAMILIES = ("hands", "text", "objects")
HOSTILE = "<img src=x onerror=alert(1)>.png"


def make_run(run: Path, seed: int) -> Path:
    """Write an untrained model that tells three families apart and says where."""
    torch.manual_seed(seed)
    options = {"locates": True, "families": FAMILIES, "pooled": False}
    model = build_model("efficientnet_lite0", weights="none", image_size=64, **options)
    run.mkdir()
    save_checkpoint(run / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.5, **options))
    return run


@pytest.fixture(scope="session")
def family_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "families", seed=0)


@pytest.fixture
def few_folds(monkeypatch):
    """Short lessons."""
    monkeypatch.setattr(lessons, "FOLDS", 2)
    monkeypatch.setattr(lessons, "REPEATS", 1)
    monkeypatch.setattr(learning, "N_BESIDE", 6)


@pytest.fixture
def learned_in_use(page_config):
    """A run that was learned for the folder, whose pictures it has scored."""
    run = make_run(page_config.folder.with_name("portraits.learned"), seed=1)
    (run / "metrics.json").write_text("{}")
    score_folder(replace(page_config.filter_config(page_config.folder), run=run))
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


@pytest.fixture
def scores_config(page_config):
    """A page of Parquet scores of its portraits by its model: k of n gets (k + 0.5) / n, the families in turn."""
    from artifact_utils.files.writing import file_digest
    from artifact_utils.predictions import Prediction
    from artifact_utils.scale.score_parts import About, ScoreParts
    from artifact_utils.scale.stages import score_rows
    from artifact_utils.scale.stores import LocalStore

    folder = page_config.folder
    about = About(str(folder), str(file_digest(page_config.run / "best.safetensors")), 0.5, FAMILIES, FAMILIES, 1.0)
    store = LocalStore(folder)
    entries = sorted(store.entries(), key=lambda entry: entry.path)
    said: list[Prediction | str] = []
    for k, entry in enumerate(entries):
        p = (k + 0.5) / len(entries)
        chances = {name: p if k % 3 == i else 0.0 for i, name in enumerate(FAMILIES)}
        is_broken = entry.path.endswith("broken.png")
        said.append("truncated" if is_broken else Prediction(p, p >= 0.5, FAMILIES[k % 3], chances))
    parts = ScoreParts(LocalStore(folder.with_name("scores")), about)
    parts.append(score_rows(tuple(entries), said, about))
    return replace(page_config, folder=None, select=str(folder.with_name("scores")))
