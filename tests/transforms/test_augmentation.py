import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from artifact_utils.config import resolve
from artifact_utils.loaders import build_loaders
from artifact_utils.losses import UNKNOWN
from artifact_utils.transforms.augmentation import (
    RECIPES,
    Augmentation,
    augment_batch,
    build_augmentation,
    draw_change,
    encode_change,
)
from artifact_utils.transforms.looks import PAD_COLOUR, build_transforms, to_square

HALF = (0.5, 0.5, 0.5)
SIDE, N = 96, 40


def pictures():
    picture = to_square(Image.radial_gradient("L").convert("RGB"), SIDE)
    picture[0] //= 2  # so that there is a hue to turn
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    mask[:, 30:60, 20:50] = 1
    return picture, mask


def draw(recipe, seed):
    torch.manual_seed(seed)
    return draw_change(recipe, SIDE)


@pytest.mark.parametrize("augment", ["light", "heavy"])
def test_a_batch_is_what_the_same_draws_make_of_each_picture(augment):
    recipe = replace(RECIPES[augment], jpeg=None)  # which comes earlier in a batch
    picture, mask = pictures()
    changes = [draw(recipe, seed) for seed in range(N)]
    assert augment == "light" or {change.hue is None for change in changes} == {True, False}
    assert augment == "light" or {change.sigma is None for change in changes} == {True, False}
    images, masks = augment_batch(
        picture.expand(N, -1, -1, -1),
        mask.expand(N, -1, -1, -1),
        torch.stack([encode_change(change, SIDE) for change in changes]),
    )
    one_by_one = Augmentation(recipe)
    differences = []
    for seed in range(N):
        torch.manual_seed(seed)
        expected, expected_mask = one_by_one(tv_tensors.Image(picture), tv_tensors.Mask(mask))
        differences.append((images[seed].float() - expected.float()).abs().mean())  # in grey levels
        assert (masks[seed] != expected_mask).float().mean() < 0.005
    assert sum(differences) / N < 0.5 and max(differences) < 2  # the edge of the fill, and the rounding


def test_a_picture_comes_out_the_same_whatever_it_shares_a_batch_with():
    picture, mask = pictures()
    masks = torch.stack([mask, torch.full_like(mask, UNKNOWN), torch.zeros_like(mask)])
    changes = torch.stack([encode_change(draw(RECIPES["heavy"], seed), SIDE) for seed in range(3)])
    images = torch.stack([picture, picture.flip(1), picture.flip(2)])
    before = images.clone()
    together = augment_batch(images, masks, changes)
    for i in range(3):
        alone = augment_batch(images[i : i + 1], masks[i : i + 1], changes[i : i + 1])
        assert torch.equal(alone[0][0], together[0][i])
        assert torch.equal(alone[1][0], together[1][i])
    assert torch.equal(images, before)
    assert [part.unique().tolist() for part in together[1]] == [[0, 1], [UNKNOWN], [0]]


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_leave_the_same_draws_to_the_batch(config, workers):
    config = resolve(replace(config, image_size=64, synthetic_fraction=0.7, seed=3, workers=workers))
    finished, drawn = build_loaders(config), build_loaders(replace(config, device="cuda"))
    for batch, other in zip(finished.train, drawn.train, strict=True):
        assert batch.change.numel() == 0 and len(other.change) == 8
        images, masks = augment_batch(other.image, other.mask, other.change)
        assert torch.equal(batch.target, other.target)
        assert (batch.image.float() - images.float()).abs().mean() < 1
        assert (batch.mask != masks).float().mean() < 0.01
    assert next(iter(drawn.validation)).change.numel() == 0


@pytest.mark.parametrize("augment", ["light", "heavy"])
def test_augmentation_changes_the_picture_and_keeps_shape_and_range(augment):
    square = to_square(Image.radial_gradient("L").convert("RGB"), 64)
    transform = v2.Compose([build_augmentation(augment), build_transforms(HALF, HALF)])
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
    build_augmentation("heavy")(square)
    assert torch.equal(square, before)


def test_unknown_augmentation():
    with pytest.raises(ValueError, match="unknown augmentation 'extreme'"):
        build_augmentation("extreme")


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
