import pytest
import torch
from torchvision import models

from artifact_utils.models import build_model
from artifact_utils.weights import WeightsError


def test_packaged_imagenet_weights_are_the_same_every_time_unlike_a_random_start():
    def stem(weights):
        model = build_model("efficientnet_lite0", weights=weights, image_size=64)
        return model.state_dict()["backbone.network.conv_stem.weight"]

    assert torch.equal(stem("imagenet"), stem("imagenet"))
    assert not torch.equal(stem("none"), stem("none"))


def test_weights_that_cannot_be_had_are_an_error_with_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd.pth is damaged or none; .*TORCH_HOME.*--weights none"):
        build_model("resnet18")


def test_a_failed_download_is_the_same_error(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(
        WeightsError, match=r"no ImageNet weights for vgg19: the download failed \(.*no route to host\)"
    ):
        build_model("vgg19")


def test_torchvision_weights_are_taken_from_torch_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = models.mobilenet_v2(weights=None).state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(source, folder / "mobilenet_v2-b0353104.pth")
    loaded = build_model("mobilenet_v2").backbone.network.state_dict()
    assert torch.equal(loaded["conv_stem.weight"], source["features.0.0.weight"])
    assert torch.equal(loaded["blocks.6.0.bn3.running_var"], source["features.17.conv.3.running_var"])
