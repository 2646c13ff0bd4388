"""Several processes that train as one: what ``torchrun`` starts. In a process of its own everything here does nothing.

Each process (a rank) takes its part of every batch; DistributedDataParallel averages the gradients, and batch norms see
the whole batch. So N processes with a batch of B do what one does with a batch of N * B. Gloo carries what is on the
CPU, NCCL what is on a GPU.
"""

import atexit
import inspect
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from artifact_utils.models import ArtifactClassifier

T = TypeVar("T")


def join() -> None:
    """Meet the other processes, if ``torchrun`` started any; a second call does nothing."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    # long, since the others wait while one decodes a large data set; a process that dies is noticed at once
    dist.init_process_group(backend, timeout=timedelta(hours=2))
    atexit.register(leave)


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", 0))


def own_device(name: str) -> torch.device:
    """The device of this process: with several, each has a GPU of its own."""
    if name == "cuda" and world_size() > 1:
        return torch.device("cuda", local_rank() % torch.cuda.device_count())
    return torch.device(name)


def on_rank_0(function: Callable[[], T]) -> T:
    """Call it in the first process and give every process the result, or none of them: an error ends them all.

    Raises:
        SystemExit: in the other processes, where the first had an error, which it raises and reports itself.
    """
    if world_size() == 1:
        return function()
    outcome: list[Any] = [None, "stopped"]
    try:
        if rank() == 0:
            outcome = [function(), None]
    except Exception as error:
        outcome = [None, str(error)]
        raise
    finally:
        dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise SystemExit(2)
    return outcome[0]  # type: ignore[no-any-return]


def rank_0_first(function: Callable[[], T]) -> T:
    """Call it in every process, in the first before the others: they find what it has put on the disk."""
    results: list[T] = []
    on_rank_0(lambda: results.append(function()))
    return results[0] if results else function()


def total(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def mean(tensor: Tensor) -> Tensor:
    """The mean over all processes, in place."""
    return total(tensor).div_(world_size()) if world_size() > 1 else tensor


def anywhere(flag: bool) -> bool:
    """Whether the flag is up in any process: all of them get the same answer."""
    return bool(total(torch.tensor(float(flag))) > 0)


class Locating(nn.Module):
    """A model whose forward pass says where, too: DistributedDataParallel and the compiler only know ``forward``."""

    def __init__(self, model: ArtifactClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:  # (B, 3, S, S) -> (B,) and (B, h, w)
        return self.model.locate(images)


def parallel(model: ArtifactClassifier) -> nn.Module:
    """The model as what a training step calls: averaged over the processes, if there are several."""
    if world_size() == 1:
        return Locating(model)
    device = next(model.parameters()).device
    ids = [device.index] if device.type == "cuda" else None
    # batch norms agree on their statistics in the forward pass: there are no buffers left to broadcast
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # what it was before
    option: dict[str, Any] = {name: False}
    return DistributedDataParallel(Locating(model), device_ids=ids, **option)


def share_statistics(model: ArtifactClassifier) -> ArtifactClassifier:
    """Let batch norms and dropout see the batch of all processes, not only their own part, while they train."""
    if world_size() == 1:
        return model
    for module in model.modules():  # a new class: the same parameters and buffers under the same names
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.__class__ = _SharedDropout if isinstance(module, nn.Dropout) else _SharedDropout2d
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and not next(model.parameters()).is_cuda:
            module.__class__ = _SharedBatchNorm  # type: ignore[assignment]
    if next(model.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-any-return]
    return model


class _SharedDropout(nn.Dropout):
    """Draws for the batch of all processes, whose generators agree, and takes the part of this one."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return input
        return input * _own_part_of_mask(input, input.shape[1:], self.p)


class _SharedDropout2d(nn.Dropout2d):
    """The same for whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        return input * _own_part_of_mask(input, (input.shape[1], 1, 1), self.p) if self.training else input


def _own_part_of_mask(input: Tensor, shape: Sequence[int], p: float) -> Tensor:
    kept = input.new_empty(len(input) * world_size(), *shape).bernoulli_(1 - p).div_(1 - p)
    return kept[rank() * len(input) : (rank() + 1) * len(input)]


class _SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """``SyncBatchNorm`` for the CPU, where PyTorch has none: the moments are averaged over the processes.

    Only parts of the same size make that average the moments of the whole; the sampler hands out no others.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        others = [0, *range(2, input.dim())]
        wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        variance, middle = torch.var_mean(wide, dim=others, correction=0)
        middle, variance = middle.double(), variance.double()  # the difference below would cancel in single precision
        moments = _SumOverRanks.apply(torch.stack([middle, variance + middle**2])) / world_size()
        middle, variance = moments[0], moments[1] - moments[0] ** 2
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                n = input.numel() // input.shape[1] * world_size()
                momentum = 0.1 if self.momentum is None else self.momentum
                self.num_batches_tracked += 1
                self.running_mean.lerp_(middle.to(self.running_mean.dtype), momentum)
                self.running_var.lerp_((variance * n / (n - 1)).to(self.running_var.dtype), momentum)
        shape = [1, -1, *[1] * (input.dim() - 2)]
        factor = (
            torch.rsqrt(variance + self.eps) if self.weight is None else self.weight / torch.sqrt(variance + self.eps)
        )
        middle, factor = (x.to(input.dtype).view(shape) for x in (middle, factor))
        scaled = (input - middle) * factor
        return scaled if self.bias is None else scaled + self.bias.view(shape)


class _SumOverRanks(torch.autograd.Function):
    """A sum over all processes; each gets back the gradients of all."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return total(tensor.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient.clone())
