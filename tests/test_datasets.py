from dataclasses import replace

import pytest
import torch
from torchvision.transforms import v2

from artifact_utils.datasets import ArtifactDataset, Draw
from artifact_utils.faces import FACE_COLUMNS
from artifact_utils.labels import mask_number
from artifact_utils.losses import ABSENT, PRESENT, UNKNOWN, UNLABELLED
from artifact_utils.portraits import DataError, list_portraits, with_made_artifacts
from artifact_utils.squares import Squares
from artifact_utils.synthesis import inject
from artifact_utils.transforms.augmentation import build_augmentation
from artifact_utils.transforms.looks import build_transforms

HALF = (0.5, 0.5, 0.5)


def test_a_made_artifact_is_labelled_one_reproducible_and_not_in_the_cache(dataset_folder):
    dataset = ArtifactDataset(list_portraits(dataset_folder, "train"), 32, build_transforms(HALF, HALF))
    before = dataset.squares.pixels.clone()
    clean, target, mask, *_ = dataset[Draw(0, 5)]
    made, made_target, made_mask, *_ = dataset[Draw(0, 5, inject=True)]
    assert (target, made_target) == (0, 1)
    assert not torch.equal(clean, made)
    assert not mask.any()
    assert torch.equal((clean != made).any(dim=0), made_mask[0].bool() & (clean != made).any(dim=0))
    assert torch.equal(made, dataset[Draw(0, 5, inject=True)][0])
    assert torch.equal(dataset.squares.pixels, before)


def test_a_mask_is_moved_with_its_picture(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    transform = v2.Compose([build_augmentation("heavy"), build_transforms(HALF, HALF)])
    moved, still = (ArtifactDataset(portraits, 64, t)[Draw(0, 5, inject=True)] for t in (transform, lambda *x: x))
    assert moved.mask.unique().tolist() == still.mask.unique().tolist()
    assert not torch.equal(moved.mask, still.mask)
    assert 0.3 < moved.mask.bool().sum() / still.mask.bool().sum() < 2


def test_where_an_artifact_is_that_somebody_labelled_nobody_knows(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    dataset = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF))
    assert all((dataset[i].mask == (UNKNOWN if dataset[i].target else 0)).all() for i in (0, len(dataset) - 1))


def test_the_mask_and_the_families_say_what_is_wrong(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    clean, real = portraits[0], portraits[-1]
    listed = [
        clean,
        replace(clean, made=3, kind="signature"),
        replace(clean, unlabelled=("text",)),
        real,
        replace(real, kind="hand_on_chin"),
        replace(real, kind="glitch"),
    ]
    samples = [ArtifactDataset(listed, 64, build_augmentation("none"))[i] for i in range(len(listed))]
    assert [sample.families.tolist() for sample in samples] == [
        [ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT],
        [ABSENT, ABSENT, PRESENT, ABSENT, ABSENT, ABSENT],
        [ABSENT, ABSENT, UNLABELLED, ABSENT, ABSENT, ABSENT],
        [UNLABELLED] * 6,
        [PRESENT, *[UNLABELLED] * 5],
        [*[UNLABELLED] * 4, PRESENT, UNLABELLED],
    ]
    assert samples[1].mask.unique().tolist() == [0, mask_number("text")]


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


def test_the_augmentation_belongs_to_the_draw_and_leaves_the_global_generator_alone(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    dataset = ArtifactDataset(portraits, 32, v2.Compose([build_augmentation("heavy"), build_transforms(HALF, HALF)]))
    before = torch.get_rng_state()
    first, again, other = dataset[Draw(3, 7)][0], dataset[Draw(3, 7)][0], dataset[Draw(3, 8)][0]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pictures_that_are_not_kept_give_the_same_pixels(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    kept = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF))
    not_kept = ArtifactDataset(portraits, 32, build_transforms(HALF, HALF), squares=Squares(32))
    assert all(torch.equal(kept[i][0], not_kept[i][0]) for i in range(len(kept)))


def test_a_portrait_with_a_made_artifact_is_the_same_whenever_it_is_opened(dataset_folder):
    clean = [p for p in list_portraits(dataset_folder, "train") if p.label == 0][:4]
    portraits = with_made_artifacts(clean, seed=3)
    assert [p.label for p in portraits] == [0, 0, 0, 0, 1, 1, 1, 1]
    dataset = ArtifactDataset(portraits, 64, build_transforms(HALF, HALF), find_faces=True)
    assert torch.equal(dataset[4].image, dataset[4].image)
    assert not torch.equal(dataset[4].image, dataset[0].image)
    assert dataset[4].mask.any() and not dataset[0].mask.any()
    again = ArtifactDataset(with_made_artifacts(clean, seed=3), 64, build_transforms(HALF, HALF), find_faces=True)
    assert all(torch.equal(dataset[i].image, again[i].image) for i in range(8))


def test_harmless_edits_change_clean_draws_only_and_leave_them_clean(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    plain, edited = (
        ArtifactDataset(portraits, 64, build_transforms(HALF, HALF), harmless_fraction=share) for share in (0.0, 1.0)
    )
    clean, artifact = (next(i for i, p in enumerate(portraits) if p.label == label) for label in (0, 1))
    draws = [Draw(clean, seed) for seed in range(12)]
    assert sum(not torch.equal(plain[draw].image, edited[draw].image) for draw in draws) > 8
    assert all(edited[draw].target == 0 and not edited[draw].mask.any() for draw in draws)
    assert torch.equal(plain[Draw(artifact, 1)].image, edited[Draw(artifact, 1)].image)


def test_made_artifacts_are_of_the_kinds_asked_for(dataset_folder, monkeypatch):
    made = []

    def spy(*args, **kwargs):
        made.append(inject(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr("artifact_utils.datasets.inject", spy)
    portraits = list_portraits(dataset_folder, "train")
    dataset = ArtifactDataset(portraits, 64, build_transforms(HALF, HALF), kinds={"strap", "fist"})
    for seed in range(12):
        dataset[Draw(0, seed, inject=True)]
    assert {injected.kind for injected in made} == {"strap", "fist"}


def test_a_share_of_the_made_artifacts_is_of_gaze_and_the_others_stay_what_they_were(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    plain, half = (ArtifactDataset(portraits, 64, build_augmentation("none"), gaze=gaze) for gaze in (0.0, 0.5))
    gaze = mask_number("gaze")
    n_gaze = 0
    for seed in range(20):
        before, after = plain[Draw(0, seed, inject=True)], half[Draw(0, seed, inject=True)]
        assert gaze not in before.mask
        if after.families[-1] == PRESENT:
            n_gaze += 1
        else:
            assert torch.equal(before.image, after.image)
    assert 4 <= n_gaze <= 16


def test_frames_and_twins_change_only_the_draws_that_they_are_asked_for(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    plain, framed = (
        ArtifactDataset(portraits, 64, build_augmentation("none"), twins=share, frames=share) for share in (0.0, 1.0)
    )
    real = len(portraits) - 1
    assert portraits[real].label == 1
    changed = []
    for seed in range(6):
        for is_made in (False, True):
            draw = Draw(0, seed, inject=is_made)
            assert torch.equal(framed[draw].image, framed[draw].image)
            assert bool(framed[draw].mask.any()) == is_made
            changed.append(not torch.equal(framed[draw].image, plain[draw].image))
        shift = (framed[Draw(real, seed)].image.float() - plain[Draw(real, seed)].image.float()).abs().mean()
        assert shift < 8  # at most of lower resolution: what somebody labelled is never cut off
    assert sum(changed) >= 9
