"""The Parquet files of a set of scores as a view of DuckDB, and tables of what queries give."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifact_utils.files.writing import part_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from artifact_utils.scale.stores import Store


def connect(store: "Store", database: str = ":memory:") -> "DuckDBPyConnection":
    """Open DuckDB, so that it can read the files of a store.

    Args:
        store: of the scores.
        database: file for tables.

    Raises:
        ScaleError: it is not installed.
    """
    from artifact_utils.scale.scale_options import INSTALL, ScaleError

    try:
        import duckdb
    except ImportError as error:
        raise ScaleError(f"this needs DuckDB, which cannot be imported ({error}): {INSTALL}") from error
    connection = duckdb.connect(database)
    if (system := store.system) is not None:
        connection.register_filesystem(system)
    return connection


def view_parts(connection: "DuckDBPyConnection", store: "Store") -> None:
    """Make the view ``scores`` of the parts that there are now; what is no probability in them is taken for none.

    Raises:
        ScaleError: there are none.
    """
    from artifact_utils.scale.scale_options import ScaleError
    from artifact_utils.scale.score_parts import part_names

    names = sorted(part_names(store.names()))
    if not names:
        raise ScaleError(f"nothing is scored in {store} yet: run filter_images.py --engine ray")
    files = ", ".join(_quoted(re.sub(r"([*?[])", r"[\1]", store.address(name))) for name in names)  # no patterns
    known = "NOT isnan(probability) AND probability BETWEEN 0 AND 1"  # NaN is above all numbers, and not in statistics
    probability = f"CASE WHEN {known} THEN probability END AS probability"
    connection.execute(
        f"CREATE OR REPLACE VIEW scores AS SELECT * REPLACE ({probability}) FROM read_parquet([{files}])"
    )


def folder_of_path(depth: int) -> str:
    """The SQL for the folder that a path lies in, of so many levels; ``.`` for none."""
    parts = f"string_split(path, '/')[:least(len(string_split(path, '/')) - 1, {depth})]"
    return f"coalesce(nullif(array_to_string({parts}, '/'), ''), '.')"


@contextmanager
def reading(store: "Store") -> Iterator[None]:
    """Errors of DuckDB as those of the package."""
    import duckdb

    from artifact_utils.scale.scale_options import ScaleError

    try:
        yield
    except duckdb.Error as error:
        raise ScaleError(f"{store} cannot be read ({str(error).partition(chr(10))[0]})") from error


def write_csv(query: Any, path: Path, text: str, order: str = "") -> None:
    """Write what a query gives as CSV, whole or not at all."""
    part = part_of(path)
    ordered = f" ORDER BY {order}" if order else ""
    try:
        query(f"COPY (SELECT {text}{ordered}) TO {_quoted(str(part))} (FORMAT csv, HEADER true)")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
