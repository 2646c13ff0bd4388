import io

import numpy as np
import pytest
from faults.hostile_pictures import table_bomb
from PIL import Image

from artifact_utils.files.lossless_webp import GROUP_BYTES, DamagedError, table_bytes
from artifact_utils.images import ImageError, decode_image


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "webp", **options)
    return buffer.getvalue()


def pictures():
    """Of few colours and many, smooth and noisy, transparent or not: each makes the encoder take other transforms."""
    rng = np.random.default_rng(0)
    yield Image.linear_gradient("L").convert("RGB").rotate(30)
    for n_colours in (1, 2, 4, 16, 17, 256):
        palette = rng.integers(0, 256, (n_colours, 3), dtype=np.uint8)
        yield Image.fromarray(palette[rng.integers(0, n_colours, (61, 47))])
    for height, width in ((1, 1), (5, 90), (64, 64)):
        yield Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8))


@pytest.mark.parametrize("method", [0, 3, 6])
@pytest.mark.parametrize("lossless", [True, False])
def test_what_an_encoder_writes_can_be_followed(method, lossless):
    for image in pictures():
        data = saved(image, lossless=lossless, method=method, exact=True)
        assert int(lossless) <= table_bytes(data) / GROUP_BYTES <= 2600
        assert decode_image(data, "picture").size == image.size
    movie = saved(image, lossless=lossless, method=method, save_all=True, append_images=[image.rotate(90)])
    assert table_bytes(movie) / GROUP_BYTES <= 2600
    assert decode_image(movie, "picture").size == image.size


def test_cells_are_counted_and_too_many_refused():
    assert table_bytes(table_bomb(400)) == 100 * 100 * GROUP_BYTES
    with pytest.raises(DamagedError, match=r"has 65,536 cells, over the limit of 16,384"):
        table_bytes(table_bomb(1024))
    with pytest.raises(ImageError, match=r"'bomb': has 65,536 cells"):
        decode_image(table_bomb(1024), "bomb")


def test_a_stream_that_breaks_off_is_refused():
    whole = saved(Image.linear_gradient("L").convert("RGB").rotate(30), lossless=True, method=6)
    for n in range(20, 60):
        with pytest.raises(ImageError):
            decode_image(whole[:n], "picture")


def test_bits_that_say_anything_are_read_to_an_end():
    rng = np.random.default_rng(0)
    for _ in range(300):
        stream = b"\x2f" + rng.bytes(200)
        data = b"RIFF\0\0\0\0WEBPVP8L" + len(stream).to_bytes(4, "little") + stream
        try:
            assert table_bytes(data) > 0
        except DamagedError as error:
            assert str(error)
