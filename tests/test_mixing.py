import numpy as np
import pytest
import torch

from artifact_utils.losses import UNKNOWN
from artifact_utils.mixing import mix, smooth


@pytest.fixture
def batch():
    """Clean, an artifact in the upper left quarter, and one of which nobody knows where it is."""
    images = torch.stack([torch.full((3, 16, 16), float(i)) for i in range(3)])
    masks = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    masks[1, :, :8, :8] = 1
    masks[2] = UNKNOWN
    return images, torch.tensor([0, 1, 1]), masks


class InTurn:
    """A generator that pairs each picture with the next and gives the shares and places it is told."""

    def __init__(self, share, place=(0, 0)):
        self.share, self.place = share, np.array(place)

    def beta(self, a, b):
        return self.share

    def permutation(self, n):
        return np.roll(np.arange(n), -1)

    def integers(self, high, size):
        assert (self.place < high).all()
        return self.place


def test_mixup_blends_pictures_labels_and_masks_alike(batch):
    images, targets, masks = mix(*batch, InTurn(0.75), mixup=0.4, cutmix=0.0)
    assert images[:, 0, 0, 0].tolist() == pytest.approx([0.25, 1.25, 1.5])
    assert targets.tolist() == pytest.approx([0.25, 1.0, 0.75])
    assert masks[0, 0, 0, 0] == 0.25 and masks[0, 0, 15, 15] == 0
    assert (masks[1:] == UNKNOWN).all()


def test_cutmix_labels_what_is_still_to_be_seen(batch):
    images, targets, masks = mix(*batch, InTurn(0.75, (0, 4)), mixup=0.0, cutmix=1.0)  # 8 x 8, half on the artifact
    assert images[0, 0, 0, 4:12].unique().tolist() == [1] and images[0, 0, 8:].unique().tolist() == [0]
    assert targets[0] == 0.5  # half of the artifact came along
    assert masks[0].sum() == 32 and masks[0, 0, :8, 4:8].all()
    assert targets[1] == 1.0 and targets[2] == pytest.approx(0.75)  # by area, where nobody knows
    assert (masks[1:] == UNKNOWN).all()


def test_a_rectangle_of_backdrop_brings_no_artifact_along(batch):
    _, targets, masks = mix(*batch, InTurn(0.75, (8, 8)), mixup=0.0, cutmix=1.0)
    assert targets[0] == 0 and not masks[0].any()


def test_without_either_nothing_changes(batch):
    mixed = mix(*batch, np.random.default_rng(0), mixup=0.0, cutmix=0.0)
    assert all(one is other for one, other in zip(batch, mixed, strict=True))


def test_smoothing():
    assert smooth(torch.tensor([0.0, 0.5, 1.0]), 0.1).tolist() == pytest.approx([0.05, 0.5, 0.95])
