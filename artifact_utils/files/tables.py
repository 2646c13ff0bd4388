"""CSV tables that are safe to open in a spreadsheet, and read back as they were written.

All text is quoted, and what a spreadsheet would run as a formula gets an apostrophe in front, which `read_csv` takes
away again. Bytes of names that are not UTF-8 are surrogates in Python, as in ``os.fsdecode``, and bytes in the file.
"""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_utils.files.writing import FileError, write_bytes

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile("'*[=+\\-@\t\r]")  # with apostrophes in front already, so that reading knows how many to take


def defused(cell: str) -> str:
    """The text with an apostrophe in front, if a spreadsheet would take it for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _as_written(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_csv(path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read columns of a CSV file as one dict per row; no rows if there is no file.

    Optional columns that the file lacks are empty.

    Raises:
        FileError: it is not a CSV file, or lacks one of the columns.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise csv.Error(f"its first line is {reader.fieldnames}")
            rows = [{column: _as_written(row.get(column) or "") for column in columns + optional} for row in reader]
            if any("\0" in value for row in rows for value in row.values()):
                raise csv.Error("a NUL byte in it")
            return rows
    except csv.Error as error:
        raise FileError(f"{str(path)!r} is not a CSV file with the columns {','.join(columns)}: {error}") from error


def write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> None:
    """Write a table with a header; a file that holds just that already is not touched. None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in (columns, *rows):
        writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in row])
    data = text.getvalue().encode("utf-8", "surrogateescape")
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)


def write_frame(path: Path, frame: "pd.DataFrame") -> None:
    """Write a table of pandas without its index; what is missing becomes an empty cell."""
    cells = frame.astype(object).where(frame.notna(), None)
    write_csv(path, tuple(frame.columns), cells.itertuples(index=False))
