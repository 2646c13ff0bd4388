"""Memory on the CPU: what one training step frees, the next one uses again."""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> None:
    """Tell the allocator not to hand large buffers back to the system, and to take them in huge pages.

    Otherwise every step asks anew for the memory of its activations, and the system fills it page by page: a fifth to a
    third of the time of a step on two cores (``benchmarks/memory.py``). The process then stays as large as its largest
    step. Does nothing where the C library is not glibc.

    Source: mallopt(3); ``THP_MEM_ALLOC_ENABLE`` of PyTorch's CPU allocator, read when it is first used.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
