"""Measuring every picture of a folder into one table, in parallel, and going on where an earlier scan stopped."""

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from artifact_utils.audit.picture_statistics import SCAN_COLUMNS, measure_picture, outline, printable
from artifact_utils.audit.threads import in_order
from artifact_utils.console import ArtifactUtilsError, progress_bar
from artifact_utils.files.writing import write_bytes
from artifact_utils.images import PICTURE_SUFFIXES

PART_ROWS = 1000  # measured between two saves: what a kill can cost

Name = TypeVar("Name", str, Path)


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
    files = spread_evenly(sorted(pictures(root)), at_most)
    known = typed_rows([]) if table is None else _load(Path(table))
    name_of = {file: printable(file.relative_to(root).as_posix()) for file in files}
    changed = {name_of[file]: changed_ns(file) for file in files} if len(known) else {}
    as_it_was = [changed.get(path) == when for path, when in zip(known["path"], known["changed_ns"], strict=True)]
    known = known[pd.Series(as_it_was, index=known.index, dtype=bool)]
    held = set(known["path"])
    todo = [file.relative_to(root) for file in files if name_of[file] not in held]
    chunks = [known] if len(known) else []
    for chunk in measured_parts(root, todo, workers):
        chunks.append(chunk)
        if table is not None and len(chunk) == PART_ROWS:
            save_rows(chunk, _next_part(Path(table)))
    result = pd.concat(chunks).sort_values("path", ignore_index=True) if chunks else typed_rows([])
    if table is not None:
        save_rows(result, Path(table))
        for old in _parts(Path(table)):
            old.unlink()
    return result


def outlines(paths: Iterable[str | Path], *, workers: int | None = None) -> pd.DataFrame:
    """Of the table of ``scan`` what duplicates are found by, see ``outline``, for single files in the order given."""
    rows = list(_rows(outline, [Path(path) for path in paths], workers))
    return pd.DataFrame(rows, columns=["path", "readable", "sha256", "thumbnail"])


def pictures(root: Path) -> Iterator[Path]:
    """Every picture file below a folder; does not follow links to folders, so that loops cannot trap it.

    Raises:
        AuditError: there is no such folder.
    """
    if not root.is_dir():
        raise AuditError(f"no folder {str(root)!r} to audit")
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(PICTURE_SUFFIXES):
                yield Path(parent) / name


def spread_evenly(files: list[Name], at_most: int | None) -> list[Name]:
    """No more than so many of a sorted list, evenly spread.

    Raises:
        AuditError: that would be none.
    """
    if at_most is None:
        return files
    if at_most < 1:
        raise AuditError(f"at most {at_most} pictures leaves nothing to audit: allow 1 or more")
    return files[:: -(-len(files) // at_most) or 1]


def measured_parts(root: Path, files: Sequence[str | Path], workers: int | None) -> Iterator[pd.DataFrame]:
    """The rows of files, in order, 1,000 at a time; their paths are relative to the folder."""
    rows = _rows(lambda file: measure_picture(root / file, root, changed_ns(root / file)), files, workers)
    while part := [row for _, row in zip(range(PART_ROWS), rows, strict=False)]:
        yield typed_rows(part)


def _rows(
    work: Callable[[Any], dict[str, Any]], files: Sequence[str | Path], workers: int | None
) -> Iterator[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # decode_image has a limit of its own
        yield from in_order(work, progress_bar(files, "audit", unit="img", only_in_terminal=True), workers)


def changed_ns(path: Path) -> int:
    """When a file last changed, its content or its name; 0 if that cannot be said.

    Asked before reading: if it changes meanwhile, the next scan reads it again.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL byte in the name
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns)


def typed_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A table with the columns of ``scan``."""
    return pd.DataFrame(rows, columns=list(SCAN_COLUMNS)).astype(SCAN_COLUMNS)


def _load(table: Path) -> pd.DataFrame:
    """The rows of a table and of the parts that a stopped scan left; none of one that another version wrote."""
    found = []
    for file in [table, *_parts(table)]:
        if file.is_file():
            frame = read_rows(file).to_pandas()
            found += [frame] if list(frame.columns) == list(SCAN_COLUMNS) else []
    if not found:
        return typed_rows([])
    return pd.concat(found).drop_duplicates("path", keep="last")


def read_rows(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns, or all, of a Parquet file.

    Raises:
        AuditError: it is none, or has no such columns.
    """
    try:
        with pq.ParquetFile(file) as opened:
            if missing := set(columns or ()) - set(opened.schema_arrow.names):
                raise pa.ArrowKeyError(f"no column {min(missing)}")
            return opened.read(columns)
    except (OSError, pa.ArrowException) as error:
        raise AuditError(f"{str(file)!r} is no table of an audit ({error}): remove it, or name another") from error


def save_rows(rows: pd.DataFrame | pa.Table, file: Path) -> None:
    """Write a table as one Parquet file, whole or not at all."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
    pq.write_table(table, sink, compression="zstd")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, memoryview(sink.getvalue()))


def _next_part(table: Path) -> Path:
    """A name behind those of the parts that there are."""
    last = max((int(part.name.split(".")[-2]) for part in _parts(table)), default=0)
    return table.with_name(f"{table.name}.{last + 1:06d}.part")


def _parts(table: Path) -> list[Path]:
    return sorted(table.parent.glob(f"{glob.escape(table.name)}.[0-9][0-9][0-9][0-9][0-9][0-9].part"))
