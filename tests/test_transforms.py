import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from artifact_utils.transforms import PAD_COLOUR, build_augmentation, build_transforms, to_square

HALF = (0.5, 0.5, 0.5)


def test_a_wide_picture_is_padded_not_cut_or_stretched():
    image = Image.new("RGB", (200, 100), "white")
    square = to_square(image, 64)
    assert square.shape == (3, 64, 64)
    assert square.dtype == torch.uint8
    assert (square[:, 20:44] == 255).all()
    assert square[:, 0, 0].tolist() == list(PAD_COLOUR)


def test_evaluation_only_scales():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    square = to_square(image, 64)
    expected = (square.float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(build_transforms(HALF, HALF)(square), expected)


@pytest.mark.parametrize("augment", ["light", "heavy"])
def test_augmentation_changes_the_picture_and_keeps_shape_and_range(augment):
    square = to_square(Image.radial_gradient("L").convert("RGB"), 64)
    transform = build_transforms(HALF, HALF, augment=augment)
    torch.manual_seed(0)
    first, second = transform(square), transform(square)
    assert first.shape == (3, 64, 64)
    assert first.dtype == torch.float32
    assert first.abs().max() <= 1.0
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(transform(square), first)


def test_augmentation_leaves_the_cached_picture_alone():
    square = to_square(Image.radial_gradient("L").convert("RGB"), 64)
    before = square.clone()
    build_transforms(HALF, HALF, augment="heavy")(square)
    assert torch.equal(square, before)


def test_unknown_augmentation():
    with pytest.raises(ValueError, match="unknown augmentation 'extreme'"):
        build_transforms(HALF, HALF, augment="extreme")


def in_torchvision(augment):
    """The same augmentation, written in torchvision's own transforms."""
    fill = {torch.Tensor: list(PAD_COLOUR), tv_tensors.Image: list(PAD_COLOUR), tv_tensors.Mask: 0}
    affine = {"interpolation": v2.InterpolationMode.BILINEAR, "fill": fill}
    if augment == "light":
        return [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(5, translate=(0.04, 0.04), **affine),
            v2.ColorJitter(brightness=0.1, contrast=0.1),
        ]
    return [
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(20, translate=(0.08, 0.08), scale=(0.85, 1.2), shear=8, **affine),
        JpegRoundTrip(),
        v2.ColorJitter(brightness=0.25, contrast=0.25, saturation=0.25),
        v2.RandomApply([v2.ColorJitter(hue=0.03)], p=0.1),
        v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 1.0))], p=0.1),
    ]


class JpegRoundTrip(v2.Transform):
    def make_params(self, flat_inputs):
        return {"quality": None if torch.rand(()) >= 0.5 else int(torch.randint(40, 96, ()))}

    def transform(self, inpt, params):
        if params["quality"] is None or isinstance(inpt, tv_tensors.Mask):
            return inpt
        coded = io.BytesIO()
        Image.fromarray(inpt.permute(1, 2, 0).numpy()).save(coded, "JPEG", quality=params["quality"])
        return tv_tensors.wrap(torch.from_numpy(np.array(Image.open(coded))).permute(2, 0, 1), like=inpt)


@pytest.mark.parametrize("augment", ["light", "heavy"])
def test_augmentation_is_draw_for_draw_that_of_torchvision(augment):
    square = to_square(Image.radial_gradient("L").convert("RGB"), 96)
    mask = torch.zeros(1, 96, 96, dtype=torch.uint8)
    mask[:, 30:60, 20:50] = 1
    ours, theirs = build_augmentation(augment), v2.Compose(in_torchvision(augment))
    differences = []
    for seed in range(40):
        outputs, states = [], []
        for transform in (ours, theirs):
            torch.manual_seed(seed)
            outputs.append(transform(tv_tensors.Image(square), tv_tensors.Mask(mask)))
            states.append(torch.get_rng_state())
        (image, moved), (expected, expected_mask) = outputs
        assert torch.equal(*states)
        differences.append((image.float() - expected.float()).abs().mean())  # in grey levels
        assert (moved != expected_mask).float().mean() < 0.005
    assert np.mean(differences) < 2 and max(differences) < 5  # rounding, and the edge of the fill
