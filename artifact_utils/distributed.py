"""Several processes that train one model, started by ``torchrun``. In a single process everything here does nothing.

Each process (a rank) takes its share of every batch, and DistributedDataParallel averages the gradients. Batch norms
see the whole batch on GPUs (SyncBatchNorm); on CPUs each sees the share of its process, as is usual there, and the
statistics of rank 0 are the ones that are kept. Gloo carries what is on the CPU, NCCL what is on a GPU.
"""

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

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
    """Leave the other processes; without any it does nothing."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
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
    except Exception as error:  # whatever it is, the others must not wait for ever
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


def parallel(network: nn.Module) -> nn.Module:
    """The network as a training step calls it: gradients averaged over the processes, if there are several."""
    if world_size() == 1:
        return network
    device = next(network.parameters()).device
    if device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # unlike PyTorch's, it keeps the activation in timm's norms

        return DistributedDataParallel(convert_sync_batchnorm(network), device_ids=[device.index])
    return DistributedDataParallel(network)


def share_statistics(model: nn.Module) -> None:
    """Give every process the buffers of rank 0, so that all evaluate the same model."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
