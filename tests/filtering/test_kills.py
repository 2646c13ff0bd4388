"""Moving and putting back, killed at any file operation: no byte is lost, the next run ends as one without kills."""

import errno
import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import files_below
from quick_filter import in_child, quick_filter, score_and_move

from artifact_utils.files import moves
from artifact_utils.filtering import FilterConfig, score_folder, undo
from artifact_utils.filtering.options import Outputs

KILLS = {"rename": 20, "copy": 10, "copy without links": 10}
PLAIN_NAMES = ["a.png", "part/b.jpg", "part/deep/c.png", "d.png", "e.png", "_0.png"]
NAMES = [*PLAIN_NAMES, "\r_0.png", "=1+1.png", "-n.jpg", "x\n.png", os.fsdecode(b"\xff.png")]


@pytest.fixture
def config(tmp_path):
    with quick_filter(tmp_path) as config:
        for i, name in enumerate(NAMES):
            file = config.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{0.9 if i % 3 else 0.1} {name!a}".encode() * 100)
        yield config


def without_renames(*_):
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def without_links(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["rename", "copy", "copy without links"])
def drive(request, monkeypatch):
    if request.param != "rename":
        monkeypatch.setattr(moves, "rename_to_free_name", without_renames)
    if request.param == "copy without links":
        monkeypatch.setattr(moves.os, "link", without_links)
    return request.param


def everything(config: FilterConfig) -> Counter[bytes]:
    """How often each content is in the two folders."""
    assert config.move_flagged is not None
    found: Counter[bytes] = Counter()
    for folder in (config.folder, config.move_flagged):
        found.update(content for name, content in files_below(folder).items() if not Path(name).name.endswith(".part"))
    return found


def test_a_killed_move_is_finished_by_the_next_and_undone_by_undo(config, drive):
    original = files_below(config.folder)
    n = in_child(score_and_move, config)
    moved = (files_below(config.folder), files_below(config.move_flagged))
    assert len(moved[1]) == 7
    assert undo(config) == 7
    assert files_below(config.folder) == original
    rng = random.Random(0)
    for i in range(KILLS[drive]):
        in_child(score_and_move, config, kill_at=rng.randint(1, n))
        assert set(everything(config)) >= set(original.values())
        if i % 2:
            in_child(score_and_move, config)
            assert (files_below(config.folder), files_below(config.move_flagged)) == moved
        if config.move_flagged.exists():
            undo(config)
        assert files_below(config.folder) == original, i
        assert not config.move_flagged.exists()


def test_a_killed_undo_is_finished_by_the_next(config, drive):
    original = files_below(config.folder)
    in_child(score_and_move, config)
    n = in_child(undo, config)
    assert files_below(config.folder) == original
    rng = random.Random(1)
    for i in range(KILLS[drive]):
        in_child(score_and_move, config)
        in_child(undo, config, kill_at=rng.randint(1, n))
        assert set(everything(config)) >= set(original.values())
        if i % 2:
            score_folder(replace(config, threshold=0.0))  # any run finishes what is open
            assert everything(config) == Counter(original.values())
        if config.move_flagged.exists():
            in_child(undo, config)
        assert files_below(config.folder) == original
        assert not config.move_flagged.exists()


def test_a_killed_scoring_ends_with_the_same_table(config, monkeypatch):
    monkeypatch.setattr("artifact_utils.filtering.scoring.COMMIT_ROWS", 2)
    outputs = Outputs.of(config)
    n = in_child(score_folder, config)
    whole = outputs.table.read_bytes()
    rng = random.Random(2)
    for _ in range(20):
        for file in config.folder.parent.glob("portraits.scores.*"):
            file.unlink()
        in_child(score_folder, config, kill_at=rng.randint(1, n))
        assert not outputs.table.exists() or outputs.table.read_bytes() == whole
        score_folder(config)
        assert outputs.table.read_bytes() == whole
        assert not list(config.folder.parent.glob("*.lock"))
