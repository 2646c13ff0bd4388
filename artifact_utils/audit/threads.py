"""Work done side by side, a little ahead of whoever takes the results."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 64  # results there may be that nobody has taken yet


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None) -> Iterator[Result]:
    """The results for all items, in order, however many those are.

    Args:
        work: what a thread does with an item; gains where it releases Python's lock.
        items: taken as they are needed.
        workers: threads; all cores by default.
    """
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) == _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not first finish the queue
