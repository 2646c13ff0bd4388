"""The node as ComfyUI loads and calls it: a folder that is imported, tensors (B, H, W, C) in 0..1."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import draw_portrait
from PIL import Image

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.config import ConfigError
from artifact_utils.detector import Detector
from artifact_utils.models import build_model

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
FAMILIES = ("hands", "text")


def load():
    spec = importlib.util.spec_from_file_location("custom_node", FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def node():
    return load().NODE_CLASS_MAPPINGS["PortraitArtifactFilter"]()


@pytest.fixture(scope="module")
def located_run(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    options = {"locates": True, "families": FAMILIES, "pooled": False}
    model = build_model("efficientnet_lite0", image_size=64, **options)
    save_checkpoint(folder / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.5, **options))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pictures = []
    for i in range(4):
        draw_portrait(folder / f"{i}.png", seed=i, artifact=i % 2 == 1, size=160)
        with Image.open(folder / f"{i}.png") as picture:
            pictures.append(np.array(picture.crop((0, 0, 144, 160))))
    return torch.from_numpy(np.stack(pictures)).float() / 255


def middle(run, images):
    detector = Detector.load(run)
    said = [detector.predict((image * 255).round().to(torch.uint8).numpy()).probability for image in images]
    return said, float(np.mean(sorted(said)[1:3]))


def test_images_are_parted_in_order_and_unchanged(node, located_run, images):
    said, threshold = middle(located_run, images)
    clean, flagged, maps, scores = node.part(images, threshold, run=str(located_run))
    expected = torch.tensor([probability >= threshold for probability in said])
    assert torch.equal(clean, images[~expected]) and torch.equal(flagged, images[expected])
    assert len(clean) == len(flagged) == 2
    assert maps.shape == (4, 160, 144) and maps.dtype == torch.float32
    assert 0 <= maps.min() <= maps.max() <= 1
    rows = json.loads(scores)
    assert [row["flagged"] for row in rows] == expected.tolist()
    assert [row["probability"] for row in rows] == pytest.approx(said, abs=1e-4)
    assert all(row["family"] in FAMILIES for row in rows)


def test_the_threshold_may_be_the_models_own(node, located_run, images):
    said, _ = middle(located_run, images)
    rows = json.loads(node.part(images, -1.0, run=str(located_run / "best.safetensors"))[3])
    assert [row["flagged"] for row in rows] == [probability >= 0.5 for probability in said]


@pytest.mark.parametrize(("threshold", "empty"), [(0.0, 0), (1.0, 1)])
def test_an_empty_batch_has_the_shape_of_the_others_where_nothing_can_be_blocked(
    node, located_run, images, threshold, empty
):
    outputs = node.part(images, threshold, run=str(located_run))
    assert outputs[empty].shape == (0, 160, 144, 3)
    assert torch.equal(outputs[1 - empty], images)


def test_comfyui_blocks_what_lies_behind_an_empty_batch(monkeypatch, located_run, images):
    class ExecutionBlocker:
        def __init__(self, message):
            self.message = message

    for name in ("comfy_execution", "comfy_execution.graph"):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    sys.modules["comfy_execution.graph"].ExecutionBlocker = ExecutionBlocker
    node = load().PortraitArtifactFilter()
    clean, flagged, maps, _ = node.part(images, 0.0, run=str(located_run))
    assert isinstance(clean, ExecutionBlocker) and clean.message is None  # silently: it is no error
    assert torch.equal(flagged, images) and len(maps) == 4


def test_families_are_chosen_by_name(node, located_run, images):
    for options in ({"only": "text"}, {"ignore": " hands "}):
        rows = json.loads(node.part(images, -1.0, run=str(located_run), **options)[3])
        assert {row["family"] for row in rows} == {"text"}
    with pytest.raises(ConfigError, match="no family 'feet'"):
        node.part(images, -1.0, ignore="feet", run=str(located_run))


def test_values_beyond_the_range_and_a_fourth_channel_are_taken(node, located_run, images):
    alpha = torch.cat([images * 1.5 - 0.2, torch.ones(4, 160, 144, 1)], dim=3)
    clean, _, _, _ = node.part(alpha, 1.0, run=str(located_run))
    assert torch.equal(clean, alpha)


def test_a_model_that_does_not_say_where_has_empty_maps(node, run, images):
    _, _, maps, scores = node.part(images[:1], -1.0, run=str(run))
    assert maps.shape == (1, 160, 144) and not maps.any()
    assert json.loads(scores)[0]["family"] == ""


def test_images_that_are_too_small_are_told(node, located_run):
    with pytest.raises(ValueError, match="100 x 140 px are too small"):
        node.part(torch.zeros(1, 140, 100, 3), -1.0, run=str(located_run))


def test_inputs_and_outputs_are_declared_alike(located_run):
    module = load()
    node = module.PortraitArtifactFilter
    inputs = node.INPUT_TYPES()
    assert set(inputs["required"]) | set(inputs["optional"]) == {"images", "threshold", "only", "ignore", "run"}
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == len(node.OUTPUT_TOOLTIPS)
    assert module.NODE_CLASS_MAPPINGS.keys() == module.NODE_DISPLAY_NAME_MAPPINGS.keys()
    assert callable(getattr(node, node.FUNCTION))
    before = node.IS_CHANGED(run=str(located_run))
    (located_run / "best.safetensors").touch()
    assert node.IS_CHANGED(run=str(located_run)) != before
