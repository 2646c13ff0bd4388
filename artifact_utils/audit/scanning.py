"""Measuring every picture of a folder into one table, in parallel, and going on where an earlier scan stopped."""

import glob
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from artifact_utils.audit.picture_statistics import SCAN_COLUMNS, measure_picture, outline, printable
from artifact_utils.console import ArtifactUtilsError, progress_bar
from artifact_utils.files.writing import write_bytes
from artifact_utils.images import PICTURE_SUFFIXES

PART_ROWS = 1000  # measured between two saves: what a kill can cost
_AHEAD = 64  # pictures a worker pool is ahead of whoever takes the rows


class AuditError(ArtifactUtilsError):
    """What cannot be audited as asked."""


def scan(
    folder: str | Path, *, table: str | Path | None = None, at_most: int | None = None, workers: int | None = None
) -> pd.DataFrame:
    """Measure every picture below a folder, one row a file, each read and decoded once.

    Threads do the work: decoding, resizing and counting release Python's lock.

    Args:
        folder: organised (``train/artifacts/x.png``) or raw (``train/x_1.png``); hidden files are passed over.
        table: a Parquet file to save the table to, and to go on from: files that it holds and that have not changed
            since are not read again. While the scan runs, rows are saved beside it every 1,000 pictures.
        at_most: measure no more pictures than this, evenly spread over the sorted paths and so over splits and classes.
        workers: threads; all cores by default.

    Returns:
        Sorted by path, with the columns

        - ``path`` (relative, posix), ``split`` (first folder, or empty), ``class_name`` (from the folder or else from
          the name, or empty), ``readable``, ``reason`` (why not, or empty), ``changed_ns`` (nanoseconds since 1970);
        - ``format`` and ``mode`` (of the file, as in PIL), ``suffix_fits`` (the name says the same format), ``width``
          and ``height`` (pixels, as displayed), ``aspect`` (width / height), ``bytes``, ``orientation`` (EXIF, 1 where
          it says none), ``jpeg_quality`` (1 to 100, missing for other formats);
        - ``brightness`` (perceived, of the mean colour), ``brightness_p5`` and ``brightness_p99`` (5th and 99th
          percentile over the pixels), ``contrast`` (deviation of the grey levels), ``saturation`` (mean), ``red``,
          ``green``, ``blue`` (means), ``colour_gap`` (99th percentile of the largest minus the smallest channel),
          ``border`` (share of the height or width that is uniform strips at the edges), all in [0, 1];
        - ``sharpness`` (variance of the Laplacian of the grey levels 0..255), ``edges`` (deviation of the edge
          strengths at 64 px) and ``histogram_spread`` (deviation of the counts of grey levels there), ``entropy``
          (bits, of the colour histogram);
        - ``sha256`` (of the file) and ``thumbnail`` (grey, 64 x 64 pixels, in rows).

        What could not be measured of an unreadable picture is missing or empty.

    Raises:
        AuditError: there is no such folder, ``at_most`` is less than 1, or ``table`` is no table.
    """
    root = Path(folder)
    if not root.is_dir():
        raise AuditError(f"no folder {str(folder)!r} to audit")
    files = sorted(pictures(root))
    if at_most is not None:
        if at_most < 1:
            raise AuditError(f"at most {at_most} pictures leaves nothing to audit: allow 1 or more")
        files = files[:: -(-len(files) // at_most) or 1]
    known = _typed([]) if table is None else _load(Path(table))
    name_of = {file: printable(file.relative_to(root).as_posix()) for file in files}
    changed = {name_of[file]: _changed_ns(file) for file in files} if len(known) else {}
    as_it_was = [changed.get(path) == when for path, when in zip(known["path"], known["changed_ns"], strict=True)]
    known = known[pd.Series(as_it_was, index=known.index, dtype=bool)]
    held = set(known["path"])
    todo = [file for file in files if name_of[file] not in held]
    chunks = [known] if len(known) else []
    rows = _in_order(lambda file: measure_picture(file, root, _changed_ns(file)), todo, workers)
    while part := [row for _, row in zip(range(PART_ROWS), rows, strict=False)]:
        chunks.append(_typed(part))
        if table is not None and len(part) == PART_ROWS:
            _save(chunks[-1], _next_part(Path(table)))
    result = pd.concat(chunks).sort_values("path", ignore_index=True) if chunks else _typed([])
    if table is not None:
        _save(result, Path(table))
        for old in _parts(Path(table)):
            old.unlink()
    return result


def outlines(paths: Iterable[str | Path], *, workers: int | None = None) -> pd.DataFrame:
    """Of the table of ``scan`` what duplicates are found by, see ``outline``, for single files in the order given."""
    rows = list(_in_order(outline, [Path(path) for path in paths], workers))
    return pd.DataFrame(rows, columns=["path", "readable", "sha256", "thumbnail"])


def pictures(root: Path) -> Iterator[Path]:
    """Every picture file below a folder; does not follow links to folders, so that loops cannot trap it."""
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(PICTURE_SUFFIXES):
                yield Path(parent) / name


def _in_order(
    work: Callable[[Path], dict[str, Any]], paths: list[Path], workers: int | None
) -> Iterator[dict[str, Any]]:
    """The rows of pictures, in order, measured a few ahead of whoever takes them."""
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    pending: deque[Future[dict[str, Any]]] = deque()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # decode_image has a limit of its own
            for path in progress_bar(paths, "audit", unit="img", only_in_terminal=True):
                pending.append(pool.submit(work, path))
                if len(pending) == _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not first finish the queue


def _changed_ns(path: Path) -> int:
    """When a file last changed, its content or its name; 0 if that cannot be said.

    Asked before reading: if it changes meanwhile, the next scan reads it again.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL byte in the name
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(SCAN_COLUMNS)).astype(SCAN_COLUMNS)


def _load(table: Path) -> pd.DataFrame:
    """The rows of a table and of the parts that a stopped scan left; none of one that another version wrote."""
    found = []
    for file in [table, *_parts(table)]:
        if file.is_file():
            frame = _read(file)
            found += [frame] if list(frame.columns) == list(SCAN_COLUMNS) else []
    if not found:
        return _typed([])
    return pd.concat(found).drop_duplicates("path", keep="last")


def _read(file: Path) -> pd.DataFrame:
    try:
        return pq.read_table(file).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise AuditError(f"{str(file)!r} is no table of an audit ({error}): remove it, or name another") from error


def _save(frame: pd.DataFrame, file: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, memoryview(sink.getvalue()))


def _next_part(table: Path) -> Path:
    """A name behind those of the parts that there are."""
    last = max((int(part.name.split(".")[-2]) for part in _parts(table)), default=0)
    return table.with_name(f"{table.name}.{last + 1:06d}.part")


def _parts(table: Path) -> list[Path]:
    return sorted(table.parent.glob(f"{glob.escape(table.name)}.[0-9][0-9][0-9][0-9][0-9][0-9].part"))
