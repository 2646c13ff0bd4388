"""From a picture to the tensor that a model reads: the same geometry for training, evaluation and use."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

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


def build_transforms(mean: Sequence[float], std: Sequence[float]) -> v2.Transform:
    """Build the transform from square uint8 pictures to what the model reads: the same in training, evaluation and use.

    Args:
        mean, std: per channel, for values in [0, 1].

    Returns:
        A transform from uint8 (..., 3, H, W) to float32 of the same shape, on any device.
    """
    return v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))])
