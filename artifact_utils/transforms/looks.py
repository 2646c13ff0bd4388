"""From a picture to the tensor that a model reads: the same geometry for training, evaluation and use."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

from artifact_utils.config import Aspect
from artifact_utils.predictions import MIN_SIDE

PAD_COLOUR = (124, 116, 104)  # the ImageNet mean, which every backbone takes for nothing in particular


def to_square(image: Image.Image, image_size: int) -> torch.Tensor:
    """Fit a picture into a square, padded where it is not one: nothing is cut off, nothing is stretched.

    Args:
        image: an RGB picture of any size.
        image_size: side of the square in pixels.

    Returns:
        uint8 tensor (3, image_size, image_size).
    """
    square = ImageOps.pad(image, (image_size, image_size), Image.Resampling.BICUBIC, color=PAD_COLOUR)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)  # a copy: PIL's buffer is read-only


Look = tuple[float, float, float]
"""Left, top and side of a square in pixels of a picture; what lies beyond its border is padded."""

NEARLY_SQUARE = 1.1
"""Ratio of the sides up to which a picture is padded: the margins are thin, and nothing is cut off."""
MAX_LOOKS = 4
"""Square looks at one picture; a longer one is padded, too."""


def square_looks(size: tuple[int, int], aspect: Aspect) -> list[Look]:
    """The squares in which a picture is seen.

    Args:
        size: its width and height in pixels.
        aspect: how one that is not square is seen.
    """
    long, short = max(size), min(size)
    n, side = 1, long
    if aspect == "cut":
        side = short
    elif aspect == "looks" and long > NEARLY_SQUARE * short:
        n = min(math.ceil(long / short), MAX_LOOKS)
        side = max(short, math.ceil(long / n))
    starts = [(long - side) / 2] if n == 1 else [i * (long - side) / (n - 1) for i in range(n)]
    across = (short - side) / 2
    return [(start, across, side) if size[0] == long else (across, start, side) for start in starts]


def look_at(image: Image.Image, size: tuple[int, int], looks: Sequence[Look], image_size: int) -> torch.Tensor:
    """What is seen of a picture.

    Args:
        image: the picture, perhaps reduced from ``size``.
        size: width and height that ``looks`` are told in.
        looks: of ``square_looks``.
        image_size: side of the squares in pixels.

    Returns:
        uint8 tensor (L, 3, image_size, image_size).
    """
    shrunk = image.width / size[0], image.height / size[1]
    squares = []
    for left, top, side in looks:
        box = max(left, 0), max(top, 0), min(left + side, size[0]), min(top + side, size[1])
        pixels = tuple(round(edge * shrunk[i % 2]) for i, edge in enumerate(box))
        part = image if pixels == (0, 0, *image.size) else image.crop(pixels)  # type: ignore[arg-type]
        squares.append(to_square(part, image_size))
    return torch.stack(squares)


class Seen(NamedTuple):
    """A picture as the detector sees it; without a look it is too small to be judged."""

    squares: torch.Tensor
    """(L, 3, S, S) uint8."""
    looks: list[Look]
    size: tuple[int, int]
    """Width and height of the picture in pixels."""


def see(image: Image.Image, size: tuple[int, int], image_size: int, aspect: Aspect) -> Seen:
    """The looks at a picture and what is seen in them.

    Args:
        image: the picture, perhaps reduced from ``size``.
        size: its width and height in pixels.
        image_size: side of the squares in pixels.
        aspect: how one that is not square is seen.
    """
    if min(size) < MIN_SIDE:
        return Seen(torch.empty(0, 3, image_size, image_size, dtype=torch.uint8), [], size)
    looks = square_looks(size, aspect)
    return Seen(look_at(image, size, looks, image_size), looks, size)


def build_transforms(mean: Sequence[float], std: Sequence[float]) -> v2.Transform:
    """Build the transform from square uint8 pictures to what the model reads: the same in training, evaluation and use.

    Args:
        mean, std: per channel, for values in [0, 1].

    Returns:
        A transform from uint8 (..., 3, H, W) to float32 of the same shape, on any device.
    """
    return v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))])
