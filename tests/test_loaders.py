import shutil
from dataclasses import replace

import pytest
import torch

from artifact_utils import distributed
from artifact_utils.config import resolve
from artifact_utils.loaders import build_loaders
from artifact_utils.portraits import DataError
from artifact_utils.synthesis import FAMILIES, FAMILY_OF


@pytest.fixture
def load(config):
    """Loaders of 32 px in batches of 8, without made artifacts unless told otherwise."""

    def build(folder=config.data, **options):
        plain = {"data": folder, "synthetic_fraction": 0.0, "paired": False}
        return build_loaders(resolve(replace(config, **(plain | options))))

    return build


def test_a_broken_picture_stops_before_training_and_is_named(own_copy, load):
    victim = own_copy / "train" / "no_artifacts" / "image_00001_0.png"
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(DataError, match=r"1 pictures cannot be read:\n.*image_00001_0.png.*\n.*--skip-broken"):
        load(own_copy)
    loaders = load(own_copy, skip_broken=True)
    assert len(loaders.train.dataset) + len(loaders.validation.dataset) == 39


def test_a_validation_folder_is_used_as_it_is(own_copy, load):
    shutil.copytree(own_copy / "test", own_copy / "val")
    loaders = load(own_copy)
    assert len(loaders.train.dataset) == 40
    assert len(loaders.validation.dataset) == 12


def test_batches(load):
    loaders = load()
    images, targets, masks, *_ = next(iter(loaders.train))
    assert images.shape == (8, 3, 32, 32)
    assert masks.shape == (8, 1, 32, 32)
    assert images.dtype == torch.uint8
    assert set(targets.tolist()) <= {0, 1}
    assert len(loaders.test.dataset) == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_a_function_of_the_seed_whatever_the_workers(load, workers):
    reference = load(seed=3)
    other = load(seed=3, workers=workers)
    for batch, other_batch in zip(reference.train, other.train, strict=True):
        assert all(torch.equal(*tensors) for tensors in zip(batch, other_batch, strict=True))


def test_without_labelled_artifacts_all_are_made(own_copy, load):
    for split in ("train", "test"):
        shutil.rmtree(own_copy / split / "artifacts")
    with pytest.raises(DataError, match=r"no folder .*artifacts"):
        load(own_copy, synthetic_fraction=0.9)
    loaders = load(own_copy, synthetic_fraction=1.0)
    for batch in loaders.train:
        assert set(batch.target.tolist()) == {0, 1}
        assert (batch.mask.flatten(1).any(dim=1) == batch.target).float().mean() > 0.8  # augmentation may move one out
    for side in (loaders.validation, loaders.test):
        assert side.dataset.targets.float().mean() == 0.5
        assert not {p.group for p in side.dataset.portraits} & {p.group for p in loaders.train.dataset.portraits}


def test_processes_evaluate_the_batches_of_one_in_turn(load, monkeypatch):
    alone = load(batch_size=2)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    batches = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        batches.append(list(load(batch_size=2).test.batch_sampler))
    assert list(alone.test.batch_sampler) == [batches[i % 2][i // 2] for i in range(3)]


def test_a_share_of_the_labels_has_both_classes_and_leaves_validation_alone(load):
    whole, part, other = (
        load(label_fraction=share, seed=seed, test=False) for share, seed in ((1.0, 0), (0.25, 0), (0.25, 1))
    )
    assert len(part.train.dataset) == pytest.approx(len(whole.train.dataset) / 4, abs=1)
    assert set(part.train.dataset.targets.tolist()) == {0, 1}
    assert part.validation.dataset.portraits == whole.validation.dataset.portraits
    assert part.train.dataset.portraits != other.train.dataset.portraits
    assert whole.test is None


def test_a_family_that_is_left_out_is_made_in_validation_only(own_copy, load):
    for side in ("train", "test"):
        shutil.rmtree(own_copy / side / "artifacts")
    loaders = load(own_copy, synthetic_fraction=1.0, leave_out="text")
    assert not loaders.train.dataset.kinds & set(FAMILIES["text"])
    made = {
        FAMILY_OF[p.kind] for p in [*loaders.validation.dataset.portraits, *loaders.test.dataset.portraits] if p.kind
    }
    assert "text" in made
