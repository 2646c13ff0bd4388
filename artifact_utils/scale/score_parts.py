"""The scores of one folder as Parquet files, a row a picture exactly once, whole after a kill at any moment.

``_about.json`` says what was scored with which model. ``part-00000000.parquet`` and so on are a log: whoever appends
has read all parts before, and writes the next number only if nobody else has. So neither a second run nor what is left
of a killed one can add a picture twice. Rows of pictures that have changed or gone are taken out when a run has seen
the whole folder.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from artifact_utils.predictions import TOO_SMALL
from artifact_utils.scale.scale_options import ScaleError
from artifact_utils.scale.stores import DIGEST_BYTES, Store, entry_digest, error_text

ABOUT = "_about.json"
FORMAT = "artifact_utils scores 1"
VERSION_COLUMNS = ["path", "size", "mtime_ns", "etag"]
PLACE = pa.struct([(name, pa.int32()) for name in ("x", "y", "left", "top", "right", "bottom")])
ANOTHER = "name another folder with --scores"


@dataclass(frozen=True)
class About:
    """What all rows of a set of scores have in common."""

    source: str
    """The scored folder, as a path or URL."""
    model: str
    """SHA-256 of the file of the model."""
    threshold: float
    counted: tuple[str, ...] = ()
    """The families of artifacts that count for the verdict."""
    families: tuple[str, ...] = ()
    """Those that the model tells apart."""
    sharpness: float = 1.0
    """Of the smooth maximum over their logits."""
    format: str = FORMAT

    @property
    def schema(self) -> pa.Schema:
        """Of the parts.

        ``path`` is below the folder. ``probability`` and ``flagged`` are missing where ``reason`` says why a picture
        could not be judged. ``place`` is that of ``family``, in pixels. ``families`` has the probability of each.
        """
        told = [("families", pa.struct([(name, pa.float32()) for name in self.families]))] if self.families else []
        return pa.schema(
            [
                ("path", pa.string()),
                ("size", pa.int64()),
                ("mtime_ns", pa.int64()),
                ("etag", pa.string()),
                ("probability", pa.float64()),
                ("family", pa.string()),
                ("place", PLACE),
                ("flagged", pa.bool_()),
                ("reason", pa.string()),
                ("model", pa.string()),
                *told,
            ]
        )


class Known:
    """The pictures that have a row, by their digests: 21 bytes each, whatever their paths are.

    Args:
        digests: (N,) bytes of `Entry.digest`.
        parts: (N,) the number of the part that each is in.
    """

    def __init__(self, digests: npt.NDArray[np.bytes_], parts: npt.NDArray[np.int32]) -> None:
        order = np.argsort(digests, kind="stable")
        self.digests, self.parts = digests[order], parts[order]
        self.seen = np.zeros(len(digests), bool)


def find_digests(known: npt.NDArray[np.bytes_], asked: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
    """The places of digests among sorted ones, -1 where they are not."""
    if not len(known):
        return np.full(len(asked), -1, np.int64)
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[places] == asked, places, -1)


@dataclass(frozen=True)
class PartCounts:
    """What is in a set of scores."""

    n: int = 0
    flagged: int = 0
    unreadable: int = 0
    too_small: int = 0


class ScoreParts:
    """The set of scores in a folder; it is begun there if there is none.

    Raises:
        ScaleError: the folder holds other things, or the scores of another folder, model or threshold.
    """

    def __init__(self, store: Store, about: About) -> None:
        self.store, self.about = store, about
        if not (names := store.names()):
            try:
                store.put_new(ABOUT, json.dumps(asdict(about), indent=2).encode())
            except FileExistsError as error:
                raise ScaleError(f"another run has just begun to write to {store}: wait for it") from error
        elif ABOUT not in names:
            raise ScaleError(f"{store} holds other things, such as {min(names)!r}: name an empty folder with --scores")
        else:
            _compare(store, read_about(store), about)
        self._next = max((number for number, _ in self._parts()), default=-1) + 1

    def _parts(self) -> Iterator[tuple[int, str]]:
        """Number and name of each, in order."""
        for name in sorted(part_names(self.store.names())):
            yield int(name[5:-8]), name

    def known(self) -> Known:
        """The pictures that have a row now; what was appended by others since is taken in."""
        digests, parts = [np.empty(0, f"S{DIGEST_BYTES}")], [np.empty(0, np.int32)]
        for number, name in self._parts():
            digests.append(_row_digests(self._read(name, VERSION_COLUMNS)))
            parts.append(np.full(len(digests[-1]), number, np.int32))
            self._next = number + 1
        return Known(np.concatenate(digests), np.concatenate(parts))

    def append(self, rows: pa.Table) -> None:
        """Write the next part.

        Raises:
            ScaleError: another run has written one meanwhile, or the file system does not take it.
        """
        try:
            self.store.put_new(part_name(self._next), _parquet(rows))
        except FileExistsError as error:
            raise ScaleError(f"another run is at work on {self.store}: wait for it, or go on with that") from error
        except OSError as error:
            raise ScaleError(
                f"{self.store} cannot be written to ({error_text(error)}): the same command goes on from what is there"
            ) from error
        self._next += 1

    def forget_unseen(self, known: Known) -> int:
        """Take the rows out that were not seen while the folder was listed; returns how many those are."""
        gone = np.sort(known.digests[~known.seen])
        for number in np.unique(known.parts[~known.seen]).tolist():
            name = part_name(number)
            rows = self._read(name)
            stays = find_digests(gone, _row_digests(rows)) < 0
            self.store.put(name, _parquet(rows.filter(pa.array(stays))))
        return len(gone)

    def count(self) -> PartCounts:
        """Count the rows, column by column."""
        n = flagged = unjudged = too_small = 0
        for _, name in self._parts():
            rows = self._read(name, ["flagged", "reason"])
            n += len(rows)
            flagged += rows["flagged"].to_pylist().count(True)
            unjudged += rows["flagged"].null_count
            too_small += rows["reason"].to_pylist().count(TOO_SMALL)
        return PartCounts(n, flagged, unjudged - too_small, too_small)

    def _read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(self.store.get(name)), columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise ScaleError(f"{name} in {self.store} cannot be read ({error}): {ANOTHER}") from error


def part_name(number: int) -> str:
    return f"part-{number:08d}.parquet"


def part_names(names: Sequence[str]) -> list[str]:
    """Those names that are parts'."""
    return [name for name in names if name[:5] == "part-" and name[5:-8].isdecimal() and name[-8:] == ".parquet"]


def read_about(store: Store) -> About:
    """What a set of scores says of itself.

    Raises:
        ScaleError: it does not say it, or another version wrote it.
    """
    try:
        said = json.loads(store.get(ABOUT))
        names = {name: tuple(map(str, said[name])) for name in ("counted", "families")}
        about = About(**{**said, **names, "source": str(said["source"]), "threshold": float(said["threshold"])})
        if not 0 <= about.threshold <= 1:
            raise ValueError(f"the threshold is {about.threshold}")
    except FileNotFoundError as error:
        raise ScaleError(f"there are no scores in {store}: filter_images.py --engine ray writes them") from error
    except (ValueError, TypeError, KeyError) as error:  # somebody else's JSON
        raise ScaleError(f"{ABOUT} in {store} cannot be read ({error}): {ANOTHER}") from error
    if about.format != FORMAT:
        raise ScaleError(f"{store} has scores of another version ({about.format!r}): {ANOTHER}")
    return about


def _compare(store: Store, there: About, about: About) -> None:
    if there.source != about.source:
        raise ScaleError(f"{store} has the scores of {there.source}: {ANOTHER}")
    if there.model != about.model:
        raise ScaleError(f"{store} has the scores of another model: {ANOTHER}")
    if there != about:
        families = f" of {', '.join(there.counted)}" if there.counted else ""
        raise ScaleError(
            f"{store} was flagged from {there.threshold:.6g}{families} on: ask for the same, or {ANOTHER}; "
            "python -m artifact_utils.filtering.select flags at any threshold"
        )


def _row_digests(rows: pa.Table) -> npt.NDArray[np.bytes_]:
    columns = zip(*(rows[name].to_pylist() for name in VERSION_COLUMNS), strict=True)
    return np.array([entry_digest(*row) for row in columns], f"S{DIGEST_BYTES}")


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
