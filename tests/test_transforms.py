import numpy as np
import torch
from PIL import Image

from artifact_utils.transforms import PAD_COLOUR, build_transforms, to_square

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
