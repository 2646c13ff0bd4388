"""False writing has the size that was asked for, and is different every time."""

import numpy as np
import pytest

from artifact_utils.synthesis.text.scripts import SCRIPTS, script_line


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_give_lines_of_the_size_asked_for(script: str) -> None:
    for size in (7, 30):
        line = script_line(np.random.default_rng(1), size, script, 2)
        assert line.shape[0] == int(1.5 * size) and line.shape[1] > 3 * size
        assert line.min() >= 0 and 0.5 < line.max() <= 1
        assert 0.03 < line.mean() < 0.6
    assert np.array_equal(line, script_line(np.random.default_rng(1), 30, script, 2))
    assert not np.array_equal(line[:, :60], script_line(np.random.default_rng(2), 30, script, 2)[:, :60])
