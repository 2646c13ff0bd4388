"""What goes through the stages: pictures in shards, and the state that all processes share.

Ray Data moves a shard as one row with one value, the pickled `Shard`; only the stages look into it. Nothing here
imports PyTorch, so that the process that lists pictures starts quickly.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artifact_utils.scale.scale_options import ScaleError
from artifact_utils.scale.score_parts import find_digests
from artifact_utils.scale.stores import Entry, Store, error_text

if TYPE_CHECKING:
    from artifact_utils.transforms.looks import Seen

SHARD = 64
"""Pictures of a shard: what is decoded by one task and scored by one call."""
LOOK_UP = 1024  # listed between two looks at what is known

Row = dict[str, bytes]
"""``{"shard": ...}``: a row of Ray Data."""


@dataclass(frozen=True)
class Shard:
    """Some pictures on their way, and what is known of them so far."""

    known: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Of pictures that have a row already: where they are in ``Known``."""
    entries: tuple[Entry, ...] = ()
    """Pictures to score, in the version that is scored."""
    seen: "tuple[Seen | str, ...]" = ()
    """Of each entry, once it is decoded: what is seen, as arrays, or why it cannot be read."""
    unfetched: tuple[str, ...] = ()
    """Why pictures were left out that could not be fetched."""
    rows: pa.Table | None = None
    """Once they are scored."""

    def row(self) -> Row:
        return {"shard": pickle.dumps(self, protocol=5)}


def open_row(row: Row) -> Shard:
    """The shard that a row of Ray Data is."""
    return pickle.loads(row["shard"])


def list_shards(store: Store, digests: npt.NDArray[np.bytes_]) -> Iterator[dict[str, list[bytes]]]:
    """Batches of one row: shards of pictures that have no row yet, and the places of those that have.

    Args:
        store: of the pictures.
        digests: of the pictures that have a row, sorted.

    Raises:
        ScaleError: the file system does not answer any more.
    """
    entries, fresh = store.entries(), list[Entry]()
    while found := _next_entries(store, entries):
        asked = np.array([entry.digest() for entry in found], digests.dtype)
        places = find_digests(digests, asked)
        if (places >= 0).any():
            yield _batch(Shard(known=places[places >= 0]))
        fresh += [entry for entry, place in zip(found, places, strict=True) if place < 0]
        while len(fresh) >= SHARD:
            yield _batch(Shard(entries=tuple(fresh[:SHARD])))
            del fresh[:SHARD]
    if fresh:
        yield _batch(Shard(entries=tuple(fresh)))


def _next_entries(store: Store, entries: Iterator[Entry]) -> list[Entry]:
    try:
        return list(islice(entries, LOOK_UP))
    except OSError as error:
        raise ScaleError(
            f"{store} cannot be listed to the end ({error_text(error)}): the same command goes on from what is scored"
        ) from error


def _batch(shard: Shard) -> dict[str, list[bytes]]:
    return {"shard": [shard.row()["shard"]]}


class Keeper:
    """An actor that gives every process the files of the model, and one execution the ticket to list pictures."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.taken = files, False

    def model(self) -> dict[str, bytes]:
        return self.files

    def take_ticket(self) -> bool:
        """Whether it was still there: Ray executes what was lost again."""
        self.taken, was_there = True, not self.taken
        return was_there


class ListingLostError(Exception):
    """A listing was about to be executed a second time; it may then give other shards than those under way."""
