from collections import Counter

import numpy as np
import pytest

from artifact_utils.sampling import EpochSampler


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


def test_a_made_artifact_comes_right_after_the_picture_it_is_made_of():
    draws = list(
        EpochSampler(np.array([0] * 90 + [1] * 10), artifact_fraction=0.5, synthetic_fraction=0.6, paired=True)
    )
    assert sum(draw.inject for draw in draws) == 30
    for place, draw in enumerate(draws):
        if draw.inject:
            assert (draws[place - 1].index, draws[place - 1].inject) == (draw.index, False)


@pytest.mark.parametrize(("epoch", "start"), [(0, 0), (3, 24)])
def test_processes_share_the_draws_of_one_epoch_between_them(epoch, start):
    targets = np.array([0] * 45 + [1] * 5)
    options = {"artifact_fraction": 0.5, "synthetic_fraction": 0.5, "paired": True, "seed": 2}
    whole, *parts = (
        EpochSampler(targets, **options, batch_size=12, part=part) for part in ((0, 1), (0, 3), (1, 3), (2, 3))
    )
    for sampler in (whole, *parts):
        sampler.set_epoch(epoch, start=start)
    alone, shared = list(whole), [list(part) for part in parts]
    assert len(alone) == (48 - start) == len(whole)
    for first in range(0, len(alone), 12):  # each batch of one process is the batches of three, one after the other
        together = [draw for share in shared for draw in share[first // 3 : first // 3 + 4]]
        assert together == alone[first : first + 12]
