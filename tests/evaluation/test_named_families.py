"""Recall by family and the families that a detector names."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.detector import Detector
from artifact_utils.evaluation.named_families import by_family, name_families
from artifact_utils.models import build_model
from artifact_utils.portraits import list_portraits, with_made_artifacts


@pytest.fixture
def portraits(dataset_folder):
    clean = [portrait for portrait in list_portraits(dataset_folder, "test") if not portrait.label][:4]
    return with_made_artifacts(clean, kinds=("signature", "fist"))


def test_the_table_counts_what_was_found_and_how_it_was_named(portraits):
    kinds = ("fist", "fist", "fist", "logo")
    made = [replace(portrait, kind=kind) for portrait, kind in zip(portraits[4:], kinds, strict=True)]
    predictions = pd.DataFrame({"predicted": [0, 0, 1, 0, 1, 1, 0, 1]})
    named = ["text", "text", "text", "text", "hands", "text", "hands", "text"]
    table = by_family(predictions, [*portraits[:4], *made], named).set_index("family")
    assert table.loc["hands", ["artifacts", "found", "right", "named hands", "named text"]].tolist() == [3, 2, 1, 1, 1]
    assert table.loc["text", ["artifacts", "found", "right"]].tolist() == [1, 1, 1]
    assert table.loc["hands", "recall_low"] < 2 / 3 == table.loc["hands", "recall"] < table.loc["hands", "recall_high"]


def test_the_most_probable_family_that_counts_is_named(portraits):
    torch.manual_seed(0)
    options = {"locates": True, "families": ("hands", "text", "glitch"), "pooled": False}
    model = build_model("efficientnet_lite0", weights="none", image_size=64, **options)
    info = ModelInfo("efficientnet_lite0", 64, 0.5, **options)
    with torch.no_grad():
        model.locator.bias[1] += 5
    assert name_families(Detector(model, info), portraits) == ["text"] * len(portraits)
    assert "text" not in name_families(Detector(model, info, ignore=("text",)), portraits)
    network = build_model("efficientnet_lite0", weights="none", image_size=64)
    plain = Detector(network, ModelInfo("efficientnet_lite0", 64, 0.5))
    assert name_families(plain, portraits) == [""] * len(portraits)
