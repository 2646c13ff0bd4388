import io

import numpy as np
from helpers import draw_portrait
from PIL import Image

from artifact_utils.plots.previews import heat_overlay, preview


def test_previews_are_small_jpegs_of_the_whole_picture(tmp_path):
    draw_portrait(tmp_path / "a.png", seed=0, artifact=False, size=400)
    Image.open(tmp_path / "a.png").resize((400, 200)).save(tmp_path / "wide.png")
    for name, size in (("a.png", (100, 100)), ("wide.png", (100, 50))):
        with Image.open(io.BytesIO(preview(tmp_path / name, 100))) as image:
            assert (image.format, image.size) == ("JPEG", size)
    with Image.open(io.BytesIO(preview(tmp_path / "a.png", 1000))) as image:
        assert image.size == (400, 400)


def test_heat_is_transparent_where_there_is_nothing_and_strong_where_it_is():
    heat = np.zeros((300, 1200), np.float32)
    heat[:, 900:] = 1
    pixels = np.asarray(Image.open(io.BytesIO(heat_overlay(heat))))
    assert pixels.shape == (128, 512, 4)
    assert pixels[64, 100, 3] == 0
    assert pixels[64, 500].tolist() == [128, 0, 38, 255]
