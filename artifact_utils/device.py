"""Where and in which arithmetic a network runs: the device, the type for mixed precision, the memory of the CPU."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from artifact_utils.config import ConfigError, Precision


def resolve_device(name: str) -> str:
    """Turn ``auto`` into the best device there is, and make sure that a device asked for by name can compute.

    Raises:
        ConfigError: no such device on this machine, or one that holds no numbers, such as ``meta``.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used ({reason}): leave --device out, or say cpu") from error
    return name


def amp_dtype(device: torch.device) -> torch.dtype | None:
    """Type for mixed precision: bf16 where the GPU computes in it, fp16 on older ones, None (fp32) elsewhere."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def training_dtype(device: torch.device, precision: Precision, *, dense: bool) -> torch.dtype | None:
    """Type for mixed precision in training, None for fp32; the same on every machine of a kind, whatever else runs.

    Args:
        device: that is trained on.
        precision: fp32, bf16 or fp16 as asked for, or auto.
        dense: whether the network is one of dense convolutions and matrix products (``Backbone.is_dense``), which units
            for bf16 multiply faster; depthwise convolutions wait for memory and gain nothing on a CPU.
    """
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cpu":
        return torch.bfloat16 if dense and cpu_has_bf16() else None
    return amp_dtype(device)


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies in bf16 (AVX512-BF16 or AMX) rather than emulating it."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@cache
def openvino_core() -> Any:
    """OpenVINO, one for all models and kept until the process ends.

    Each of its cores gives the thread that loads it another stack for signals, since those of CPUs with AMX need more.
    With two of them the one that goes last puts back the stack of the other, which is gone: the next Ctrl-C would be a
    segmentation fault, or overwrite whatever lies there by then.

    Raises:
        ImportError: it is not installed.
    """
    import openvino

    return openvino.Core()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of the CPU in here: many small steps would wait for each other more than they compute."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)


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
