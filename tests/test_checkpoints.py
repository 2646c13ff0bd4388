import json
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision import models as zoo

from artifact_utils.backbones import NETWORKS
from artifact_utils.checkpoints import CheckpointError, ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.models import ArtifactClassifier, build_model


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


@pytest.mark.parametrize("families", [(), ("hands", "text")])
def test_a_checkpoint_with_a_locator_comes_back_with_it(tmp_path, families):
    options = {"locates": True, "families": families}
    model = build_model("efficientnet_lite0", weights="none", image_size=64, **options).eval()
    save_checkpoint(tmp_path / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.4, **options))
    loaded, info = load_checkpoint(tmp_path / "best.safetensors")
    images = torch.randn(2, 3, 64, 64)
    assert info.locates and info.families == families
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


def test_a_checkpoint_of_a_packaged_backbone_that_is_frozen_names_it_and_holds_the_rest(tmp_path):
    torch.manual_seed(0)
    model = build_model("clip_vit_b16", image_size=64, locates=True).eval()
    model.freeze(1.0)
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, model, ModelInfo("clip_vit_b16", 64, 0.4, locates=True))
    assert path.stat().st_size < 4e6
    loaded, info = load_checkpoint(path)
    assert info.backbone == NETWORKS["clip_vit_b16"].sha256
    images = torch.randn(2, 3, 64, 64)
    assert all(torch.equal(*pair) for pair in zip(loaded.locate(images), model.locate(images), strict=True))
    save_checkpoint(tmp_path / "again.safetensors", loaded, info)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    with safe_open(path, framework="pt") as file:
        fields = json.loads(file.metadata()["artifact_utils"]) | {"backbone": "0123456789"}
    save_file(load_file(path), path, metadata={"artifact_utils": json.dumps(fields)})
    with pytest.raises(CheckpointError, match=r"needs another version of this package, whose clip_vit_b16 is 01234567"):
        load_checkpoint(path)


def test_a_packaged_backbone_that_was_trained_is_stored(tmp_path):
    model = build_model("clip_vit_b16", image_size=64, locates=True).eval()
    model.freeze(0.75)
    model.freeze(1.0)
    save_checkpoint(tmp_path / "best.safetensors", model, ModelInfo("clip_vit_b16", 64, 0.4, locates=True), half=True)
    assert (tmp_path / "best.safetensors").stat().st_size > 1e8
    loaded, info = load_checkpoint(tmp_path / "best.safetensors")
    assert info.backbone == ""
    assert loaded.state_dict().keys() == model.state_dict().keys()


def test_what_16_bits_cannot_hold_keeps_32(checkpoint):
    path, model = checkpoint
    with torch.no_grad():
        model.head[1].weight[0, 0] = 1e6
        model.backbone.network.bn1.running_var.fill_(1e9)
        model.backbone.network.bn1.running_mean.fill_(1e-9)
    save_checkpoint(path, model, ModelInfo("efficientnet_lite0", 64, 0.4), half=True)
    stored, loaded = load_file(path), load_checkpoint(path)[0]
    kept = ("head.1.weight", "backbone.network.bn1.running_var", "backbone.network.bn1.running_mean")
    assert all(torch.equal(stored[name], model.state_dict()[name]) for name in kept)
    assert all(torch.equal(loaded.state_dict()[name], model.state_dict()[name]) for name in kept)
    assert stored["backbone.network.conv_stem.weight"].dtype == torch.float16


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
        {"arch": ["resnet18"]},
        {"arch": "resnet81"},
        {"threshold": float("nan")},
        {"threshold": 10**400},
        {"threshold": -0.1},
        {"threshold": 1.5},
        {"threshold": True},
        {"temperature": -1.0},
        {"temperature": 1e300},
        {"calibrated": "yes"},
        {"temperature": 0.0},
        {"temperature": "warm"},
        {"surprise": 1},
        {"locates": 2},
        {"class_names": [1]},
        {"families": ["feet"]},
        {"families": ["text", "text"]},
        {"also_at": [10**9]},
        {"also_at": ["64"]},
        {"also_at": [64] * 100},
        {"also_at": 64},
    ],
)
def test_a_hostile_header_is_refused(checkpoint, header):
    path, _ = checkpoint
    rewrite(path, header=header)
    with pytest.raises(CheckpointError, match="was not written by this project, or its header is damaged"):
        load_checkpoint(path)


def test_a_header_nested_too_deep_is_refused(checkpoint):
    path, _ = checkpoint
    save_file(load_file(path), path, metadata={"artifact_utils": "[" * 200_000})
    with pytest.raises(CheckpointError, match="was not written by this project, or its header is damaged"):
        load_checkpoint(path)


def test_a_header_that_names_a_network_of_gigabytes_takes_none(checkpoint, monkeypatch):
    path, _ = checkpoint
    rewrite(path, header={"arch": "vit_giant_patch14_dinov2", "image_size": 224})
    devices = set()

    def note(self, *arguments, **keywords):
        create(self, *arguments, **keywords)
        devices.update(parameter.device.type for parameter in self.parameters())

    create = ArtifactClassifier.__init__
    monkeypatch.setattr(ArtifactClassifier, "__init__", note)
    with pytest.raises(CheckpointError, match="does not hold a whole vit_giant_patch14_dinov2 at 224 px"):
        load_checkpoint(path)
    assert devices == {"meta"}


def test_tensors_of_another_shape_are_refused(checkpoint):
    path, _ = checkpoint
    rewrite(path, load_file(path) | {"head.1.weight": torch.zeros(1, 7)})
    with pytest.raises(CheckpointError, match=r"head.1.weight and 0 more entries are missing, unknown or of another"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "efficientnet_b0"])
def test_a_checkpoint_from_before_timm_ran_the_backbones_answers_as_it_did(name, tmp_path):
    torch.manual_seed(0)
    old = getattr(zoo, name)(num_classes=1).eval()
    last = "fc" if name == "resnet18" else "classifier.1"
    heads = {f"head.1.{leaf}": old.state_dict()[f"{last}.{leaf}"] for leaf in ("weight", "bias")}
    inside = {f"backbone.{key}": tensor for key, tensor in old.state_dict().items() if not key.startswith(last)}
    header = {key: value for key, value in asdict(ModelInfo(name, 64, 0.4)).items() if key != "calibrated"}
    save_file(inside | heads, tmp_path / "old.safetensors", metadata={"artifact_utils": json.dumps(header)})
    model, info = load_checkpoint(tmp_path / "old.safetensors")
    images = torch.randn(2, 3, 64, 64)
    assert info.calibrated  # earlier versions stored no others
    torch.testing.assert_close(model(images), old(images).squeeze(1), atol=1e-4, rtol=1e-5)


def test_layers_that_share_their_weights_are_stored(tmp_path):
    model = build_model("coat_lite_tiny", weights="none", image_size=64).eval()
    save_checkpoint(tmp_path / "best.safetensors", model, ModelInfo("coat_lite_tiny", 64, 0.4))
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(load_checkpoint(tmp_path / "best.safetensors")[0](images), model(images))


def test_a_vit_that_was_trained_at_one_size_is_used_at_another(tmp_path):
    torch.manual_seed(0)
    model = build_model("test_vit", weights="none", image_size=64).eval()
    save_checkpoint(tmp_path / "best.safetensors", model, ModelInfo("test_vit", 96, 0.4, also_at=(64, 128)))
    loaded, _ = load_checkpoint(tmp_path / "best.safetensors")
    model.also_at = (64, 128)
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(loaded(images), model(images))


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
