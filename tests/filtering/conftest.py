from dataclasses import replace

import pytest
from helpers import draw_portrait
from PIL import Image

from artifact_utils.filtering import FilterConfig, score_folder


@pytest.fixture
def config(run, tmp_path):
    folder = tmp_path / "portraits"
    for i in range(12):
        draw_portrait(folder / f"part_{i % 3}" / f"{i:02d}.png", seed=i, artifact=i % 2 == 0)
    Image.open(folder / "part_0" / "00.png").save(folder / "строка, 'quoted'\nname.JPG")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("not a picture and not meant to be one")
    return FilterConfig(folder, run, tmp_path / "scores.csv", device="cpu")


@pytest.fixture
def all_flagged(config, tmp_path):
    """Every picture that can be read is in the table as flagged, and none is moved yet."""
    config = replace(config, threshold=0.0, move_flagged=tmp_path / "bad")
    score_folder(config)
    return config
