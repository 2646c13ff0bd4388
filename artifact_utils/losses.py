"""Focal loss for a rare positive class, and the losses that teach what and where."""

import functools
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import nn

from artifact_utils.labels import mask_number


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


def mask_loss(
    places: torch.Tensor,
    masks: torch.Tensor,
    n_known: torch.Tensor | None = None,
    *,
    families: tuple[str, ...] = (),
) -> torch.Tensor:
    """Cross-entropy of where the model sees an artifact of each family, over the pictures whose mask is known.

    Where an artifact is of a family that nobody knows, or that the model does not tell apart, one of its maps has to
    show it, no matter which.

    Args:
        places: raw logits (N, F, h, w) of the cells of a picture.
        masks: uint8 (N, 1, H, W): 0 for none, ``mask_number`` of the family; ``UNKNOWN`` all over where nobody knows.
        n_known: what the sum over the pictures is divided by, where not by the number of known ones: with several
            processes, by what is known in an average one.
        families: of the F maps, in their order; none: the one map is of any artifact.

    Returns:
        A scalar; 0 if no mask is known.
    """
    known, size, places = known_masks(masks), (places.shape[2], places.shape[3]), places.float()
    if families:
        told_apart = [masks == mask_number(family) for family in families]
        share = torch.cat([_shares(of_family, size) for of_family in told_apart], dim=1)
        known_family = functools.reduce(torch.logical_or, told_apart)
        other_share = _shares((masks > 0) & ~known_family, size)
        loss = F.binary_cross_entropy_with_logits(places, share, reduction="none")
        loss = (loss * ((other_share == 0) | (share > 0))).sum(dim=1)
        anything = torch.logsumexp(places, dim=1)
        loss = loss + other_share.squeeze(1) * F.softplus(-anything)
    else:
        share = _shares(masks > 0, size)
        loss = F.binary_cross_entropy_with_logits(places, share, reduction="none").squeeze(1)
    return (loss.mean(dim=(1, 2)) * known).sum() / (known.sum().clamp(min=1) if n_known is None else n_known)


def _shares(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """How much of each cell bool masks (N, 1, H, W) cover, (N, 1, h, w): most are empty, and cost nothing."""
    shares = torch.zeros(len(masks), 1, *size, device=masks.device)
    covering = masks.flatten(1).any(dim=1)
    shares[covering] = (F.adaptive_avg_pool2d(masks[covering].float(), size) / FULL_SHARE).clamp(max=1.0)
    return shares


def known_masks(masks: torch.Tensor) -> torch.Tensor:
    """Which masks of (N, 1, H, W) say something: bool (N,)."""
    return masks[:, 0, 0, 0] != UNKNOWN


ABSENT, PRESENT, UNLABELLED = 0, 1, -1
"""What is said of a family in a picture."""


def family_loss(logits: torch.Tensor, said: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Focal loss of which families the model sees in a picture, over what is known of each.

    Args:
        logits: (N, F) raw.
        said: int (N, F): ``PRESENT``, ``ABSENT`` or ``UNLABELLED``, in the order of the logits.
        gamma: focusing exponent.

    Returns:
        A scalar: the sum over the families, the mean over the pictures.
    """
    known = said != UNLABELLED
    loss = FocalLoss(gamma=gamma, reduction="none")(logits, said.clamp(min=0))
    return (loss * known).sum() / max(len(said), 1)


def unlabelled_left_out(logits: torch.Tensor, said: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The logits (N, F) of families, very low where nobody knows whether a clean picture (``targets`` 0) has that
    family: what is not labelled shall not be learned as absent."""
    return logits.masked_fill((said == UNLABELLED) & (targets < 0.5).unsqueeze(1), LEFT_OUT)


LEFT_OUT = -1e4
"""A logit that counts for nothing in a smooth maximum, in 16 bits, too."""
