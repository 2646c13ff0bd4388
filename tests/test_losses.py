import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torchvision.ops import sigmoid_focal_loss

from artifact_utils.labels import ANY_FAMILY, mask_number
from artifact_utils.losses import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    UNLABELLED,
    FocalLoss,
    family_loss,
    mask_loss,
    unlabelled_left_out,
)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(64, generator=generator)
    targets = (torch.rand(64, generator=generator) < 0.1).float()
    return logits, targets


@pytest.mark.parametrize("alpha", [0.25, 0.75, None])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_equals_torchvision(batch, alpha, gamma, reduction):
    logits, targets = batch
    expected = sigmoid_focal_loss(logits, targets, -1 if alpha is None else alpha, gamma, reduction)
    torch.testing.assert_close(FocalLoss(alpha, gamma, reduction)(logits, targets), expected, atol=1e-6, rtol=1e-6)


def test_is_cross_entropy_at_gamma_zero(batch):
    logits, targets = batch
    expected = F.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, targets), expected, atol=1e-6, rtol=0)


def test_gradient_equals_torchvision(batch):
    logits, targets = batch
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    FocalLoss(0.25, 2.0)(ours, targets).backward()
    sigmoid_focal_loss(theirs, targets, 0.25, 2.0, "mean").backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("value", [-200.0, 200.0])
def test_extreme_logits_stay_finite(value):
    logits = torch.tensor([value], requires_grad=True)
    loss = FocalLoss(0.25, 2.0)(logits, torch.tensor([0.0 if value > 0 else 1.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_and_integer_targets():
    loss = FocalLoss()(torch.zeros(2, dtype=torch.bfloat16), torch.tensor([0, 1]))
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, "Invalid alpha value: 1.5"),
        ({"gamma": -1.0}, "Invalid gamma value: -1.0"),
        ({"reduction": "max"}, "Invalid reduction: 'max'"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FocalLoss(**arguments)


def test_shapes_must_match():
    with pytest.raises(ValueError, match=r"logits have shape \(2, 1\), targets \(2,\)"):
        FocalLoss()(torch.zeros(2, 1), torch.zeros(2))


def test_the_mask_loss_is_small_where_the_map_is_right_and_ignores_what_nobody_knows():
    masks = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    masks[0, 0, :16, :16] = mask_number("text")  # exactly the first cell
    right = torch.full((2, 1, 4, 4), -20.0)
    right[0, 0, 0, 0] = 20.0
    assert mask_loss(right, masks) < 1e-6
    assert mask_loss(-right, masks) > 10
    masks[1] = UNKNOWN
    wrong_where_unknown = torch.cat([right[:1], torch.full((1, 1, 4, 4), 20.0)])
    assert mask_loss(wrong_where_unknown, masks) < 1e-6
    masks[0] = UNKNOWN
    assert mask_loss(right, masks) == 0


def test_half_a_cell_counts_as_a_whole_one():
    masks = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    masks[0, 0, :8] = 1
    assert mask_loss(torch.full((1, 1, 1, 1), 20.0), masks) < 1e-6


def test_the_map_of_the_right_family_has_to_show_the_artifact():
    masks = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    masks[..., :4] = mask_number("text")
    places = torch.full((1, 2, 1, 2), -20.0)
    places[0, 1, 0, 0] = 20.0
    assert mask_loss(places, masks, families=("hands", "text")) < 1e-6
    assert mask_loss(places, masks, families=("text", "hands")) > 10


@pytest.mark.parametrize("number", [ANY_FAMILY, mask_number("glitch")])
def test_an_artifact_of_a_family_that_has_no_map_may_be_in_any(number):
    masks = torch.full((1, 1, 8, 8), 0, dtype=torch.uint8)
    masks[..., :4] = number
    for shown in range(2):
        places = torch.full((1, 2, 1, 2), -20.0)
        assert mask_loss(places, masks, families=("hands", "text")) > 5
        places[0, shown, 0, 0] = 20.0
        assert mask_loss(places, masks, families=("hands", "text")) < 1e-6
        places[0, shown, 0, 1] = 20.0  # where there is none
        assert mask_loss(places, masks, families=("hands", "text")) > 5


def test_the_family_loss_leaves_out_what_nobody_said():
    said = torch.tensor([[PRESENT, ABSENT], [UNLABELLED, ABSENT]], dtype=torch.int8)
    right = torch.tensor([[20.0, -20.0], [20.0, -20.0]])
    assert family_loss(right, said) < 1e-6
    assert family_loss(right * torch.tensor([[1.0, -1.0], [1.0, 1.0]]), said) == pytest.approx(10, rel=1e-3)


def test_what_is_not_labelled_in_a_clean_picture_is_not_learned_as_absent():
    logits = torch.zeros(2, 2)
    said = torch.tensor([[UNLABELLED, ABSENT], [UNLABELLED, PRESENT]], dtype=torch.int8)
    left = unlabelled_left_out(logits, said, torch.tensor([0, 1]))
    assert (left > -1).tolist() == [[False, True], [True, True]]
