"""What a person at a terminal sees: errors in one line, and progress bars, which ``TQDM_DISABLE=1`` hides."""

import os
from collections.abc import Iterable
from typing import Any

import tqdm
import tqdm.auto


class ArtifactUtilsError(Exception):
    """What the package raises when the user can put it right: the message names the thing and the way out."""


def progress_bar(
    items: Iterable[Any] | None = None,
    label: str | None = None,
    *,
    shown: bool = True,
    only_in_terminal: bool = False,
    **options: Any,
) -> Any:
    """A bar of tqdm over ``items``, or one to ``update`` by hand.

    tqdm itself reads ``TQDM_DISABLE`` only where its argument ``disable`` is left out, and in notebooks never.

    Args:
        items: what is counted.
        label: in front of the bar.
        shown: whether there is a bar at all.
        only_in_terminal: whether logs and notebooks are spared.
        options: of tqdm, such as ``total`` and ``unit``.
    """
    if not shown or os.environ.get("TQDM_DISABLE"):
        return tqdm.tqdm(items, label, disable=True, **options)
    if only_in_terminal:
        return tqdm.tqdm(items, label, disable=None, **options)
    return tqdm.auto.tqdm(items, label, disable=False, **options)
