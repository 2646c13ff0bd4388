from dataclasses import replace

import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from artifact_utils.batch_augmentation import augment_batch, encode_change
from artifact_utils.loaders import build_loaders
from artifact_utils.losses import UNKNOWN
from artifact_utils.transforms import RECIPES, Augmentation, draw_change, to_square

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
def test_loaders_leave_the_same_draws_to_the_batch(dataset_folder, workers):
    options = {"image_size": 64, "batch_size": 8, "augment": "light", "synthetic_fraction": 0.7, "seed": 3}
    finished = build_loaders(dataset_folder, **options)
    drawn = build_loaders(dataset_folder, **options, augment_in_batches=True, workers=workers)
    for batch, other in zip(finished.train, drawn.train, strict=True):
        assert batch.change.numel() == 0 and len(other.change) == 8
        images, masks = augment_batch(other.image, other.mask, other.change)
        assert torch.equal(batch.target, other.target)
        assert (batch.image.float() - images.float()).abs().mean() < 1
        assert (batch.mask != masks).float().mean() < 0.01
    assert next(iter(drawn.validation)).change.numel() == 0
