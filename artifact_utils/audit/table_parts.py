"""The table of a scan as a folder of Parquet files, for more pictures than memory holds the table of.

Its files are ``part-00000000.parquet`` and so on, of 1,000 rows with the columns of ``scan`` each. Whoever needs a few
columns reads those alone, and thumbnails, nine tenths of the bytes, are copied into one flat file on the disk, where
each is at a known place.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from artifact_utils.audit.picture_statistics import SCAN_COLUMNS, THUMBNAIL_SIDE, printable
from artifact_utils.audit.scanning import (
    AuditError,
    changed_ns,
    measured_parts,
    pictures,
    read_rows,
    save_rows,
    spread_evenly,
    typed_rows,
)

_THUMBNAIL_BYTES = THUMBNAIL_SIDE**2


def scan_parts(
    folder: str | Path, parts: str | Path, *, at_most: int | None = None, workers: int | None = None
) -> None:
    """Measure every picture below a folder like ``scan``, but leave the rows in a folder of Parquet files.

    The same call goes on where an earlier one stopped, and measures again what has changed since; rows of pictures that
    have changed or gone are taken out first. A file is there whole or not at all.

    Args:
        folder: of pictures, see ``scan``.
        parts: where the table is, or is to be.
        at_most: measure no more pictures than this, evenly spread over the sorted paths.
        workers: threads; all cores by default.

    Raises:
        AuditError: there is no such folder, ``at_most`` is less than 1, or a file of ``parts`` is no table of an audit.
    """
    root, parts = Path(folder), Path(parts)
    files = spread_evenly(sorted(file.relative_to(root).as_posix() for file in pictures(root)), at_most)
    todo = {printable(file): file for file in files}
    del files
    for part in _part_files(parts):
        stays = []
        for row in read_rows(part, ["path", "changed_ns"]).to_pylist():
            file = todo.get(row["path"])
            stays.append(file is not None and changed_ns(root / file) == row["changed_ns"])
            if stays[-1]:
                del todo[row["path"]]
        if not any(stays):
            part.unlink()
        elif not all(stays):
            save_rows(read_rows(part, list(SCAN_COLUMNS)).filter(pa.array(stays)), part)
    number = max((int(part.stem[5:]) for part in _part_files(parts)), default=-1)
    for rows in measured_parts(root, list(todo.values()), workers):
        number += 1
        save_rows(rows, _part(parts, number))
    if number < 0:
        save_rows(typed_rows([]), _part(parts, 0))


def read_columns(parts: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of the table of ``scan_parts``, of all pictures.

    Raises:
        AuditError: there is no such table, or a file of it is broken.
    """
    return pa.concat_tables(_tables(Path(parts), columns)).to_pandas()


class ThumbnailFile(Sequence[bytes]):
    """Thumbnails that lie in a file one after the other; each is read when it is asked for.

    Args:
        descriptor: of the open file.
        places: (N,) the place of each in the file, in thumbnails.
    """

    def __init__(self, descriptor: int, places: npt.NDArray[np.int64]) -> None:
        self._descriptor, self._places = descriptor, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> "ThumbnailFile": ...
    def __getitem__(self, at: int | slice) -> "bytes | ThumbnailFile":
        if isinstance(at, slice):
            return ThumbnailFile(self._descriptor, self._places[at])
        return os.pread(self._descriptor, _THUMBNAIL_BYTES, int(self._places[at]) * _THUMBNAIL_BYTES)

    def of(self, numbers: npt.NDArray[np.int64]) -> "ThumbnailFile":
        """Those of some pictures."""
        return ThumbnailFile(self._descriptor, self._places[numbers])


@contextmanager
def stored_thumbnails(parts: str | Path) -> Iterator[ThumbnailFile]:
    """The thumbnails of all readable pictures, in a temporary file in the folder of the table: 4 KB each.

    Raises:
        AuditError: there is no such table, or a file of it is broken.
        OSError: the disk is full.
    """
    with tempfile.TemporaryFile(dir=parts) as file:
        for table in _tables(Path(parts), ["readable", "thumbnail"]):
            file.write(b"".join(table.filter(table["readable"])["thumbnail"].to_pylist()))
        file.flush()
        yield ThumbnailFile(file.fileno(), np.arange(file.tell() // _THUMBNAIL_BYTES))


def _tables(parts: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    files = _part_files(parts)
    if not files:
        raise AuditError(f"no table of an audit in {str(parts)!r}: scan_parts makes one")
    return (read_rows(file, columns) for file in files)


def _part(parts: Path, number: int) -> Path:
    return parts / f"part-{number:08d}.parquet"


def _part_files(parts: Path) -> list[Path]:
    return sorted(parts.glob(f"part-{'[0-9]' * 8}.parquet"))
