import numpy as np
import pytest
import torch
from helpers import draw_portrait
from PIL import Image

from artifact_utils.backbones import NETWORKS
from artifact_utils.checkpoints import ModelInfo
from artifact_utils.detector import Detector
from artifact_utils.evaluation.grounding import peak
from artifact_utils.explain import class_activation_maps, feature_maps, heat_map
from artifact_utils.models import build_model


@pytest.fixture
def portrait(tmp_path):
    draw_portrait(tmp_path / "portrait.png", seed=1, artifact=True)
    return tmp_path / "portrait.png"


@pytest.mark.parametrize(("arch", "frozen"), [*((arch, 1.0) for arch in NETWORKS), ("resnet18", 0.0)])
def test_every_backbone_frozen_or_not_is_explained_and_left_as_it_was(arch, frozen):
    torch.manual_seed(0)
    model = build_model(arch, weights="none", image_size=64).eval()
    model.freeze(frozen)
    needed = [parameter.requires_grad for parameter in model.parameters()]
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = class_activation_maps(model, images, method="hires_cam")
    assert maps.shape == (2, 64, 64)
    assert maps.dtype == np.float32
    assert 0 <= maps.min() <= maps.max() <= 1
    assert [parameter.requires_grad for parameter in model.parameters()] == needed
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("arch", ["test_vit", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_maps_of_tokens_and_of_channels_last_lie_like_the_picture(arch):
    torch.manual_seed(0)
    model = build_model(arch, weights="none", image_size=128).eval()
    images = torch.randn(1, 3, 128, 128)
    images[:, :, :64] += 3  # the upper half differs, so a map that is turned would be seen
    outputs = []
    handle = model.backbone.explained.register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad():
        last = model.backbone.all_maps(images)[-1]
    handle.remove()
    explained = model.backbone.to_map(outputs[0])

    def likeness(fmap):
        return torch.cosine_similarity(explained.flatten(), fmap.flatten(), 0)

    assert likeness(last) > likeness(last.transpose(2, 3)) + 0.05
    maps = class_activation_maps(model, images)
    assert maps.shape == (1, 128, 128)
    assert np.isfinite(maps).all()


@pytest.fixture
def corner_detector():
    """A network that says artifact where the picture is bright, and nowhere else."""
    model = build_model("resnet18", weights="none", image_size=64).eval()

    class Bright(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.avg_pool2d(x.clamp_min(0), 8).mean(1, keepdim=True).repeat(1, 512, 1, 1)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer4 = Bright()

        def forward_intermediates(self, x, **_):
            x = self.layer4(x)
            return x, [x, x]

        def forward_head(self, x, **_):
            return x.mean((2, 3))

    model.backbone.network = Network()
    torch.nn.init.constant_(model.head[1].weight, 0.1)
    return model


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam++", "hires_cam", "layer_cam"])
def test_the_map_points_at_what_the_logit_comes_from(corner_detector, method):
    images = torch.zeros(2, 3, 64, 64)
    images[0, :, 48:56, 8:16] = 5
    images[1, :, 8:16, 48:56] = 5
    rows, columns = zip(*map(peak, class_activation_maps(corner_detector, images, method=method)), strict=True)
    assert 46 <= rows[0] <= 57
    assert 6 <= columns[0] <= 17
    assert 6 <= rows[1] <= 17
    assert 46 <= columns[1] <= 57


def test_gradients_are_of_one_size_and_the_others_stay(corner_detector):
    images = torch.rand(1, 3, 64, 64)
    alone = class_activation_maps(corner_detector, images)
    corner_detector.also_at = (32,)
    assert (class_activation_maps(corner_detector, images) == alone).all()
    assert corner_detector.also_at == (32,)


def test_one_call_explains_any_detector_at_the_size_of_the_picture(run, portrait):
    detector = Detector.load(run, device="cpu")
    before = detector.predict(portrait)
    wide = Image.open(portrait).resize((150, 90))
    assert heat_map(detector, wide).shape == (90, 150)
    assert heat_map(detector, portrait, method="grad_cam++").shape == (128, 128)
    assert detector.predict(portrait) == before
    for method, message in (("locator", "trained without masks"), ("guess", "unknown method 'guess': choose one of")):
        with pytest.raises(ValueError, match=message):
            heat_map(detector, portrait, method=method)
    with pytest.raises(ValueError, match="unknown method 'locator'"):
        class_activation_maps(detector.model, torch.zeros(1, 3, 64, 64), method="locator")


def test_a_model_that_knows_where_is_asked_itself(portrait):
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True)
    detector = Detector(model, ModelInfo("efficientnet_lite0", 64, 0.5, locates=True))
    assert np.array_equal(heat_map(detector, portrait), detector.locate(portrait))
    assert not np.array_equal(heat_map(detector, portrait, method="grad_cam"), detector.locate(portrait))


@pytest.mark.parametrize("arch", ["efficientnet_lite0", "resnet18", "vit_b_16"])
def test_feature_maps_come_from_all_over_the_backbone(arch, portrait):
    detector = Detector(build_model(arch, weights="none", image_size=64), ModelInfo(arch, 64, 0.5))
    maps = feature_maps(detector, portrait, stages=3)
    assert len(maps) == 3
    assert all(fmap.ndim == 3 and np.isfinite(fmap).all() for fmap in maps.values())
    activity = np.abs(list(maps.values())[-1]).mean(axis=(1, 2))
    assert (np.diff(activity) <= 1e-6).all()
    assert not any(module._forward_hooks for module in detector.model.modules())
