import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from artifact_utils.models import (
    BACKBONES,
    ArtifactClassifier,
    CheckpointError,
    ModelInfo,
    WeightsError,
    build_model,
    fuse_batch_norm,
    load_checkpoint,
    save_checkpoint,
)


@pytest.mark.parametrize("arch", BACKBONES)
def test_every_backbone_gives_one_logit_a_picture(arch):
    model = build_model(arch, weights="none", image_size=64).eval()
    with torch.inference_mode():
        assert model(torch.randn(2, 3, 64, 64)).shape == (2,)


@pytest.mark.parametrize("arch", BACKBONES)
def test_running_a_backbone_part_by_part_gives_what_it_gives_in_one(arch):
    model = build_model(arch, weights="none", image_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        maps, features = BACKBONES[arch].run(model.backbone, images)
        if arch == "efficientnet_lite0":  # its package flattens on its way to the classifier that was taken off
            expected = model.backbone._avg_pooling(model.backbone.extract_features(images)).flatten(1)
        else:
            expected = model.backbone(images).flatten(1)
    torch.testing.assert_close(features, expected)
    assert tuple(fmap.shape[1] for fmap in maps) == BACKBONES[arch].n_channels
    assert maps[0].shape[2:] == (4, 4)  # one cell for 16 x 16 pixels


@pytest.mark.parametrize("arch", BACKBONES)
def test_a_locator_says_where_and_the_logit_listens(arch):
    model = build_model(arch, weights="none", image_size=64, locates=True).eval()
    with torch.inference_mode():
        logits, places = model.locate(torch.randn(2, 3, 64, 64))
        assert logits.shape == (2,)
        assert places.shape == (2, 4, 4)
        before = model(torch.zeros(1, 3, 64, 64))
        model.locator.layers[-1].bias += 5
        assert model(torch.zeros(1, 3, 64, 64)) > before + 2


def test_without_a_head_the_map_alone_answers_and_what_lies_behind_it_is_not_trained():
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True, pooled=False).eval()
    images = torch.randn(2, 3, 64, 64)
    logits, places = model.locate(images)
    assert torch.equal(logits, model.locator.judge(places))
    model.freeze(0.0)
    model(images).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    assert not model.backbone._conv_head.weight.requires_grad
    with pytest.raises(ValueError, match="needs the head"):
        build_model("efficientnet_lite0", weights="none", image_size=64, pooled=False)


def test_the_final_vgg_head():
    layers = [type(layer).__name__ for layer in ArtifactClassifier("vgg19", 64).head]
    block = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert layers == [*block, *block, "Linear"]
    widths = [layer.out_features for layer in ArtifactClassifier("vgg19", 64).head if hasattr(layer, "out_features")]
    assert widths == [1024, 512, 1]


@pytest.mark.parametrize("arch", ["vgg19", "efficientnet_lite0", "resnet18", "vit_b_16"])
def test_freezing(arch):
    model = build_model(arch, weights="none", image_size=64)
    learning = []
    for frozen in (1.0, 0.75, 0.25, 0.0):
        model.freeze(frozen)
        assert all(p.requires_grad for p in model.head.parameters())
        learning.append(sum(p.requires_grad for p in model.backbone.parameters()))
    assert learning == sorted(set(learning))
    assert learning[0] == 0
    assert learning[-1] == len(list(model.backbone.parameters()))


def test_a_frozen_backbone_keeps_its_batch_statistics():
    model = build_model("efficientnet_lite0", weights="none", image_size=64)
    model.freeze(1.0)
    model.train()
    before = {name: buffer.clone() for name, buffer in model.backbone.named_buffers()}
    model(torch.randn(4, 3, 64, 64))
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.backbone.named_buffers())


def test_fused_batch_norms_give_the_same_answers():
    model = build_model("efficientnet_lite0", image_size=64).eval()
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        expected = model(images)
    fuse_batch_norm(model)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    with torch.inference_mode():
        torch.testing.assert_close(model(images), expected, atol=1e-4, rtol=1e-4)


def test_packaged_imagenet_weights_are_the_same_every_time_unlike_a_random_start():
    def stem(weights):
        model = build_model("efficientnet_lite0", weights=weights, image_size=64)
        return model.state_dict()["backbone._conv_stem.weight"]

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
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(WeightsError, match=r"no ImageNet weights for vgg19: the download failed \(no route to host\)"):
        build_model("vgg19")


def test_torchvision_weights_are_taken_from_torch_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = build_model("mobilenet_v2", weights="none").backbone.state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({**source, "classifier.1.weight": torch.zeros(1)}, folder / "mobilenet_v2-b0353104.pth")
    loaded = build_model("mobilenet_v2").backbone.state_dict()
    assert all(torch.equal(loaded[name], source[name]) for name in source)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "resnet9000"}, "unknown architecture 'resnet9000': choose one of vgg19"),
        ({"arch": "resnet18", "weights": "mine"}, "unknown weights 'mine'"),
        ({"arch": "resnet18", "image_size": 8}, "image size 8 is out of range"),
        ({"arch": "vit_b_16", "weights": "none", "image_size": 100}, "multiple of 16, not 100"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_model(**arguments)


@pytest.fixture
def checkpoint(tmp_path):
    model = build_model("efficientnet_lite0", weights="none", image_size=64)
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, model, ModelInfo("efficientnet_lite0", 64, 0.4, metrics={"validation": {"macro_f1": 0.9}}))
    return path, model.eval()


def test_a_checkpoint_comes_back_as_it_was(checkpoint):
    path, model = checkpoint
    loaded, info = load_checkpoint(path)
    assert info == ModelInfo("efficientnet_lite0", 64, 0.4, metrics={"validation": {"macro_f1": 0.9}})
    assert not loaded.training
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(images), model(images))


def test_a_checkpoint_with_a_locator_comes_back_with_it(tmp_path):
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True).eval()
    save_checkpoint(tmp_path / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.4, locates=True))
    loaded, info = load_checkpoint(tmp_path / "best.safetensors")
    images = torch.randn(2, 3, 64, 64)
    assert info.locates
    assert all(torch.equal(*pair) for pair in zip(loaded.locate(images), model.locate(images), strict=True))


@pytest.mark.parametrize("arch", ["efficientnet_lite0", "resnet18"])
def test_a_checkpoint_in_16_bits_is_half_as_large_and_answers_alike(arch, tmp_path):
    torch.manual_seed(0)
    model = build_model(arch, weights="none", image_size=64).eval()
    images = torch.randn(4, 3, 64, 64)
    paths = [tmp_path / "full.safetensors", tmp_path / "half.safetensors"]
    for path, half in zip(paths, (False, True), strict=True):
        save_checkpoint(path, model, ModelInfo(arch, 64, 0.4), half=half)
    full_size, half_size = (path.stat().st_size for path in paths)
    assert half_size < 0.55 * full_size
    loaded, info = load_checkpoint(paths[1])
    assert info == ModelInfo(arch, 64, 0.4)
    assert {p.dtype for p in [*loaded.parameters(), *loaded.buffers()]} == {torch.float32, torch.int64}
    torch.testing.assert_close(loaded(images), model(images), atol=2e-3, rtol=2e-2)


def test_what_16_bits_cannot_hold_keeps_32(checkpoint):
    path, model = checkpoint
    with torch.no_grad():
        model.head[1].weight[0, 0] = 1e6
        model.backbone._bn0.running_var.fill_(1e9)
        model.backbone._bn0.running_mean.fill_(1e-9)
    save_checkpoint(path, model, ModelInfo("efficientnet_lite0", 64, 0.4), half=True)
    stored, loaded = load_file(path), load_checkpoint(path)[0]
    kept = ("head.1.weight", "backbone._bn0.running_var", "backbone._bn0.running_mean")
    assert all(torch.equal(stored[name], model.state_dict()[name]) for name in kept)
    assert all(torch.equal(loaded.state_dict()[name], model.state_dict()[name]) for name in kept)
    assert stored["backbone._conv_stem.weight"].dtype == torch.float16


def test_a_checkpoint_from_before_there_were_temperatures_loads(checkpoint):
    path, _ = checkpoint
    fields = asdict(ModelInfo("efficientnet_lite0", 64, 0.4))
    del fields["temperature"]
    save_file(load_file(path), path, metadata={"artifact_utils": json.dumps(fields)})
    assert load_checkpoint(path)[1].temperature == 1.0


def rewrite(path, state=None, header=None):
    fields = asdict(ModelInfo("efficientnet_lite0", 64, 0.4))
    save_file(state or load_file(path), path, metadata={"artifact_utils": json.dumps(fields | (header or {}))})


@pytest.mark.parametrize(
    "header",
    [
        {"arch": "os.system"},
        {"image_size": 10**9},
        {"threshold": float("nan")},
        {"temperature": 0.0},
        {"temperature": "warm"},
        {"surprise": 1},
        {"locates": 2},
        {"class_names": [1]},
    ],
)
def test_a_hostile_header_is_refused(checkpoint, header):
    path, _ = checkpoint
    rewrite(path, header=header)
    with pytest.raises(CheckpointError, match="was not written by this project, or its header is damaged"):
        load_checkpoint(path)


def test_weights_that_are_not_finite_or_not_whole_are_refused(checkpoint):
    path, _ = checkpoint
    state = load_file(path)
    rewrite(path, state | {"head.1.bias": torch.tensor([float("nan")])})
    with pytest.raises(CheckpointError, match="not finite"):
        load_checkpoint(path)
    rewrite(path, {name: tensor for name, tensor in state.items() if name != "head.1.bias"})
    with pytest.raises(CheckpointError, match="does not hold a whole efficientnet_lite0"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"pickle?", b"\xff" * 64])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "best.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(path)


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="name a run folder"):
        load_checkpoint(tmp_path / "best.safetensors")
