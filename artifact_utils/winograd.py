"""3 x 3 convolutions with a quarter of the multiplications, on a CPU in fp32, forward and backward.

Winograd's F(4 x 4, 3 x 3): overlapping tiles of 6 x 6 pixels and the kernels go through a linear map, are multiplied
place by place (36 products of matrices over the channels instead of 144), and the products go back to 4 x 4 pixels.
Libraries for GPUs compute fp32 that way, PyTorch on a CPU does not. Source: Lavin and Gray, arXiv 1509.09308.

Results are exact to some 3e-6 of their size, where the direct sum is to 3e-7; the same batch gives the same bits every
time. Training a VGG-19 on batches of 32 pictures of 224 px takes 8.5 GB of memory instead of 4.9.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TILE = 4
"""Pixels of output, along each side, that are computed together; of input it takes two more."""

MIN_CHANNELS = 64 * 64
"""Channels of input times those of output from which the products outweigh the maps."""

MIN_SIDE = 8
"""Pixels of the shorter side of the maps from which it pays. The size of the batch has no say in it, so that a batch
in two parts gives the same numbers."""

_PART = 1 << 24  # numbers in the tiles of the pictures that are worked on together, so that memory stays small


def _both_axes(matrix: list[list[int]]) -> Tensor:
    """What a matrix does along the rows and then the columns of a tile, as one matrix."""
    one_axis = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(one_axis, one_axis)


_INPUT = _both_axes(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = _both_axes([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24**2
_OUTPUT = _both_axes([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
_EVERYWHERE = 7  # the place, of the 36, that reaches all pixels of its tile alike: that of the bias


class WinogradConv2d(nn.Conv2d):
    """A ``Conv2d`` of 3 x 3 pixels, stride 1 and padding 1 that takes the faster way where there is one."""

    def forward(self, input: Tensor) -> Tensor:
        if not _pays(input) or self.weight.dtype != torch.float32:
            return super().forward(input)
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        return _Convolution.apply(input, self.weight, self.bias, learns)


def use_winograd(model: nn.Module) -> None:
    """Let the convolutions of a model that suit take the faster way; parameters, their names and hooks stay."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _suits(module):
            module.__class__ = WinogradConv2d


def _suits(conv: nn.Conv2d) -> bool:
    form = conv.kernel_size, conv.stride, conv.dilation, conv.padding, conv.padding_mode, conv.groups
    usual = form == ((3, 3), (1, 1), (1, 1), (1, 1), "zeros", 1)
    return usual and conv.in_channels * conv.out_channels >= MIN_CHANNELS


def _pays(maps: Tensor) -> bool:
    if maps.device.type != "cpu" or maps.dtype != torch.float32 or maps.dim() != 4:
        return False
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    return len(maps) > 0 and min(maps.shape[2:]) >= MIN_SIDE


class _Convolution(torch.autograd.Function):
    """For the gradient of the kernels it keeps the tiles of its input, 2.25 times the size of the maps."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, learns: bool) -> Tensor:
        kernels, kept = _map_kernels(weight), []
        shape = len(maps), len(weight), *maps.shape[2:]
        result = torch.empty(shape, memory_format=torch.channels_last)
        for part in _parts(maps.shape, len(weight)):
            tiles = _map_tiles(maps[part])
            products = torch.bmm(tiles, kernels.transpose(1, 2))
            if bias is not None:
                products[_EVERYWHERE] += bias
            _join(_OUTPUT @ products.flatten(1), result[part])
            kept += [tiles] if learns else []
        ctx.save_for_backward(kernels, *kept)
        ctx.shape = maps.shape
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        kernels, *kept = ctx.saved_tensors
        for_maps, for_weight, for_bias, _ = ctx.needs_input_grad
        (n, n_in, height, width), n_out = ctx.shape, kernels.shape[1]
        of_kernels = torch.zeros_like(kernels) if for_weight else None
        padded = gradient.new_zeros(n, _up(height) + 2, _up(width) + 2, n_in) if for_maps else None
        for number, part in enumerate(_parts(ctx.shape, n_out)):
            products = (_OUTPUT.T @ _split(gradient[part])).view(36, -1, n_out)
            if of_kernels is not None:
                of_kernels.baddbmm_(products.transpose(1, 2), kept[number])
            if padded is not None:
                of_tiles = _INPUT.T @ torch.bmm(products, kernels).flatten(1)
                _add_tiles(of_tiles, padded[part])
        return (
            padded[:, 1 : height + 1, 1 : width + 1].permute(0, 3, 1, 2) if padded is not None else None,
            _unmap_kernels(of_kernels) if of_kernels is not None else None,
            gradient.sum(dim=(0, 2, 3)) if for_bias else None,
            None,
        )


def _parts(shape: torch.Size, n_out: int) -> Iterator[slice]:
    """Slices of the batch."""
    n, n_in, height, width = shape
    of_one = 36 * _up(height) * _up(width) // TILE**2 * max(n_in, n_out)
    step = max(1, _PART // of_one)
    return (slice(start, start + step) for start in range(0, n, step))


def _up(side: int) -> int:
    """The next multiple of the side of a tile."""
    return -(-side // TILE) * TILE


def _map_kernels(weight: Tensor) -> Tensor:
    """Kernels (O, I, 3, 3) to places (36, O, I)."""
    places = _KERNEL @ weight.permute(2, 3, 0, 1).reshape(9, -1)
    return places.view(36, *weight.shape[:2])


def _unmap_kernels(places: Tensor) -> Tensor:
    """The gradient of kernels (O, I, 3, 3) from that of their places (36, O, I)."""
    kernels = _KERNEL.T @ places.flatten(1)
    return kernels.view(3, 3, *places.shape[1:]).permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _map_tiles(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) to the places (36, tiles, C) of tiles of 6 x 6, one every four pixels."""
    _, n_channels, height, width = maps.shape
    border = 0, 0, 1, 1 + _up(width) - width, 1, 1 + _up(height) - height
    tiles = _tiles(F.pad(maps.permute(0, 2, 3, 1), border))
    return (_INPUT @ tiles.reshape(36, -1)).view(36, -1, n_channels)


def _add_tiles(tiles: Tensor, padded: Tensor) -> None:
    """Add tiles (36, tiles times C), which overlap, to maps (N, H, W, C) with a border: what ``_tiles`` took apart."""
    places = _tiles(padded)
    values = tiles.view(places.shape)
    for down in (slice(TILE), slice(TILE, None)):  # within each of these four there is no overlap
        for right in (slice(TILE), slice(TILE, None)):
            places[down, right] += values[down, right]


def _tiles(padded: Tensor) -> Tensor:
    """A view (6, 6, N, rows, columns, C) of maps (N, 4 rows + 2, 4 columns + 2, C), the place in a tile first."""
    n, height, width, n_channels = padded.shape
    batch, down, right, channel = padded.stride()
    shape = TILE + 2, TILE + 2, n, height // TILE, width // TILE, n_channels
    return padded.as_strided(shape, (down, right, batch, TILE * down, TILE * right, channel), padded.storage_offset())


def _split(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) to the pixels (16, N rows columns C) of their tiles of 4 x 4, which do not overlap."""
    n, n_channels, height, width = maps.shape
    padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 0, _up(width) - width, 0, _up(height) - height))
    tiles = padded.reshape(n, _up(height) // TILE, TILE, _up(width) // TILE, TILE, n_channels)
    return tiles.permute(2, 4, 0, 1, 3, 5).reshape(TILE**2, -1)


def _join(pixels: Tensor, result: Tensor) -> None:
    """Write the pixels of tiles, as ``_split`` gives them, into maps (N, C, H, W)."""
    n, n_channels, height, width = result.shape
    tiles = pixels.view(TILE, TILE, n, _up(height) // TILE, _up(width) // TILE, n_channels).permute(2, 5, 3, 0, 4, 1)
    if (_up(height), _up(width)) == (height, width):
        result.unflatten(2, (-1, TILE)).unflatten(4, (-1, TILE)).copy_(tiles)
    else:
        result.copy_(tiles.reshape(n, n_channels, _up(height), _up(width))[:, :, :height, :width])
