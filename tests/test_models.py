import pytest
import torch

from artifact_utils.backbones import NETWORKS, ArchError, load_imagenet
from artifact_utils.models import ArtifactClassifier, build_model, fuse_batch_norm, smooth_maximum


@pytest.mark.parametrize("arch", NETWORKS)
def test_every_backbone_gives_one_logit_a_picture(arch):
    model = build_model(arch, weights="none", image_size=64).eval()
    with torch.inference_mode():
        assert model(torch.randn(2, 3, 64, 64)).shape == (2,)


@pytest.mark.parametrize("arch", NETWORKS)
def test_a_locator_says_where_and_the_logit_listens(arch):
    model = build_model(arch, weights="none", image_size=64, locates=True).eval()
    with torch.inference_mode():
        answer = model.locate(torch.randn(2, 3, 64, 64))
        assert answer.logits.shape == (2,)
        assert answer.families.shape == (2, 1)
        assert answer.places.shape == (2, 1, 4, 4)
        before = model(torch.zeros(1, 3, 64, 64))
        model.locator.layers[-1].bias += 5
        assert model(torch.zeros(1, 3, 64, 64)) > before + 2


def test_without_a_head_the_map_alone_answers_and_what_lies_behind_it_is_not_trained():
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True, pooled=False).eval()
    images = torch.randn(2, 3, 64, 64)
    answer = model.locate(images)
    assert torch.equal(answer.logits, model.locator.judge(answer.places).squeeze(1))
    model.freeze(0.0)
    model(images).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    assert not model.backbone.network.conv_head.weight.requires_grad
    with pytest.raises(ValueError, match="needs the head"):
        build_model("efficientnet_lite0", weights="none", image_size=64, pooled=False)


def test_a_map_a_family_and_the_picture_is_their_smooth_maximum():
    families = ("hands", "text", "glitch")
    for pooled in (False, True):
        model = build_model(
            "efficientnet_lite0", weights="none", image_size=64, locates=True, families=families, pooled=pooled
        ).eval()
        with torch.inference_mode():
            answer = model.locate(torch.randn(2, 3, 64, 64))
            assert answer.places.shape == (2, 3, 4, 4)
            assert torch.equal(answer.logits, smooth_maximum(answer.families, dim=1))
            model.locator.layers[-1].bias[1] += 9  # text, everywhere
            changed = model.locate(torch.zeros(2, 3, 64, 64))
            assert (changed.families.argmax(dim=1) == 1).all()
            torch.testing.assert_close(changed.logits, changed.families[:, 1], atol=0.1, rtol=0)


@pytest.mark.parametrize(("locates", "pooled"), [(True, False), (False, True), (True, True)])
def test_what_was_seen_can_take_the_place_of_the_pictures(locates, pooled):
    torch.manual_seed(0)
    model = build_model("efficientnet_lite0", image_size=64, locates=locates, pooled=pooled).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        seen = model.see(images)
        assert seen.shape[2:] == ((4, 4) if locates else (1, 1))
        for found, expected in zip(model.locate(seen), model.locate(images), strict=True):
            assert found is expected is None or torch.equal(found, expected)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "resnet9000"}, "unknown architecture 'resnet9000': did you mean .*resnet"),
        ({"arch": "resnet18", "weights": "none", "image_size": 8}, "image size 8 is out of range"),
        ({"arch": "resnet18", "weights": "none", "also_at": (2000,)}, "image size 2000 is out of range"),
        ({"arch": "mixer_s32_224", "weights": "none", "also_at": (192,)}, "does not take 192 px"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ArchError, match=message):
        build_model(**arguments)


def test_a_picture_looked_at_in_two_sizes_has_the_mean_answer():
    torch.manual_seed(0)
    model = build_model("efficientnet_lite0", weights="none", image_size=96, also_at=(64,), locates=True, pooled=False)
    images = torch.rand(2, 3, 96, 96)
    smaller = torch.nn.functional.interpolate(images, size=(64, 64), mode="bilinear", antialias=True)
    with torch.inference_mode():
        both = model.eval().locate(images)
        model.also_at = ()
        alone, small = model.locate(images), model.locate(smaller)
    torch.testing.assert_close(both.logits, (alone.logits + small.logits) / 2)
    assert both.places.shape == alone.places.shape
    assert not torch.equal(both.places, alone.places)


@pytest.mark.parametrize(("arch", "side"), [("efficientnet_lite0", 64), ("clip_vit_b16", 64), ("test_vit", 96)])
def test_a_model_starts_from_another_in_all_that_both_have(arch, side):
    def build(families, image_size=64, start=None):
        model = build_model(
            arch, weights="none", image_size=image_size, locates=True, families=families, pooled=False, start=start
        )
        if arch == "clip_vit_b16":
            load_imagenet(model.backbone)
            model.freeze(1.0)
        return model.eval()

    other, images = build(("hands", "text")), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = other.locate(images)
        torch.testing.assert_close(build(("hands", "text"), start=other).locate(images), expected)
        fewer = build(("text", "gaze"), side, start=other)
        found = fewer.locate(images).families
    assert not torch.allclose(found[:, 1], expected.families[:, 0])  # gaze is as it was
    if side == 64:
        torch.testing.assert_close(found[:, 0], expected.families[:, 1])


def test_a_frozen_packaged_backbone_can_be_exported():
    model = build_model("clip_vit_b16", image_size=64, locates=True, pooled=False).eval()
    model.freeze(1.0)
    images = torch.randn(2, 3, 64, 64)
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images), model(images))


def test_training_looks_once():
    model = build_model("efficientnet_lite0", weights="none", image_size=96, also_at=(64,), locates=True).train()
    sides = []
    stem = model.backbone.get_submodule("network.conv_stem")
    stem.register_forward_hook(lambda _, inputs, __: sides.append(inputs[0].shape[-1]))
    model(torch.rand(2, 3, 96, 96))
    model.eval()(torch.rand(2, 3, 96, 96))
    assert sides == [96, 96, 64]


def test_gaze_is_told_and_does_not_count_unless_it_is_asked_for():
    families = ("hands", "gaze")
    model = build_model(
        "efficientnet_lite0", weights="none", image_size=64, locates=True, families=families, pooled=False
    )
    with torch.inference_mode():
        answer = model.eval().locate(torch.randn(2, 3, 64, 64))
    assert torch.equal(answer.logits, answer.families[:, 0])
