"""SIGKILL of a process that scores, of the driver and of the raylet: every picture has one row in the end."""

import pytest
from scale.killed_run import choose, draw_folder, kill_and_finish

from artifact_utils.scale.scale_options import INSTALL

pytest.importorskip("ray", reason=f"needs Ray: {INSTALL}")


@pytest.mark.parametrize(("target", "share"), choose(3, seed=0))
def test_every_picture_has_one_row(target, share, run, tmp_path):
    folder = draw_folder(tmp_path / "faces", 2000)
    ended = kill_and_finish(folder, tmp_path / "scores", run, target, share)
    assert ended.runs <= 2
