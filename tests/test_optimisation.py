import itertools

import pytest
import torch

from artifact_utils.models import build_model
from artifact_utils.optimisation import WeightAverage, build_optimizer, lr_scale


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model("efficientnet_lite0", weights="none", image_size=32, locates=True)


def test_rates_fall_from_stage_to_stage_towards_the_input(model):
    optimizer = build_optimizer(model, lr=1.0, weight_decay=0.0, layer_decay=0.5)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rate) == len(list(model.parameters()))
    network = model.backbone.network
    assert rate[id(model.head[1].weight)] == rate[id(model.locator.gain)] == 1.0
    assert rate[id(network.conv_head.weight)] == 0.5
    assert rate[id(network.blocks[6][0].conv_pwl.weight)] == 0.25
    assert rate[id(network.conv_stem.weight)] == 0.5**18  # 16 blocks between


def test_without_layer_decay_there_is_one_rate_and_nothing_frozen_in_it(model):
    model.freeze(1.0)
    groups = build_optimizer(model, lr=0.1, weight_decay=0.01).param_groups
    trained = {id(p) for p in [*model.head.parameters(), *model.locator.parameters()]}
    assert [group["lr"] for group in groups] == [0.1]
    assert {id(p) for p in groups[0]["params"]} == trained


def test_the_average_follows_the_weights_and_starts_without_the_random_ones(model):
    average = WeightAverage(model, 0.5)
    weight, mean = model.head[1].weight, average.model.head[1].weight
    first = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(1.0)
    average.update()
    assert torch.allclose(mean, first.lerp(torch.ones(()), 1 - 2 / 11))  # the decay of the first step
    for _ in range(40):
        average.update()
    assert torch.allclose(mean, torch.ones(()), atol=1e-5)
    model.backbone.network.bn1.num_batches_tracked += 3
    average.update()
    assert average.model.backbone.network.bn1.num_batches_tracked == model.backbone.network.bn1.num_batches_tracked


def test_the_learning_rate_warms_up_and_decays():
    scale = [lr_scale(step, 100, 10) for step in range(100)]
    assert scale[0] < scale[5] < scale[10] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in itertools.pairwise(scale[10:]))
    assert scale[-1] == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize("schedule", ["cosine", "step", "exponential"])
def test_every_schedule_warms_up_and_ends_at_a_hundredth(schedule):
    scale = [lr_scale(step, 101, 11, schedule) for step in range(102)]
    assert scale[:11] == [lr_scale(step, 101, 11) for step in range(11)]
    assert scale[11] == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(scale[11:]))
    assert scale[-1] == pytest.approx(0.01, rel=1e-3)
    assert {lr_scale(step, 101, 11, "constant") for step in range(11, 101)} == {1.0}


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimiser_goes_downhill(model, name):
    optimizer = build_optimizer(model, name, lr=1e-2, weight_decay=0.0)
    weight = model.locator.layers[-1].weight
    before = weight.detach().clone()
    weight.sum().backward()
    optimizer.step()
    assert (weight < before).all()
