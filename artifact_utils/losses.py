"""Focal loss for a rare positive class, and the loss that teaches where."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import nn


class FocalLoss(nn.Module):
    """Binary focal loss on raw logits: ``-alpha_t * (1 - p_t)^gamma * log(p_t)``.

    Easy pictures, where the model is already right, weigh less the larger ``gamma`` is. With ``gamma=0`` and no
    ``alpha`` it is binary cross-entropy.

    Reference: Lin et al., "Focal Loss for Dense Object Detection", https://arxiv.org/abs/1708.02002, equation 5.

    Args:
        alpha: weight of the artifact class in [0, 1], the clean class weighs ``1 - alpha``; None weighs both by 1.
        gamma: focusing exponent, at least 0.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        alpha: float | None = None,
        gamma: float = 2.0,
        reduction: Literal["mean", "sum", "none"] = "mean",
    ) -> None:
        super().__init__()
        if alpha is not None and not 0.0 <= alpha <= 1.0:
            raise ValueError(f"Invalid alpha value: {alpha}, expected None or a number in [0, 1]")
        if gamma < 0.0:
            raise ValueError(f"Invalid gamma value: {gamma}, expected at least 0")
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"Invalid reduction: {reduction!r}, expected 'mean', 'sum' or 'none'")
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            logits: any shape, usually (N,), float.
            targets: the same shape, 1 for artifact and 0 for clean; any dtype, soft targets in [0, 1] too.

        Returns:
            A scalar, or a tensor of the logits' shape for ``reduction="none"``; always float32 or better.

        Raises:
            ValueError: the shapes differ.
        """
        if logits.shape != targets.shape:
            raise ValueError(f"logits have shape {tuple(logits.shape)}, targets {tuple(targets.shape)}: expected one")
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        targets = targets.to(logits.dtype)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        probability = torch.sigmoid(logits)
        # 1 - p_t, written without first forming p_t so that it does not round to 0 for confident predictions
        miss = probability * (1 - targets) + torch.sigmoid(-logits) * targets
        loss = miss.pow(self.gamma) * cross_entropy
        if self.alpha is not None:
            loss = loss * (self.alpha * targets + (1 - self.alpha) * (1 - targets))
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()


UNKNOWN = 255
"""Value of a mask where nobody knows whether there is an artifact."""

FULL_SHARE = 0.5
"""Share of a cell that an artifact has to cover for the cell to count as all artifact."""


def mask_loss(places: torch.Tensor, masks: torch.Tensor, n_known: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy of where the model sees an artifact, over the pictures whose mask is known.

    Args:
        places: raw logits (N, h, w) of the cells of a picture.
        masks: (N, 1, H, W): 1 artifact, 0 none, or anything between; ``UNKNOWN`` all over where nobody knows.
        n_known: what the sum over the pictures is divided by, where not by the number of known ones: with several
            processes, by what is known in an average one.

    Returns:
        A scalar; 0 if no mask is known.
    """
    known = known_masks(masks)
    size = (places.shape[1], places.shape[2])
    share = F.adaptive_avg_pool2d(masks.float(), size).squeeze(1) / FULL_SHARE
    loss = F.binary_cross_entropy_with_logits(places.float(), share.clamp(max=1.0), reduction="none").mean(dim=(1, 2))
    return (loss * known).sum() / (known.sum().clamp(min=1) if n_known is None else n_known)


def known_masks(masks: torch.Tensor) -> torch.Tensor:
    """Which masks of (N, 1, H, W) say something: bool (N,)."""
    return masks[:, 0, 0, 0] != UNKNOWN
