"""What moves the weights: the optimiser and its rates, the average of the weights, memory that is kept."""

import copy
import ctypes
import math
import os
import sys
from typing import Any, Literal

import torch
from torch import nn

from artifact_utils.models import ArtifactClassifier

Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "step", "exponential", "constant"]


def build_optimizer(
    model: ArtifactClassifier,
    name: Optimizer = "adamw",
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
) -> torch.optim.Optimizer:
    """An optimiser over what is not frozen, all parameters of a device in one pass.

    Args:
        model: on the device that it is trained on.
        name: adamw; adam, with the weight decay in the gradient; or sgd, with Nesterov's momentum of 0.9.
        lr: of the head and the locator, and without layer decay of everything.
        weight_decay: decoupled in AdamW.
        layer_decay: rate of a layer group of the backbone as a share of that of the next.
    """
    device = next(model.parameters()).device
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter, scale in rate_scales(model, layer_decay):
        if parameter.requires_grad:
            groups.setdefault(scale, []).append(parameter)
    parts = [{"params": parameters, "lr": lr * scale} for scale, parameters in groups.items()]
    options: dict[str, Any] = {"weight_decay": weight_decay, "fused": device.type in ("cpu", "cuda")}
    if name == "sgd":
        return torch.optim.SGD(parts, lr=lr, momentum=0.9, nesterov=True, **options)
    return {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name](parts, **options)


def rate_scales(model: ArtifactClassifier, layer_decay: float) -> list[tuple[nn.Parameter, float]]:
    """Each parameter with its share of the learning rate, in the model's order."""
    groups = model.backbone.layer_groups()
    depth = {id(p): len(groups) - i for i, group in enumerate(groups) for p in group}
    return [(p, layer_decay ** depth.get(id(p), 0)) for p in model.parameters()]


def lr_scale(step: int, n_steps: int, n_warmup: float, schedule: Schedule = "cosine") -> float:
    """Factor of the learning rate: a linear warm-up to 1, then down to 0.01, or not at all.

    ``cosine`` and ``exponential`` fall all the time, ``step`` to a tenth after one third and after two.
    """
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    done = min((step - n_warmup) / max(n_steps - n_warmup, 1), 1.0)
    match schedule:
        case "cosine":
            return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
        case "step":
            return float(0.1 ** min(math.floor(3 * done), 2))
        case "exponential":
            return float(0.01**done)
        case "constant":
            return 1.0


class WeightAverage:
    """Exponential moving average of a model's weights and statistics, in ``model``.

    In the first steps the decay is (1 + n) / (10 + n), or the random start would stay in the average of a short run.

    Args:
        model: what is averaged; it must stay on its device.
        decay: share of the average that stays at each step, in [0, 1).
    """

    def __init__(self, model: ArtifactClassifier, decay: float) -> None:
        self.model, self.decay, self.n_steps = copy.deepcopy(model).requires_grad_(False).eval(), decay, 0
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        self._smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        averages, weights = zip(*self._smooth, strict=True)
        torch._foreach_lerp_(averages, weights, 1 - decay)
        if self._counts:
            averages, counts = zip(*self._counts, strict=True)
            torch._foreach_copy_(averages, counts)

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "n_steps": self.n_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.model.load_state_dict(state_dict["model"])
        self.n_steps = state_dict["n_steps"]


def keep_freed_memory() -> None:
    """Let glibc keep the memory of a step for the next, in huge pages, instead of asking the system for it again.

    Each page that comes anew is zeroed by the kernel first, a tenth to a third of the time of a step on two cores.
    Elsewhere than on Linux with glibc nothing happens. Source: mallopt(3), and PyTorch's ``THP_MEM_ALLOC_ENABLE``,
    which its CPU allocator reads when it is first used.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        m_trim_threshold, m_mmap_threshold, largest = -1, -3, 2**31 - 1
        mallopt(m_mmap_threshold, 2**30)
        mallopt(m_trim_threshold, largest)
