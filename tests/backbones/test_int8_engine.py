import builtins
import copy
import subprocess
import sys

import pytest
import torch

from artifact_utils.backbones import Backbone, load_imagenet
from artifact_utils.backbones import int8_engine as module
from artifact_utils.backbones.int8_engine import Int8Engine, int8_is_faster

needs_int8 = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="this CPU does not multiply in 8 bits")


@pytest.fixture(scope="module")
def backbone():
    backbone = Backbone("clip_vit_b16", 96).eval().requires_grad_(False)
    load_imagenet(backbone)
    return backbone


@pytest.fixture
def images():
    """Smooth pictures with an edge, more like photographs than noise is."""
    coarse = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(coarse, size=96, mode="bicubic")
    images[:, :, 30:60, 40:70] = 1.0
    return images * 2 - 1


def similar(maps, expected):
    """Mean cosine of what is said of places, each channel in units of how much it varies."""
    spread, middle = expected.std(dim=(0, 2, 3), keepdim=True), expected.mean(dim=(0, 2, 3), keepdim=True)
    return torch.cosine_similarity((maps - middle) / spread, (expected - middle) / spread, dim=1).mean()


@needs_int8
def test_it_sees_what_pytorch_sees(backbone, images):
    (expected,), class_token = backbone(images)  # with gradients, so in 32 bits
    with torch.no_grad():
        assert backbone.arithmetic(images.device) == "int8"
        (maps,), features = backbone(images)
    assert (maps.shape, features.shape) == (expected.shape, class_token.shape)
    assert not torch.equal(maps, expected)
    assert similar(maps, expected) > 0.97
    assert torch.cosine_similarity(features, class_token).min() > 0.99


@needs_int8
def test_an_answer_does_not_depend_on_the_other_pictures(backbone, images):
    engine = Int8Engine(backbone.network, 96)
    (together,), _ = engine(images)
    images[1:] *= 20
    (beside,), _ = engine(images)
    (alone,), _ = engine(images[:1])
    assert torch.allclose(together[0], alone[0], atol=1e-4)
    assert torch.allclose(beside[0], alone[0], atol=1e-4)


@needs_int8
def test_a_copy_of_a_model_builds_its_own(backbone, images):
    with torch.no_grad():
        (maps,), _ = backbone(images)
        (again,), _ = copy.deepcopy(backbone)(images)
    assert torch.equal(maps, again)


CTRL_C_WITHOUT_MODELS = """
import os, signal, torch
from artifact_utils.backbones import Backbone
from artifact_utils.backbones.int8_engine import Int8Engine

network = Backbone("clip_vit_b16", 32).network
first, second = (Int8Engine(network, 32) for _ in range(2))
del first, second
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("still there")
"""


@needs_int8
def test_a_signal_after_two_models_have_gone_finds_a_stack():
    """OpenVINO leaves one that is gone where each model has a core of its own."""
    shown = subprocess.run([sys.executable, "-c", CTRL_C_WITHOUT_MODELS], capture_output=True, text=True, timeout=120)
    assert (shown.returncode, shown.stdout) == (0, "still there\n"), shown.stderr


@needs_int8
def test_pictures_of_another_size_are_seen_by_pytorch(backbone):
    with torch.no_grad():
        (maps,), _ = backbone(torch.zeros(1, 3, 128, 128))
    assert maps.shape == (1, 768, 8, 8)


def test_without_openvino_one_line_says_so(monkeypatch, caplog):
    really = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "openvino":
            raise ImportError("no libopenvino")
        return really(name, *args, **kwargs)

    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(builtins, "__import__", refuse)
    module.int8_is_faster.cache_clear()
    assert not int8_is_faster()
    assert not int8_is_faster()
    module.int8_is_faster.cache_clear()
    assert caplog.messages == ["OpenVINO cannot be loaded (no libopenvino): PyTorch goes on, in about twice the time"]
