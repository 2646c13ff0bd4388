from pathlib import Path

import pytest
from helpers import draw_noise


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight pictures, two of them artifacts, and one text file with a picture's name."""
    for i in range(6):
        draw_noise(tmp_path / f"raw/train/image_{i:05}_{int(i == 2)}.png", i)
    for i in range(2):
        draw_noise(tmp_path / f"raw/test/image_{i:05}_{int(i == 1)}.png", 10 + i)
    (tmp_path / "raw/train/text_1.png").write_text("not a picture")
    return tmp_path / "raw"
