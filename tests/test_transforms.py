import numpy as np
import pytest
import torch
from PIL import Image

from artifact_utils.transforms import PAD_COLOUR, JpegRoundTrip, build_transforms, to_square

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


@pytest.mark.parametrize("augment", ["light", "heavy"])
def test_augmentation_changes_the_picture_and_keeps_shape_and_range(augment):
    square = to_square(Image.radial_gradient("L").convert("RGB"), 64)
    transform = build_transforms(HALF, HALF, augment=augment)
    torch.manual_seed(0)
    first, second = transform(square), transform(square)
    assert first.shape == (3, 64, 64)
    assert first.dtype == torch.float32
    assert first.abs().max() <= 1.0
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(transform(square), first)


def test_augmentation_leaves_the_cached_picture_alone():
    square = to_square(Image.radial_gradient("L").convert("RGB"), 64)
    before = square.clone()
    build_transforms(HALF, HALF, augment="heavy")(square)
    assert torch.equal(square, before)


def test_unknown_augmentation():
    with pytest.raises(ValueError, match="unknown augmentation 'extreme'"):
        build_transforms(HALF, HALF, augment="extreme")


def test_the_jpeg_round_trip_changes_pixels_a_little_and_only_as_often_as_asked():
    square = to_square(Image.effect_noise((64, 64), 40).convert("RGB"), 64)
    coded = JpegRoundTrip((40, 40), p=1.0)(square)
    assert coded.shape == square.shape
    assert coded.dtype == torch.uint8
    assert 0 < (coded.float() - square.float()).abs().mean() < 20
    assert JpegRoundTrip((40, 40), p=0.0)(square) is square
