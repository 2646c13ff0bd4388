import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from artifact_utils import winograd
from artifact_utils.backbones import BACKBONES
from artifact_utils.models import build_model
from artifact_utils.winograd import WinogradConv2d, use_winograd

SHAPES = [(8, 64, 128, 17, 23), (3, 128, 64, 32, 32), (5, 64, 64, 8, 9), (2, 96, 64, 40, 24)]


def forbid(*args):
    raise AssertionError("the other way")


def convolution(n_in=64, n_out=64, bias=True):
    torch.manual_seed(0)
    conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias).to(memory_format=torch.channels_last)
    use_winograd(conv)
    assert type(conv) is WinogradConv2d
    return conv


def distance(one, other):
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("part", [winograd._PART, 1])
def test_it_is_the_direct_sum_forward_and_backward(shape, memory_format, bias, part, monkeypatch):
    n, n_in, n_out, height, width = shape
    monkeypatch.setattr(winograd, "_PART", part)
    conv = convolution(n_in, n_out, bias)
    maps = torch.randn(n, n_in, height, width).contiguous(memory_format=memory_format).requires_grad_()
    gradient = torch.randn(n, n_out, height, width)
    with monkeypatch.context() as patch:
        patch.setattr(nn.Conv2d, "forward", forbid)
        result = conv(maps)
    result.backward(gradient)
    exact = [value.detach().double().requires_grad_() for value in (maps, *conv.parameters())]
    expected = F.conv2d(*exact, padding=1)
    expected.backward(gradient.double())
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert distance(result, expected) < 1e-5
    for ours, theirs in zip((maps, *conv.parameters()), exact, strict=True):
        assert distance(ours.grad, theirs.grad) < 1e-5


def test_the_same_batch_gives_the_same_bits():
    conv, maps = convolution(), torch.randn(8, 64, 32, 32)
    answers = []
    for _ in range(2):
        conv.zero_grad()
        result = conv(maps)
        result.square().sum().backward()
        answers.append((result.detach(), conv.weight.grad.clone(), conv.bias.grad.clone()))
    assert all(torch.equal(one, other) for one, other in zip(*answers, strict=True))


def test_the_size_of_the_batch_does_not_choose_the_way(monkeypatch):
    conv, maps = convolution(), torch.randn(16, 64, 8, 8)
    monkeypatch.setattr(nn.Conv2d, "forward", forbid)
    assert distance(torch.cat([conv(one[None]) for one in maps]), conv(maps)) < 1e-6


def test_what_is_frozen_gets_no_gradient():
    conv, maps = convolution().requires_grad_(False), torch.randn(4, 64, 32, 32, requires_grad=True)
    conv(maps).sum().backward()
    assert maps.grad is not None
    assert conv.weight.grad is None
    conv.requires_grad_(True)
    conv(maps.detach()).sum().backward()
    assert conv.weight.grad is not None


@pytest.mark.parametrize(
    "maps",
    [torch.randn(8, 64, 7, 16), torch.randn(64, 32, 32), torch.randn(0, 64, 16, 16)],
    ids=["small maps", "no batch", "an empty one"],
)
def test_where_it_does_not_pay_pytorch_computes(maps, monkeypatch):
    monkeypatch.setattr(winograd._Convolution, "apply", forbid)
    conv = convolution()
    assert torch.equal(conv(maps), F.conv2d(maps, conv.weight, conv.bias, padding=1))


def test_other_precisions_are_pytorchs(monkeypatch):
    monkeypatch.setattr(winograd._Convolution, "apply", forbid)
    conv, maps = convolution(), torch.randn(4, 64, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(maps).dtype == torch.bfloat16
    assert conv.double()(maps.double()).dtype == torch.float64


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 5, "padding": 2},
        {"kernel_size": 3},
        {"kernel_size": 3, "padding": 1, "stride": 2},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": 3, "padding": 1, "groups": 64},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_other_convolutions_stay(options):
    model = nn.Sequential(nn.Conv2d(64, 64, **options), nn.Conv2d(3, 64, 3, padding=1))
    use_winograd(model)
    assert [type(module) for module in model] == [nn.Conv2d, nn.Conv2d]


def test_the_models_use_it_and_keep_their_names():
    model = build_model("vgg19", weights="none", image_size=32)
    fast = [module for module in model.modules() if isinstance(module, WinogradConv2d)]
    assert len(fast) == 15  # all but the one that sees the picture
    plain = BACKBONES["vgg19"].build(32).state_dict()
    assert plain.keys() == model.backbone.state_dict().keys()
