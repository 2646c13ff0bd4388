import socket
from io import BytesIO

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models

from artifact_utils.backbones import weights
from artifact_utils.backbones.weights import WeightsError, missing_weights
from artifact_utils.models import build_model


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


def test_timms_weights_are_taken_from_the_hubs_cache(monkeypatch, tmp_path):
    torch.manual_seed(0)
    source = timm.create_model("test_vit").state_dict()
    save_file(source, tmp_path / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    assert missing_weights("test_vit") is None
    loaded = build_model("test_vit", image_size=160).backbone.network.state_dict()
    assert all(torch.equal(loaded[name], source[name]) for name in loaded)
    smaller = build_model("test_vit", image_size=64).backbone.network  # position embeddings are resampled
    assert smaller.pos_embed.shape[1] - source["pos_embed"].shape[1] == 4 * 4 - 10 * 10
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"model.safetensors is damaged or none; bring the folder .*--weights none"):
        build_model("test_vit")


def test_packaged_weights_that_are_damaged_or_missing_are_an_error_with_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "PRETRAINED", tmp_path)
    assert "is missing: install this package anew" in str(missing_weights("clip_vit_b16"))
    (tmp_path / "clip_vit_b16.safetensors").write_bytes(b"not weights")
    assert missing_weights("clip_vit_b16") is None
    with pytest.raises(WeightsError, match=r"no weights for clip_vit_b16: .*is damaged or of another version: install"):
        build_model("clip_vit_b16")


def test_a_server_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(weights, "SECONDS_TO_ANSWER", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/model.safetensors"
        monkeypatch.setattr("huggingface_hub.hf_hub_url", lambda *_: url)
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
        with pytest.raises(WeightsError, match=r"no weights for test_vit: the download of model.safetensors .*failed"):
            build_model("test_vit")


@pytest.mark.parametrize("arch", ["resnet18", "test_vit"])
def test_asking_whether_there_are_weights_loads_none(arch, monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("urllib.request.urlopen", offline)
    assert "no route to host" in str(missing_weights(arch))
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: BytesIO())
    assert missing_weights(arch) is None
    assert missing_weights("efficientnet_lite0") is None


def test_a_network_without_pretrained_weights_says_so():
    with pytest.raises(WeightsError, match="timm has no pretrained weights for coatnet_0_224: train from scratch"):
        build_model("coatnet_0_224")
