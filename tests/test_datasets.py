import shutil
from collections import Counter

import numpy as np
import pytest
import torch

from artifact_utils.datasets import (
    ArtifactDataset,
    DataError,
    Draw,
    EpochSampler,
    Portrait,
    build_loaders,
    decode_stream,
    list_portraits,
    split_by_group,
)
from artifact_utils.images import ImageError
from artifact_utils.losses import UNKNOWN
from artifact_utils.synthesis import FACE_COLUMNS
from artifact_utils.transforms import build_transforms

HALF = (0.5, 0.5, 0.5)
LOADER = {"image_size": 32, "mean": HALF, "std": HALF, "batch_size": 8}


@pytest.fixture
def own_copy(dataset_folder, tmp_path):
    return shutil.copytree(dataset_folder, tmp_path / "dataset")


def test_the_label_comes_from_the_folder_name_not_its_place_in_the_alphabet(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    assert {portrait.path.parent.name: portrait.label for portrait in portraits} == {"no_artifacts": 0, "artifacts": 1}
    assert Counter(portrait.label for portrait in portraits) == {0: 30, 1: 10}
    assert {portrait.group for portrait in portraits} == {"P000", "P001", "P002", "P003", "P004"}


@pytest.mark.parametrize("seed", range(5))
def test_no_person_is_on_both_sides_of_the_split(dataset_folder, seed):
    portraits = list_portraits(dataset_folder, "train")
    training, validation = split_by_group(portraits, seed=seed)
    assert not {p.group for p in training} & {p.group for p in validation}
    assert {p.label for p in training} == {p.label for p in validation} == {0, 1}
    assert Counter(training) + Counter(validation) == Counter(portraits)
    assert split_by_group(portraits, seed=seed) == (training, validation)


def test_without_groups_near_duplicates_stay_together(own_copy):
    (own_copy / "manifest.csv").unlink()
    for class_name in ("artifacts", "no_artifacts"):
        folder = own_copy / "train" / class_name
        for file in list(folder.iterdir()):
            shutil.copy(file, folder / f"copy_{file.name}")
    training, validation = split_by_group(list_portraits(own_copy, "train"))
    names = [{p.path.name.removeprefix("copy_") for p in side} for side in (training, validation)]
    assert not names[0] & names[1]


def test_too_few_people_to_split():
    portraits = [Portrait(f"{i}.png", i % 2, "P001") for i in range(10)]
    with pytest.raises(DataError, match="fewer than two groups"):
        split_by_group(portraits)


def test_a_missing_folder_and_an_empty_class_are_named(own_copy):
    shutil.rmtree(own_copy / "train" / "artifacts")
    with pytest.raises(DataError, match=r"no folder .*artifacts: make it with python organize_dataset.py"):
        list_portraits(own_copy, "train")
    (own_copy / "train" / "artifacts").mkdir()
    with pytest.raises(DataError, match=r"no pictures in .*artifacts"):
        list_portraits(own_copy, "train")


def test_a_broken_picture_stops_before_training_and_is_named(own_copy):
    victim = own_copy / "train" / "no_artifacts" / "image_00001_0.png"
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(DataError, match=r"1 pictures cannot be read:\n.*image_00001_0.png.*\n.*--skip-broken"):
        build_loaders(own_copy, **LOADER)
    loaders = build_loaders(own_copy, **LOADER, skip_broken=True)
    assert len(loaders.train.dataset) + len(loaders.validation.dataset) == 39


def test_a_validation_folder_is_used_as_it_is(own_copy):
    shutil.copytree(own_copy / "test", own_copy / "val")
    loaders = build_loaders(own_copy, **LOADER)
    assert len(loaders.train.dataset) == 40
    assert len(loaders.validation.dataset) == 12


def test_batches(dataset_folder):
    loaders = build_loaders(dataset_folder, **LOADER)
    images, targets, masks = next(iter(loaders.train))
    assert images.shape == (8, 3, 32, 32)
    assert masks.shape == (8, 1, 32, 32)
    assert images.dtype == torch.float32
    assert set(targets.tolist()) <= {0, 1}
    assert len(loaders.test.dataset) == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_a_function_of_the_seed_whatever_the_workers(dataset_folder, workers):
    reference = build_loaders(dataset_folder, **LOADER, seed=3)
    other = build_loaders(dataset_folder, **LOADER, seed=3, workers=workers)
    for batch, other_batch in zip(reference.train, other.train, strict=True):
        assert all(torch.equal(*tensors) for tensors in zip(batch, other_batch, strict=True))


def test_oversampling_balances_the_classes_and_repeats_nothing_needlessly():
    targets = np.array([0] * 90 + [1] * 10)
    draws = list(EpochSampler(targets, artifact_fraction=0.5))
    counts = Counter(draw.index for draw in draws)
    assert sum(targets[draw.index] for draw in draws) == 50
    assert {counts[i] for i in range(90, 100)} == {5}
    assert max(counts[i] for i in range(90)) == 1
    assert len({draw.seed for draw in draws}) == 100


def test_artifacts_made_on_the_spot_replace_repeated_ones_and_sit_on_clean_pictures():
    targets = np.array([0] * 90 + [1] * 10)
    draws = list(EpochSampler(targets, artifact_fraction=0.5, synthetic_fraction=0.6))
    made = [draw for draw in draws if draw.inject]
    assert len(draws) == 100
    assert len(made) == 30
    assert all(targets[draw.index] == 0 for draw in made)
    assert sum(targets[draw.index] for draw in draws) == 20


def test_a_made_artifact_is_labelled_one_reproducible_and_not_in_the_cache(dataset_folder):
    dataset = ArtifactDataset(list_portraits(dataset_folder, "train"), 32, build_transforms(HALF, HALF))
    before = dataset.pixels.clone()
    clean, target, mask = dataset[Draw(0, 5)]
    made, made_target, made_mask = dataset[Draw(0, 5, inject=True)]
    assert (target, made_target) == (0, 1)
    assert not torch.equal(clean, made)
    assert not mask.any()
    assert torch.equal((clean != made).any(dim=0), made_mask[0].bool() & (clean != made).any(dim=0))
    assert torch.equal(made, dataset[Draw(0, 5, inject=True)][0])
    assert torch.equal(dataset.pixels, before)


def test_a_mask_is_moved_with_its_picture(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    transform = build_transforms(HALF, HALF, augment="heavy")
    moved, still = (ArtifactDataset(portraits, 64, t)[Draw(0, 5, inject=True)] for t in (transform, lambda *x: x))
    assert moved.mask.unique().tolist() == [0, 1]
    assert not torch.equal(moved.mask, still.mask)
    assert 0.3 < moved.mask.sum() / still.mask.sum() < 2


def test_where_an_artifact_is_that_somebody_labelled_nobody_knows(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    dataset = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF))
    assert all((dataset[i].mask == (UNKNOWN if dataset[i].target else 0)).all() for i in (0, len(dataset) - 1))


def test_made_artifacts_know_where_the_face_is_if_somebody_says(own_copy):
    portraits = list_portraits(own_copy, "train")
    name = portraits[0].path.relative_to(own_copy).as_posix()
    points = "0.1,0.1,0.3,0.1,0.2,0.2,0.2,0.3,0.2,0.4"
    (own_copy / "faces.csv").write_text(f"path,{','.join(FACE_COLUMNS)}\n{name},{points}\n")
    known = list_portraits(own_copy, "train")
    assert known[0].face[:2] == (0.1, 0.1)
    assert known[1].face == ()
    transform = build_transforms(HALF, HALF)
    draws = [Draw(0, seed, inject=True) for seed in range(8)]
    there, guessed = ([ArtifactDataset(side, 64, transform)[draw][0] for draw in draws] for side in (known, portraits))
    assert not all(torch.equal(a, b) for a, b in zip(there, guessed, strict=True))
    (own_copy / "faces.csv").write_text(f"path,{','.join(FACE_COLUMNS)}\n{name},{points.replace('0.4', 'x')}\n")
    with pytest.raises(DataError, match=r"faces.csv cannot be read"):
        list_portraits(own_copy, "train")


def test_without_oversampling_every_picture_comes_once():
    draws = list(EpochSampler(np.array([0, 0, 0, 1]), artifact_fraction=None))
    assert sorted(draw.index for draw in draws) == [0, 1, 2, 3]


def test_epochs_differ_and_an_interrupted_one_goes_on_where_it_was():
    sampler = EpochSampler(np.array([0] * 20 + [1] * 4), seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    sampler.set_epoch(1, start=10)
    assert list(sampler) == second[10:]


def test_the_augmentation_belongs_to_the_draw_and_leaves_the_global_generator_alone(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    dataset = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF, augment="heavy"))
    before = torch.get_rng_state()
    first, again, other = dataset[Draw(3, 7)][0], dataset[Draw(3, 7)][0], dataset[Draw(3, 8)][0]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_set_larger_than_the_cache_gives_the_same_pixels(dataset_folder, monkeypatch):
    portraits = list_portraits(dataset_folder, "train")
    cached = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF))
    monkeypatch.setattr("artifact_utils.datasets.CACHE_BYTES", 0)
    uncached = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF))
    assert uncached.pixels is None
    assert all(torch.equal(cached[i][0], uncached[i][0]) for i in range(len(cached)))


def test_the_stream_keeps_the_order_and_hands_on_errors(dataset_folder, tmp_path):
    paths = [portrait.path for portrait in list_portraits(dataset_folder, "train")] * 4
    paths.insert(70, tmp_path / "missing.png")
    results = list(decode_stream(iter(paths), 16))
    assert [path for path, _ in results] == paths
    assert [i for i, (_, tensor) in enumerate(results) if isinstance(tensor, ImageError)] == [70]
