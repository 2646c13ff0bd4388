import sqlite3

import pytest

from artifact_utils.files.databases import connect, is_network_drive, transaction
from artifact_utils.files.writing import FileError

SCHEMA = "CREATE TABLE names (name BLOB NOT NULL);"


def test_a_transaction_is_whole_or_not_there(tmp_path):
    connection = connect(tmp_path / "a.sqlite", SCHEMA)
    with pytest.raises(KeyboardInterrupt), transaction(connection):
        connection.execute("INSERT INTO names VALUES (x'ff')")
        raise KeyboardInterrupt
    with transaction(connection):
        connection.execute("INSERT INTO names VALUES (x'fe')")
    connection.close()
    connection = connect(tmp_path / "a.sqlite", SCHEMA)
    assert connection.execute("SELECT name FROM names").fetchall() == [(b"\xfe",)]
    connection.close()


def test_other_tables_are_refused(tmp_path):
    connect(tmp_path / "a.sqlite", SCHEMA).close()
    with pytest.raises(FileError, match="not of this version"):
        connect(tmp_path / "a.sqlite", "CREATE TABLE others (name BLOB);")


def test_a_schema_that_is_no_text_is_an_error_of_the_database(tmp_path):
    connect(tmp_path / "a.sqlite", SCHEMA, wal=False).close()
    data = (tmp_path / "a.sqlite").read_bytes()
    (tmp_path / "a.sqlite").write_bytes(data.replace(b"NULL", b"NU\xa0L"))
    with pytest.raises(sqlite3.DatabaseError, match="damaged"):
        connect(tmp_path / "a.sqlite", SCHEMA)


def test_where_the_log_cannot_be_shared_there_is_a_rollback_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("artifact_utils.files.databases.is_network_drive", lambda path: True)
    connection: sqlite3.Connection = connect(tmp_path / "a.sqlite", SCHEMA)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_the_type_of_a_mount_tells_network_drives(tmp_path, monkeypatch):
    text = f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / {tmp_path}/drive rw shared:1 - fuse.drive x rw\n"
    monkeypatch.setattr("artifact_utils.files.databases.Path.read_text", lambda *_, **__: text)
    assert is_network_drive(tmp_path / "drive" / "scores.sqlite")
    assert not is_network_drive(tmp_path / "scores.sqlite")
