"""From a picture to the tensor that a model reads: the same geometry for training, evaluation and use."""

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

Augment = Literal["none", "light", "heavy"]
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


class JpegRoundTrip(v2.Transform):
    """Compress and decompress with a random quality, so that no class can be told by its codec. Masks stay as they are.

    Args:
        qualities: lowest and highest JPEG quality, 1 to 95.
        p: share of the pictures that it touches.
    """

    def __init__(self, qualities: tuple[int, int], p: float) -> None:
        super().__init__()
        self.qualities, self.p = qualities, p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        if torch.rand(()) >= self.p:
            return {"quality": None}
        low, high = self.qualities
        return {"quality": int(torch.randint(low, high + 1, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # (3, H, W) uint8 -> the same
        if params["quality"] is None or isinstance(inpt, tv_tensors.Mask):
            return inpt
        coded = io.BytesIO()
        Image.fromarray(inpt.permute(1, 2, 0).cpu().numpy()).save(coded, "JPEG", quality=params["quality"])
        decoded = torch.from_numpy(np.array(Image.open(coded))).permute(2, 0, 1).to(inpt.device)
        return tv_tensors.wrap(decoded, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else decoded


def build_transforms(mean: Sequence[float], std: Sequence[float], *, augment: Augment = "none") -> v2.Transform:
    """Transforms from a square uint8 picture to what the model reads.

    Without augmentation it is the evaluation transform: only the scaling, so that training and evaluation agree.

    Args:
        mean, std: per channel, for values in [0, 1].
        augment: "none"; "light": mirror, slight shift and brightness; "heavy": also rotation, zoom, shear, contrast,
            saturation, hue, a slight blur and JPEG.

    Returns:
        A transform from uint8 (..., 3, H, W) on any device to float32 of the same shape. Given an ``Image`` and a
        ``Mask`` of ``torchvision.tv_tensors``, it moves the mask with the picture and leaves its values alone.

    Raises:
        ValueError: an unknown kind of augmentation.
    """
    fill = {torch.Tensor: list(PAD_COLOUR), tv_tensors.Image: list(PAD_COLOUR), tv_tensors.Mask: 0}
    steps: list[torch.nn.Module] = []
    if augment == "light":
        steps = [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(5, translate=(0.04, 0.04), interpolation=InterpolationMode.BILINEAR, fill=fill),
            v2.ColorJitter(brightness=0.1, contrast=0.1),
        ]
    elif augment == "heavy":
        steps = [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(
                20,
                translate=(0.08, 0.08),
                scale=(0.85, 1.2),
                shear=8,
                interpolation=InterpolationMode.BILINEAR,
                fill=fill,
            ),
            JpegRoundTrip((40, 95), p=0.5),
            v2.ColorJitter(brightness=0.25, contrast=0.25, saturation=0.25),
            v2.RandomApply([v2.ColorJitter(hue=0.03)], p=0.1),
            v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 1.0))], p=0.1),
        ]
    elif augment != "none":
        raise ValueError(f"unknown augmentation {augment!r}: choose none, light or heavy")
    scale = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
    return v2.Compose([*steps, *scale])
