from collections import Counter

import numpy as np
import pytest

from artifact_utils.datasets import Draw
from artifact_utils.sampling import EpochSampler, KeptSampler


def sampler(targets, **options):
    plain = {"artifact_fraction": 0.5, "synthetic_fraction": 0.0, "paired": False, "seed": 0}
    return EpochSampler(np.array(targets), **(plain | options))


def test_oversampling_balances_the_classes_and_repeats_nothing_needlessly():
    targets = np.array([0] * 90 + [1] * 10)
    draws = list(sampler(targets))
    counts = Counter(draw.index for draw in draws)
    assert sum(targets[draw.index] for draw in draws) == 50
    assert {counts[i] for i in range(90, 100)} == {5}
    assert max(counts[i] for i in range(90)) == 1
    assert len({draw.seed for draw in draws}) == 100


def test_artifacts_made_on_the_spot_replace_repeated_ones_and_sit_on_clean_pictures():
    targets = np.array([0] * 90 + [1] * 10)
    draws = list(sampler(targets, synthetic_fraction=0.6))
    made = [draw for draw in draws if draw.inject]
    assert len(draws) == 100
    assert len(made) == 30
    assert all(targets[draw.index] == 0 for draw in made)
    assert sum(targets[draw.index] for draw in draws) == 20


def test_without_oversampling_every_picture_comes_once():
    draws = list(sampler([0, 0, 0, 1], artifact_fraction=None))
    assert sorted(draw.index for draw in draws) == [0, 1, 2, 3]


def test_epochs_differ_and_each_is_a_function_of_its_number():
    epochs = sampler([0] * 20 + [1] * 4, seed=1)
    first = list(epochs)
    epochs.set_epoch(1)
    second = list(epochs)
    assert first != second
    epochs.set_epoch(0)
    assert list(epochs) == first


def test_a_made_artifact_comes_right_after_the_picture_it_is_made_of():
    draws = list(sampler([0] * 90 + [1] * 10, synthetic_fraction=0.6, paired=True))
    assert sum(draw.inject for draw in draws) == 30
    for place, draw in enumerate(draws):
        if draw.inject:
            assert (draws[place - 1].index, draws[place - 1].inject) == (draw.index, False)


@pytest.mark.parametrize("epoch", [0, 3])
def test_processes_share_the_draws_of_one_epoch_between_them(epoch):
    options = {"synthetic_fraction": 0.5, "paired": True, "seed": 2, "batch_size": 12}
    places = ((0, 1), (0, 3), (1, 3), (2, 3))
    whole, *shares = (sampler([0] * 45 + [1] * 5, **options, rank=rank, world_size=n) for rank, n in places)
    for one in (whole, *shares):
        one.set_epoch(epoch)
    alone, shared = list(whole), [list(share) for share in shares]
    assert len(alone) == 48 == len(whole)
    for first in range(0, len(alone), 12):  # each batch of one process is the batches of three, one after the other
        together = [draw for share in shared for draw in share[first // 3 : first // 3 + 4]]
        assert together == alone[first : first + 12]


def test_with_names_most_draws_of_a_picture_stay_when_others_are_left_out():
    names = [f"{number}.png" for number in range(100)]
    options = {"synthetic_fraction": 1.0, "paired": True}
    whole = list(sampler([0] * 100, names=names, **options))
    some = list(sampler([0] * 80, names=names[20:], **options))
    drawn = {(draw.index - 20, draw.seed, draw.inject) for draw in whole}
    shared = [draw for draw in some if (draw.index, draw.seed, draw.inject) in drawn]
    assert len(shared) > 0.8 * len(some)
    assert len({draw.seed for draw in whole}) == len(whole)


def test_kept_draws_come_in_another_order_each_epoch_and_pairs_stay_together():
    draws = [Draw(0, 1), Draw(0, 2, True), Draw(1, 3), Draw(2, 4), Draw(2, 5, True), Draw(3, 6), Draw(4, 7)]
    sampler = KeptSampler(draws, seed=0, batch_size=2)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    for order in orders:
        assert len(order) == len(sampler) == 6
        assert len(set(order)) == 6
        assert all(order.index(made) == order.index(made - 1) + 1 for made in (1, 4) if made in order)
