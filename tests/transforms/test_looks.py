import numpy as np
import pytest
import torch
from PIL import Image

from artifact_utils.transforms.looks import PAD_COLOUR, build_transforms, look_at, square_looks, to_square

HALF = (0.5, 0.5, 0.5)


def test_a_wide_picture_is_padded_not_cut_or_stretched():
    image = Image.new("RGB", (200, 100), "white")
    square = to_square(image, 64)
    assert square.shape == (3, 64, 64)
    assert square.dtype == torch.uint8
    assert (square[:, 20:44] == 255).all()
    assert square[:, 0, 0].tolist() == list(PAD_COLOUR)


def test_evaluation_only_scales():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    square = to_square(image, 64)
    expected = (square.float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(build_transforms(HALF, HALF)(square), expected)


@pytest.mark.parametrize(
    ("size", "aspect", "looks"),
    [
        ((100, 100), "looks", [(0, 0, 100)]),
        ((105, 100), "looks", [(0, -2.5, 105)]),  # nearly square: padded
        ((100, 150), "looks", [(0, 0, 100), (0, 50, 100)]),
        ((180, 100), "looks", [(0, 0, 100), (80, 0, 100)]),
        ((250, 100), "looks", [(0, 0, 100), (75, 0, 100), (150, 0, 100)]),
        ((800, 100), "looks", [(0, -50, 200), (200, -50, 200), (400, -50, 200), (600, -50, 200)]),
        ((100, 150), "padded", [(-25, 0, 150)]),
        ((100, 150), "cut", [(0, 25, 100)]),
    ],
)
def test_the_squares_in_which_a_picture_is_seen(size, aspect, looks):
    assert square_looks(size, aspect) == looks


def test_looks_show_their_parts_also_of_a_reduced_picture():
    image = Image.new("RGB", (40, 80), "red")
    image.paste("blue", (0, 40, 40, 80))
    upper, lower = look_at(image, (160, 320), square_looks((160, 320), "looks"), 16)
    assert upper[0].min() > 250 and lower[2].min() > 250
    padded = look_at(image, (160, 320), square_looks((160, 320), "padded"), 16)[0]
    assert torch.equal(padded, to_square(image, 16))
