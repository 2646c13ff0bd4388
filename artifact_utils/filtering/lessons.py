"""What a person's labels change about a model, as arithmetic on kept features; nothing is read or written here.

A lesson stretches and moves the logit of each family, and moves all of them together by what the averages of the maps
say: the locator, which tens of thousands of made artifacts have taught, stays. All of it is held near what was. Made
artifacts that are learned beside the labels keep it from forgetting the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from scipy.special import logit
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from artifact_utils.metrics.thresholds import choose_threshold
from artifact_utils.models import SHARPNESS

FOLDS = 5
REPEATS = 2
"""Times that all pictures are left out, each time in other company; what is said of a picture is the mean."""
ON_MOVES, ON_GAINS, ON_SCALE, ON_AVERAGES = 0.1, 1.0, 0.1, 1.0
"""Penalties on the calibrated logits that families are moved by; on the logarithms of their gains and of the scale; on
the weights of the averages, in units of their spread. Chosen on natural artifacts, see ``benchmarks/learning.py``."""
BESIDE = 0.1
"""Weight of all that is learned beside the labels, as a share of that of the labels."""
FARTHEST = 6.0
"""Where logarithms of gains and of the scale are cut off: the search may try what no float holds."""
NO_LOOK = -1e4
"""Logit of a look that a picture does not have."""


@dataclass(frozen=True)
class Views:
    """What a model makes of P pictures, each seen in up to L square looks."""

    families: Tensor
    """(P, L, K) float32 logits of the families that count; ``NO_LOOK`` where a picture has fewer looks."""
    averages: Tensor
    """(P, L, C) float32 averages of the maps; 0 there."""
    has_gains: bool = True
    """Whether the logits are those of the locator alone, whose gains can be changed."""

    def __len__(self) -> int:
        return len(self.families)

    def __getitem__(self, chosen: "npt.NDArray[np.int64] | Tensor | slice") -> "Views":
        return Views(self.families[chosen], self.averages[chosen], self.has_gains)


@dataclass(frozen=True)
class Lesson:
    """What was learned: the score of a picture is that of ``taught_scores``."""

    gains: Tensor
    """(K,) that the logits of the families are multiplied with."""
    families: Tensor
    """(K,) added to them then."""
    weights: Tensor
    """(C,) of the averages; with ``constant`` they are added to all families."""
    constant: float
    temperature: float
    threshold: float = 0.5


def scores(views: Views, lesson: Lesson) -> Tensor:
    """Calibrated logits (P,) as the taught model gives them: of each family the look that shows it most clearly."""
    moved = views.averages @ lesson.weights + lesson.constant  # (P, L)
    families = lesson.gains * views.families + lesson.families + moved.unsqueeze(2)
    return _judge(families, SHARPNESS) / lesson.temperature


def _judge(families: Tensor, sharpness: float) -> Tensor:
    """Logits (P,) of pictures from those of the families in their looks (P, L, K)."""
    return torch.logsumexp(sharpness * families.amax(dim=1), dim=1) / sharpness


def untaught(views: Views, temperature: float, threshold: float) -> Lesson:
    """The lesson that changes nothing."""
    n_families, n_channels = views.families.shape[2], views.averages.shape[2]
    return Lesson(torch.ones(n_families), torch.zeros(n_families), torch.zeros(n_channels), 0.0, temperature, threshold)


@dataclass(frozen=True)
class Scaling:
    """Units of the averages: those of the pictures that are learned from, so that one penalty serves all models."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, *views: Views) -> "Scaling":
        """Of all looks that there are."""
        rows = torch.cat([v.averages[v.families[..., 0] > NO_LOOK] for v in views])
        spread = rows.std(dim=0, correction=0)
        floor = max(float(spread.mean()), 1e-6) / 100  # a channel that says nothing shall not be made loud
        return cls(rows.mean(dim=0), spread.clamp(min=floor) * rows.shape[1] ** 0.5)


def fit(views: Views, targets: Tensor, weights: Tensor, temperature: float, scaling: Scaling) -> Lesson:
    """Learn by weighted logistic regression, with penalties that hold the model where it was.

    Args:
        views: of P pictures.
        targets: (P,) float32, 1 for an artifact.
        weights: (P,) float32.
        temperature: of the model.
        scaling: of the averages.
    """
    n_families, n_channels = views.families.shape[2], views.averages.shape[2]
    families = views.families / temperature
    averages = (views.averages - scaling.mean) / scaling.spread
    log_gains, moves, directions = torch.zeros(n_families), torch.zeros(n_families), torch.zeros(n_channels)
    constant, log_scale = torch.zeros(()), torch.zeros(())
    parameters = [tensor.requires_grad_() for tensor in (moves, directions, constant, log_scale)]
    parameters += [log_gains.requires_grad_()] if views.has_gains else []
    optimizer = torch.optim.LBFGS(parameters, max_iter=80, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        scale = log_scale.clamp(-FARTHEST, FARTHEST).exp()
        moved = (averages @ directions + constant) / scale
        changed = log_gains.clamp(-FARTHEST, FARTHEST).exp() * families + moves + moved.unsqueeze(2)
        logits = scale * _judge(changed, SHARPNESS * temperature)
        value = (weights * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum()
        for penalty, values in (
            (ON_MOVES, moves), (ON_AVERAGES, directions), (ON_GAINS, log_gains), (ON_SCALE, log_scale),
        ):  # fmt: skip
            value = value + penalty / 2 * values.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        scaled = temperature / log_scale.clamp(-FARTHEST, FARTHEST).exp()
        per_channel = directions / scaling.spread * scaled
        shift = float(constant * scaled - per_channel @ scaling.mean)
        gains, moves = log_gains.clamp(-FARTHEST, FARTHEST).exp(), moves * temperature
        return Lesson(gains, moves, per_channel, shift, float(scaled))


@dataclass(frozen=True)
class Labels:
    """What is learned from: labelled pictures, and others beside them that are not to be forgotten."""

    views: Views
    targets: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    """Pictures of one group are never parted."""
    beside: Views
    beside_targets: npt.NDArray[np.int64]
    rule: str = "macro_f1"
    """What the threshold is chosen for, see ``metrics.choose_threshold``."""

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> "Labels":
        return Labels(
            self.views[chosen], self.targets[chosen], self.groups[chosen], self.beside, self.beside_targets, self.rule
        )


def teach(labels: Labels, temperature: float, *, seed: int = 0) -> Lesson:
    """Learn from all labels, and choose the threshold on what lessons from the others say of each."""
    left_out = torch.zeros(len(labels.targets))
    for learn, held in folds(labels, seed):
        left_out[held] = scores(labels.views[held], _fit_all(labels[learn], temperature))
    threshold = choose_threshold(torch.sigmoid(left_out.double()).numpy(), labels.targets, labels.rule)
    return replace(_fit_all(labels, temperature), threshold=threshold)


def _fit_all(labels: Labels, temperature: float) -> Lesson:
    n, n_beside = len(labels.targets), len(labels.beside_targets)
    views = joined(labels.views, labels.beside)
    targets = torch.from_numpy(np.concatenate([labels.targets, labels.beside_targets])).float()
    weights = torch.cat([torch.ones(n), torch.full((n_beside,), BESIDE * n / max(n_beside, 1))])
    return fit(views, targets, weights, temperature, Scaling.of(labels.views, labels.beside))


def joined(*parts: Views) -> Views:
    """All pictures of the parts, with as many looks as the one with the most."""
    looks = max(views.families.shape[1] for views in parts)

    def padded(tensor: Tensor, value: float) -> Tensor:
        return F.pad(tensor, (0, 0, 0, looks - tensor.shape[1]), value=value)

    families = torch.cat([padded(views.families, NO_LOOK) for views in parts])
    averages = torch.cat([padded(views.averages, 0.0) for views in parts])
    return Views(families, averages, parts[0].has_gains)


def cross_validate(
    labels: Labels, temperature: float, *, seed: int = 0, on_lesson: Callable[[], object] | None = None
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """What lessons from the other groups say of each picture: calibrated logits (P,) and verdicts (P,).

    The threshold is chosen without the picture, too. ``on_lesson`` is called after each lesson, ``FOLDS * REPEATS``
    times where there are groups enough.
    """
    logits, margins = torch.zeros(2, len(labels.targets))
    for repeat in range(REPEATS):
        for learn, held in folds(labels, seed + repeat):
            lesson = teach(labels[learn], temperature, seed=seed + REPEATS)
            said = scores(labels.views[held], lesson)
            logits[held] += said / REPEATS
            margins[held] += (said - float(logit(np.clip(lesson.threshold, 1e-9, 1 - 1e-9)))) / REPEATS
            if on_lesson is not None:
                on_lesson()
    return logits, (margins >= 0).numpy().astype(np.int64)


def folds(labels: Labels, seed: int) -> Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pictures to learn from and pictures left out, five times or as often as groups and classes allow.

    Where all are of one group, they are parted all the same.
    """
    groups = labels.groups if len(np.unique(labels.groups)) > 1 else np.arange(len(labels.groups))
    rarest = int(np.bincount(labels.targets, minlength=2).min())
    n = min(FOLDS, len(np.unique(groups)), rarest)
    splitter = StratifiedGroupKFold(max(n, 2), shuffle=True, random_state=seed)
    return list(splitter.split(labels.targets, labels.targets, groups))
