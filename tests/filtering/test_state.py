import os
import sqlite3

import pytest

from artifact_utils.filtering import FilterConfig, FilterError
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import NOT_SCORED, Score, open_state


@pytest.fixture
def config(tmp_path):
    (tmp_path / "portraits").mkdir()
    return FilterConfig(tmp_path / "portraits")


def fill(config):
    with open_state(config) as state:
        state.use_model("model", 0.5)
        state.add_scores([Score(b"a.png", 0.75, "", 1, 2, 3), Score(b"\xff\r\n", None, "no picture", 1, 2, 3)])


def read(config):
    with open_state(config) as state:
        return list(state.scores())


@pytest.mark.parametrize(("network", "mode"), [(False, "wal"), (True, "delete")])
def test_scores_are_kept_under_any_name_on_any_drive(config, monkeypatch, network, mode):
    monkeypatch.setattr("artifact_utils.files.databases.is_network_drive", lambda path: network)
    fill(config)
    connection = sqlite3.connect(Outputs.of(config).state)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == mode
    connection.close()
    assert [score.path for score in read(config)] == [b"a.png", b"\xff\r\n"]
    assert {path.name for path in config.folder.parent.iterdir()} == {"portraits", "portraits.scores.sqlite"}


def test_a_change_that_fails_is_not_there_at_all(config):
    fill(config)
    with open_state(config) as state, pytest.raises(KeyboardInterrupt), state.transaction():
        state._connection.execute("DELETE FROM scores")
        raise KeyboardInterrupt
    assert len(read(config)) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE scores SET probability = 7",
        "UPDATE scores SET path = CAST(path AS TEXT) WHERE probability",
        "INSERT INTO moves VALUES (1, x'61', x'2f', x'61', 1, '', '../.artifact_utils.x.part', 'moving', 0)",
        "CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM moves; END",
        "DROP TABLE about",
        "UPDATE about SET folder = 7",
        "UPDATE about SET folder = x'2f00'",
    ],
)
def test_a_state_that_is_not_ours_is_refused(config, sql):
    fill(config)
    connection = sqlite3.connect(Outputs.of(config).state)
    with connection:
        connection.execute(sql)
    connection.close()
    with pytest.raises(FilterError, match=r"portraits.scores.sqlite .* --scores"):
        read(config)


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + os.urandom(5000)])
def test_a_file_that_is_no_database_is_refused_and_stays(config, content):
    Outputs.of(config).state.write_bytes(content)
    with pytest.raises(FilterError, match="cannot be used"):
        read(config)
    assert Outputs.of(config).state.read_bytes() == content


def test_another_model_takes_over_and_its_pictures_keep_their_numbers(config):
    fill(config)
    with open_state(config) as state:
        numbers = state.find([b"a.png"])
        with pytest.raises(FilterError, match="belongs to another model"):
            state.use_model("other", 0.5)
        assert state.model == "model"
        state.use_model("other", 0.25, rescore=True)
        assert {(score.probability, score.reason) for score in state.scores()} == {(None, NOT_SCORED)}
        (number, size, *_) = state.find([b"a.png"])[b"a.png"]
        assert number == numbers[b"a.png"][0] and size == -1
    with open_state(config) as state:
        assert (state.model, state.threshold) == ("other", 0.25)
        state.use_model("other", 0.25)
        state.add_scores([Score(b"a.png", 0.5, "", 1, 2, 3)])
        assert state.find([b"a.png"])[b"a.png"] == numbers[b"a.png"]
