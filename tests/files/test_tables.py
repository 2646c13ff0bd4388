import csv

import pandas as pd
import pytest

from artifact_utils.files.tables import defused, read_csv, write_csv, write_frame
from artifact_utils.files.writing import FileError


def test_tables_take_any_name_and_stay_untouched_when_nothing_changed(tmp_path):
    table = tmp_path / "table.csv"
    rows = [("a,\n'b'.png", "1"), ("stray \udcff byte.png", "2")]
    write_csv(table, ("path", "n"), rows)
    before = table.stat().st_mtime_ns
    write_csv(table, ("path", "n"), rows)
    assert table.stat().st_mtime_ns == before
    assert [tuple(row.values()) for row in read_csv(table, ("path", "n"))] == rows
    with pytest.raises(FileError, match="is not a CSV file with the columns path,label"):
        read_csv(table, ("path", "label"))


NAMES = ["=1", "+1", "-1", "@a", "\ta", "\ra", "'=1", "''=1", "'a", "a=1", "", "'", "a\r\nb", '"', ","]


def test_what_a_spreadsheet_would_run_is_defused_and_read_back(tmp_path):
    assert [defused(name) for name in ("=1", "\ra", "'=1", "''=1", "'a", "a=1")] == [
        "'=1", "'\ra", "''=1", "'''=1", "'a", "a=1"
    ]  # fmt: skip
    write_csv(tmp_path / "table.csv", ("name", "n"), [(name, -1.5) for name in NAMES])
    with (tmp_path / "table.csv").open(newline="") as file:
        cells = [row[0] for row in csv.reader(file)]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    rows = read_csv(tmp_path / "table.csv", ("name", "n"))
    assert [row["name"] for row in rows] == NAMES
    assert {row["n"] for row in rows} == {"-1.5"}


def test_tables_of_pandas_have_empty_cells_for_what_is_missing(tmp_path):
    frame = pd.DataFrame({"path": ["=a", None], "n": pd.array([1, None], dtype="Int64"), "x": [0.5, float("nan")]})
    write_frame(tmp_path / "table.csv", frame)
    assert (tmp_path / "table.csv").read_text() == '"path","n","x"\n"\'=a",1,0.5\n"","",""\n'
