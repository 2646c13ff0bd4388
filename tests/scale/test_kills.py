"""SIGKILL of a process that scores or decodes, of the driver or the raylet: every picture has one row in the end."""

import pytest
from scale.drawn_folders import draw_folder, draw_mixed
from scale.killed_run import choose, kill_and_finish

from artifact_utils.scale.scale_options import INSTALL

pytest.importorskip("ray", reason=f"needs Ray: {INSTALL}")


@pytest.mark.parametrize("kill", list(choose(4, seed=0)), ids=lambda kill: kill.target)
def test_every_picture_has_one_row(kill, run, tmp_path):
    folder = draw_folder(tmp_path / "faces", 2000)
    expected = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    ended = kill_and_finish(folder, tmp_path / "scores", run, [kill], expected)
    assert ended.runs <= 2 and len(ended.rows) == 1


def test_a_bucket_with_hostile_files_is_scored_whole_by_a_driver_that_is_killed_twice(s3, run, tmp_path):
    hostile = draw_mixed(tmp_path / "faces", 400, each=20)
    expected = s3.fill(tmp_path / "faces", "other/faces")
    assert len(expected) == 400 and len(hostile) == 19
    kills = sorted(choose(2, seed=0, targets=("driver",)), key=lambda kill: kill.share)
    ended = kill_and_finish("s3://other/faces", "s3://bucket/scores", run, kills, expected)
    assert {path for path, reason in ended.reasons.items() if reason} == hostile
    assert ended.runs == 3
