"""Augmentation of whole batches, for a GPU: what the CPU does picture by picture, with the same draws, in one go.

Each picture has its own draw, made where it is loaded. torchvision's transforms take one set of numbers for a batch, so
geometry, brightness, contrast and saturation are written out below; hue and blur, of one picture in ten, are
torchvision's. Only the JPEG round trip stays with the processes that load, before the geometry instead of after it.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor
from torchvision.transforms import v2

from artifact_utils.losses import known_masks
from artifact_utils.transforms import GREY_WEIGHTS, PAD_COLOUR, Change

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
