"""The stages that look at pictures: decoding and scoring, each from one shard to the next.

A picture that cannot be read becomes a row with a reason. One that cannot be fetched now, since the file system does
not answer, gets no row: the next run asks for it again.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import pyarrow as pa
import torch

from artifact_utils.audit.picture_statistics import printable
from artifact_utils.config import Aspect
from artifact_utils.files.budgets import reserve_bytes
from artifact_utils.images import ImageError, decode_with_size
from artifact_utils.predictions import TOO_SMALL, Prediction
from artifact_utils.scale.score_parts import About
from artifact_utils.scale.shards import Row, open_row
from artifact_utils.scale.stores import Entry, Store, error_text
from artifact_utils.squares import ahead
from artifact_utils.transforms.looks import Seen, see

FETCHED_AT_ONCE = 8  # threads of a task: an answer of an object store takes longer than decoding
TRIES = 3  # versions of a picture that changes again and again


class Judges(Protocol):
    """What scores: a ``Detector``, or a stand-in for one."""

    def judge(self, pictures: list[Seen]) -> list[Prediction]: ...


def decode_shard(row: Row, store: Store, image_size: int, aspect: Aspect) -> Row:
    """Fetch the pictures of a shard and bring them to the squares that the model looks at."""
    shard = open_row(row)
    entries, seen, unfetched = list[Entry](), list[Seen | str](), list[str]()

    def attempt(entry: Entry) -> tuple[Entry, Seen | str] | OSError:
        try:
            return see_entry(store, entry, image_size, aspect)
        except OSError as error:
            return error

    for entry, outcome in ahead(attempt, shard.entries, workers=FETCHED_AT_ONCE):
        if isinstance(outcome, OSError):
            unfetched.append(f"{entry.path!a}: {error_text(outcome)}")
            continue
        entry, what = outcome
        entries.append(entry)
        seen.append(what if isinstance(what, str) else what._replace(squares=what.squares.numpy()))  # type: ignore[arg-type]
    return replace(shard, entries=tuple(entries), seen=tuple(seen), unfetched=tuple(unfetched)).row()


def see_entry(store: Store, entry: Entry, image_size: int, aspect: Aspect) -> tuple[Entry, Seen | str]:
    """A picture in the version that was read, and what is seen of it or why it cannot be read.

    Raises:
        OSError: the file system does not answer.
    """
    try:
        for _ in range(TRIES):
            with reserve_bytes(entry.size):
                content = store.read(entry)
                if content is not None:
                    image, size = decode_with_size(content, entry.path, min_side=image_size)
                    return entry, see(image, size, image_size, aspect)
            entry = store.entry(entry.path)  # it has changed since
    except ImageError as error:
        return entry, error.reason
    return entry, "changes while it is read"


class ScoreShards:
    """Scores shards with a model that is loaded once a process.

    Args:
        open_detector: loads it.
        about: the scores.
        batch_size: squares that the network looks at at once.
        n_threads: of the network on a CPU.
    """

    def __init__(self, open_detector: Callable[[], Judges], about: About, batch_size: int, n_threads: int) -> None:
        from artifact_utils.device import keep_freed_memory

        keep_freed_memory()
        torch.set_num_threads(n_threads)
        self.detector, self.about, self.batch_size = open_detector(), about, batch_size

    def __call__(self, row: Row) -> Row:
        shard = open_row(row)
        predictions = iter(self._judge([what for what in shard.seen if not isinstance(what, str)]))
        outcomes = [what if isinstance(what, str) else next(predictions) for what in shard.seen]
        rows = score_rows(shard.entries, outcomes, self.about) if outcomes else None
        return replace(shard, entries=(), seen=(), rows=rows).row()

    def _judge(self, pictures: list[Seen]) -> Iterator[Prediction]:
        waiting, n_looks = list[Seen](), 0
        for seen in pictures:
            waiting.append(seen._replace(squares=torch.from_numpy(seen.squares)))
            n_looks += len(seen.looks)
            if n_looks >= self.batch_size:
                yield from self.detector.judge(waiting)
                waiting, n_looks = [], 0
        if waiting:
            yield from self.detector.judge(waiting)


def score_rows(entries: tuple[Entry, ...], outcomes: list[Prediction | str], about: About) -> pa.Table:
    """The rows of pictures: of each the prediction, or why there is none."""
    rows: list[dict[str, Any]] = []
    for entry, outcome in zip(entries, outcomes, strict=True):
        row: dict[str, Any] = {
            "path": printable(entry.path),
            "size": entry.size,
            "mtime_ns": entry.mtime_ns,
            "etag": entry.etag,
            "model": about.model,
        }
        if isinstance(outcome, str) or outcome.too_small:
            reason = outcome if isinstance(outcome, str) else TOO_SMALL
            row |= {"reason": reason.encode("utf-8", "backslashreplace").decode(), "family": ""}
        else:
            row |= {
                "probability": outcome.probability,
                "family": outcome.family,
                "place": outcome.place._asdict() if outcome.place else None,
                "flagged": outcome.flagged,
                "reason": "",
                "families": outcome.families or None,
            }
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=about.schema)
