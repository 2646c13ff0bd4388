"""Random changes of training pictures: drawn picture by picture, carried out on the CPU or on a GPU in whole batches.

Both ways carry out the same draws. On the CPU OpenCV changes one picture after the other; for a GPU the processes that
load pictures only draw, and ``augment_batch`` changes the batch in one go. torchvision's transforms take one set of
numbers for a batch, so geometry, brightness, contrast and saturation are written out there; hue and blur, of one
picture in ten, are torchvision's. The JPEG round trip stays with the loading processes, before the geometry.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from artifact_utils.config import Augment
from artifact_utils.losses import known_masks
from artifact_utils.transforms.looks import PAD_COLOUR

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue in grey, as torchvision has them


@dataclass(frozen=True)
class Recipe:
    """How far an augmentation goes; what is 0 or None is left out."""

    degrees: float
    shift: float  # share of the side
    brightness: float
    contrast: float
    saturation: float = 0.0
    scale: tuple[float, float] | None = None
    shear: float = 0.0  # degrees
    jpeg: tuple[int, int] | None = None  # lowest and highest quality, of half of the pictures
    hue: float = 0.0  # of one picture in ten
    blur: tuple[float, float] | None = None  # sigma in pixels, of one picture in ten


RECIPES = {
    "light": Recipe(degrees=5, shift=0.04, brightness=0.1, contrast=0.1),
    "heavy": Recipe(
        degrees=20,
        shift=0.08,
        brightness=0.25,
        contrast=0.25,
        saturation=0.25,
        scale=(0.85, 1.2),
        shear=8,
        jpeg=(40, 95),  # so that no class can be told by its codec
        hue=0.03,
        blur=(0.1, 1.0),
    ),
}


@dataclass(frozen=True)
class Change:
    """One draw of a recipe: all that is random about what happens to a picture.

    ``matrix`` (2, 3) takes a pixel (x, y, 1) of the picture to where it lies in the new one, mirrored or not;
    ``colours`` are factors in the order they are applied.
    """

    matrix: np.ndarray
    quality: int | None = None
    colours: tuple[tuple[str, float], ...] = ()
    hue: float | None = None
    sigma: float | None = None


class Augmentation(v2.Transform):
    """A random change of square uint8 pictures (3, S, S) on the CPU; a ``Mask`` beside one is moved with it.

    Draw for draw it is what torchvision's RandomHorizontalFlip, RandomAffine, a JPEG round trip, ColorJitter and
    GaussianBlur make of the same random numbers, to within the rounding of a grey level or two. OpenCV does it in a
    sixth of the time: one interpolation in whole numbers, tables instead of arithmetic for the colours.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"change": draw_change(self.recipe, flat_inputs[0].shape[-1])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # (C, S, S) uint8 -> the same
        change, pixels = params["change"], inpt.permute(1, 2, 0).numpy()
        if isinstance(inpt, tv_tensors.Mask):
            moved = _warp(pixels, change.matrix, cv2.INTER_NEAREST, 0)
            return tv_tensors.wrap(torch.from_numpy(moved).unsqueeze(0), like=inpt)
        changed = torch.from_numpy(apply_change(change, pixels)).permute(2, 0, 1)
        return tv_tensors.wrap(changed, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else changed


def draw_change(recipe: Recipe, side: int) -> Change:
    """Draw from torch's global generator, number for number in the order of torchvision's transforms."""
    mirror = bool(torch.rand(1) < 0.5)
    angle = _uniform(recipe.degrees)
    shift = [round(_uniform(recipe.shift * side)) for _ in "xy"]
    scale = 1.0 if recipe.scale is None else _uniform(*recipe.scale)
    shear = _uniform(recipe.shear) if recipe.shear else 0.0
    quality = None
    if recipe.jpeg is not None and torch.rand(()) < 0.5:
        quality = int(torch.randint(recipe.jpeg[0], recipe.jpeg[1] + 1, ()))
    order = torch.randperm(4).tolist()
    names = ("brightness", "contrast", "saturation", "hue")
    factors = {name: _uniform(1 - far, 1 + far) for name in names[:3] if (far := getattr(recipe, name))}
    colours = tuple((names[i], factors[names[i]]) for i in order if names[i] in factors)
    hue = sigma = None
    if recipe.hue and torch.rand(1) < 0.1:
        torch.randperm(4)
        hue = _uniform(recipe.hue)
    if recipe.blur is not None and torch.rand(1) < 0.1:
        sigma = _uniform(*recipe.blur)
    return Change(_matrix(side, mirror, angle, shift, scale, shear), quality, colours, hue, sigma)


def _uniform(low: float, high: float | None = None) -> float:
    """A number from low to high, or from minus to plus the one that is given."""
    low, high = (-low, low) if high is None else (low, high)
    return float(torch.empty(1).uniform_(low, high))


def _matrix(side: int, mirror: bool, angle: float, shift: list[int], scale: float, shear: float) -> np.ndarray:
    """Mirror, then shear, turn (degrees) and zoom about the middle, then shift (pixels): (2, 3) float64."""
    turn, lean = math.radians(angle), math.tan(math.radians(shear))
    cos, sin = math.cos(turn), math.sin(turn)
    linear = scale * np.array([[cos, -cos * lean - sin], [sin, cos - sin * lean]])
    middle = np.full(2, (side - 1) / 2)
    if mirror:
        linear[:, 0] *= -1
    return np.column_stack([linear, middle + shift - linear @ middle])


def apply_change(change: Change, pixels: np.ndarray) -> np.ndarray:
    """Carry out a change: uint8 (S, S, 3) to a new array of the same shape."""
    pixels = _warp(pixels, change.matrix, cv2.INTER_LINEAR, PAD_COLOUR)
    if change.quality is not None:
        pixels = jpeg_round_trip(pixels, change.quality)
    for name, factor in change.colours:
        if name == "saturation":  # away from, or towards, the grey of the pixel
            pixels = cv2.transform(pixels, factor * np.eye(3) + (1 - factor) * np.array(GREY_WEIGHTS))
        else:  # away from, or towards, black or the mean grey of the picture
            anchor = 0.0 if name == "brightness" else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).mean()
            table = np.clip(factor * np.arange(256) + (1 - factor) * anchor, 0, 255).astype(np.uint8)
            pixels = cv2.LUT(pixels, table)
    if change.hue is not None:
        tensor = v2.functional.adjust_hue(torch.from_numpy(pixels).permute(2, 0, 1), change.hue)
        pixels = tensor.permute(1, 2, 0).contiguous().numpy()
    if change.sigma is not None:
        pixels = cv2.GaussianBlur(pixels, (3, 3), change.sigma, borderType=cv2.BORDER_REFLECT_101)
    return pixels


def jpeg_round_trip(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG leaves of a picture at that quality: uint8 (S, S, 3) to a new array of the same shape."""
    _, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1])


def _warp(pixels: np.ndarray, matrix: np.ndarray, interpolation: int, fill: Any) -> np.ndarray:
    side = pixels.shape[0]
    return cv2.warpAffine(np.ascontiguousarray(pixels), matrix, (side, side), flags=interpolation, borderValue=fill)


def build_augmentation(augment: Augment) -> v2.Transform:
    """Random changes of square uint8 pictures (3, S, S), which stay that.

    Args:
        augment: "none"; "light": mirror, slight shift and brightness; "heavy": also rotation, zoom, shear, contrast,
            saturation, hue, a slight blur and JPEG.

    Raises:
        ValueError: an unknown kind of augmentation.
    """
    if augment not in ("none", *RECIPES):
        raise ValueError(f"unknown augmentation {augment!r}: choose none, light or heavy")
    return Augmentation(RECIPES[augment]) if augment != "none" else v2.Identity()


COLOURS = ("", "brightness", "contrast", "saturation")
"""What a number of a change stands for."""
N_COLOURS = 3  # at most, of a change


def encode_change(change: Change, side: int) -> Tensor:
    """A change of pictures of that side as a row of a batch, float32 (14,).

    The first six are the inverse of its matrix, rows first, on coordinates from -1 to 1; then come three pairs of a
    place in ``COLOURS`` and a factor, hue, and sigma, each 0 where there is none.
    """
    to_shares = np.array([[2 / (side - 1), 0, -1], [0, 2 / (side - 1), -1], [0, 0, 1]])
    inverse = np.linalg.inv(to_shares @ np.vstack([change.matrix, [0, 0, 1]]) @ np.linalg.inv(to_shares))
    colours = [number for name, factor in change.colours for number in (COLOURS.index(name), factor)]
    colours += [0, 1] * (N_COLOURS - len(change.colours))
    return torch.tensor([*inverse[:2].ravel(), *colours, change.hue or 0, change.sigma or 0], dtype=torch.float32)


def augment_batch(images: Tensor, masks: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
    """Carry out a change on each picture of a batch and on its mask.

    Args:
        images: uint8 (B, 3, S, S), on any device.
        masks: uint8 (B, 1, S, S) as in ``Sample``, on the same; an unknown one stays that.
        changes: rows of ``encode_change``, (B, 14), on the CPU: nothing waits for the device.

    Returns:
        New pictures and masks of the same shapes.
    """
    device = images.device
    numbers = changes.to(device, non_blocking=True)
    grid = F.affine_grid(numbers[:, :6].view(-1, 2, 3), list(images.shape), align_corners=True)
    fill = torch.tensor(PAD_COLOUR, dtype=torch.float32, device=device).view(1, 3, 1, 1)
    pixels = (F.grid_sample(images - fill, grid, align_corners=True) + fill).round()  # outside of the picture it is 0
    moved = F.grid_sample(masks.float(), grid, mode="nearest", align_corners=True).to(torch.uint8)
    masks = torch.where(known_masks(masks).view(-1, 1, 1, 1), moved, masks)

    weights = torch.tensor(GREY_WEIGHTS, device=device).view(1, 3, 1, 1)
    for pair in numbers[:, 6:12].view(-1, N_COLOURS, 2, 1, 1, 1).unbind(dim=1):
        colour, factor = pair.unbind(dim=1)  # (B, 1, 1, 1)
        grey = (pixels * weights).sum(dim=1, keepdim=True)
        anchor = torch.where(colour == COLOURS.index("saturation"), grey, 0.0)
        anchor = torch.where(colour == COLOURS.index("contrast"), grey.mean(dim=(2, 3), keepdim=True), anchor)
        pixels = torch.lerp(anchor, pixels, factor).clamp(0, 255).floor()  # as in whole numbers
    changed = pixels.to(torch.uint8)

    for place, (hue, sigma) in enumerate(changes[:, 12:].tolist()):
        if hue:
            changed[place] = v2.functional.adjust_hue(changed[place], hue)
        if sigma:
            changed[place] = v2.functional.gaussian_blur(changed[place], [3, 3], [sigma, sigma])
    return changed, masks
