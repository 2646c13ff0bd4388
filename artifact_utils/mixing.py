"""Two pictures in one: mixup and CutMix, with labels and masks that stay true."""

import numpy as np
import torch
from torch import Tensor

from artifact_utils.losses import UNKNOWN, known_masks


def mix(
    images: Tensor, targets: Tensor, masks: Tensor, rng: np.random.Generator, *, mixup: float, cutmix: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix every picture of a batch with another one of it.

    Args:
        images: (B, 3, S, S), already scaled.
        targets: (B,) 0 or 1.
        masks: (B, 1, S, S) as in ``Sample``.
        rng: what all that is random is drawn from.
        mixup, cutmix: parameters of the Beta distribution of the share that a picture keeps, 0 to leave that way out;
            with both, a coin decides.

    Returns:
        The mixed pictures, targets in [0, 1] as float32, and masks in [0, 1] as float32, all ``UNKNOWN`` where either
        was.
    """
    if not mixup and not cutmix:
        return images, targets, masks
    paste = bool(cutmix) and (not mixup or rng.random() < 0.5)
    alpha = cutmix if paste else mixup
    share = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    return _paste(images, targets, masks, other, share, rng) if paste else _blend(images, targets, masks, other, share)


def _blend(
    images: Tensor, targets: Tensor, masks: Tensor, other: Tensor, share: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mixup: an artifact shines through as much as its picture does."""
    known = known_masks(masks) & known_masks(masks[other])
    shown = masks.float().lerp(masks[other].float(), 1 - share)
    return (
        images.lerp(images[other], 1 - share),
        targets.float().lerp(targets[other].float(), 1 - share),
        shown.where(known.view(-1, 1, 1, 1), UNKNOWN),
    )


def _paste(
    images: Tensor, targets: Tensor, masks: Tensor, other: Tensor, share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """CutMix with one rectangle for the batch.

    Where the artifact is known, the label is how much of it is still to be seen, of that which shows more; a rectangle
    of the backdrop alone brings no artifact along. Where it is not, the label is shared by area, as in the paper.
    """
    size = images.shape[-1]
    side = round(size * (1 - share) ** 0.5)
    top, left = rng.integers(size - side + 1, size=2).tolist()
    inside = torch.zeros(1, 1, size, size, dtype=torch.bool, device=images.device)
    inside[..., top : top + side, left : left + side] = True
    area = side**2 / size**2

    known = known_masks(masks) & known_masks(masks[other])
    own, pasted = masks.float().masked_fill(inside, 0), masks[other].float().masked_fill(~inside, 0)
    visible = torch.stack(
        [part.sum(dim=(1, 2, 3)) / whole.float().sum(dim=(1, 2, 3)).clamp(min=1)
         for part, whole in ((own, masks), (pasted, masks[other]))]
    )  # fmt: skip  # (2, B)
    by_area = targets.float().lerp(targets[other].float(), area)
    return (
        torch.where(inside, images[other], images),
        torch.where(known, visible.amax(dim=0), by_area),
        (own + pasted).where(known.view(-1, 1, 1, 1), UNKNOWN),
    )


def smooth(targets: Tensor, amount: float) -> Tensor:
    """Move targets in [0, 1] towards 0.5 by that share: 0.1 makes of 0 and 1 0.05 and 0.95 (arXiv 1512.00567)."""
    return targets + amount * (0.5 - targets) if amount else targets
