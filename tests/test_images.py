import gc
import io
import os
import pickle
import socket
import warnings
import weakref
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from artifact_utils import images
from artifact_utils.images import (
    ImageError,
    decode_image,
    decode_small,
    load_image,
    load_with_size,
    read_file,
    shrink,
)

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def portrait() -> Image.Image:
    """A smooth 64 x 48 picture: red grows to the right, green downwards."""
    y, x = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.dstack([x * 4, y * 5, np.full_like(x, 90)]).astype(np.uint8))


def encoded(image: Image.Image, suffix: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp"])
@pytest.mark.parametrize("name", ["a.png", "a.JPG"])  # the suffix does not have to tell the truth
def test_every_format_gives_the_same_picture(tmp_path: Path, portrait: Image.Image, suffix: str, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(portrait, suffix))
    loaded = load_image(tmp_path / name)
    assert (loaded.mode, loaded.size, loaded.info) == ("RGB", portrait.size, {})
    assert np.abs(np.asarray(loaded).astype(int) - np.asarray(portrait)).mean() < 4
    assert np.array_equal(load_image(str(tmp_path / name)), loaded)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_once(portrait: Image.Image, orientation: int) -> None:
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, 1)
    exif = Image.Exif()
    exif[0x0112] = back
    stored = load_image_with(portrait, exif)
    exif[0x0112] = orientation
    data = encoded(stored, "png", exif=exif)
    upright = decode_image(data, "rotated")
    assert np.array_equal(upright, portrait)
    assert np.array_equal(load_image(upright), portrait)


def load_image_with(image: Image.Image, exif: Image.Exif) -> Image.Image:
    return decode_image(encoded(image, "png", exif=exif), "stored")


def test_a_broken_exif_block_does_not_make_a_bad_picture(portrait: Image.Image) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = encoded(portrait, "jpeg", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff garbage")
        assert decode_image(data, "exif").size == portrait.size


@pytest.mark.parametrize("value", [0, 128, 257, 1000, 32768, 65280, 65535])
def test_16_bit_grey_is_scaled_not_clipped(value: int) -> None:
    image = Image.fromarray(np.full((4, 4), value, np.uint16))
    loaded = decode_image(encoded(image, "png"), "grey16")
    assert loaded.getpixel((1, 1)) == (round(value / 257),) * 3


def test_16_bit_colour_is_scaled() -> None:
    row = b"\x00" + bytes.fromhex("ffff 8000 0101".replace(" ", "")) * 2
    data = png(2, 1, png_chunk(b"IDAT", zlib.compress(row)), depth=16)
    assert decode_image(data, "rgb16").getpixel((0, 0)) == (255, 128, 1)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 200, np.uint8), 200),
        (np.full((2, 3, 1), True), 255),
        (np.full((2, 3, 3), 0.5, np.float32), 128),
        (np.full((2, 3, 3), 77.0), 77),
        (np.full((2, 3), 65535, np.uint16), 255),
        (np.full((2, 3), 40, np.int64), 40),
    ],
)
def test_arrays_are_scaled_by_their_type(array: np.ndarray, expected: int) -> None:
    loaded = load_image(array)
    assert loaded.size == (3, 2)
    assert loaded.getpixel((0, 0)) == (expected,) * 3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.full((2, 2), np.nan),
        np.full((2, 2), -1),
        np.full((2, 2), 1e6),
        np.full((2, 2), "red"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="array"):
        load_image(array)


def test_transparency_is_laid_on_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.putpixel((0, 0), 0)
    loaded = decode_image(encoded(palette, "png", transparency=0), "palette")
    assert (loaded.getpixel((0, 0)), loaded.getpixel((1, 1))) == (WHITE, RED)

    assert load_image(Image.new("RGBA", (4, 4), (*RED, 0))).getpixel((0, 0)) == WHITE
    assert load_image(Image.new("LA", (4, 4), (0, 127))).getpixel((0, 0)) == (128, 128, 128)
    assert load_image(np.dstack([np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 255, np.uint8)])).getpixel((0, 0)) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "HSV", "F", "I", "I;16", "RGBX"])
def test_every_pil_mode_becomes_rgb(mode: str) -> None:
    assert load_image(Image.new(mode, (5, 4))).mode == "RGB"


def test_cmyk_jpegs_are_pictures() -> None:
    assert decode_image(encoded(Image.new("CMYK", (16, 16)), "jpeg"), "cmyk").getpixel((3, 3)) == WHITE


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_the_first_frame_of_an_animation_is_taken(suffix: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], suffix, save_all=True, append_images=frames[1:], lossless=True)
    assert decode_image(data, "animated").getpixel((3, 3)) == RED


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9, 0.99, -1, -12])
def test_truncated_files_are_refused(portrait: Image.Image, suffix: str, kept: float) -> None:
    data = encoded(portrait.resize((300, 200)), suffix)
    cut = data[: int(len(data) * kept)] if kept > 0 else data[: int(kept)]
    for min_side in (None, 8):
        with pytest.raises(ImageError, match=r"truncated PNG|cannot be decoded"):
            decode_image(cut, "portrait", min_side=min_side)


def test_a_damaged_checksum_is_found(portrait: Image.Image) -> None:
    data = bytearray(encoded(portrait, "png"))
    data[data.index(b"IDAT") + 60] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        decode_image(bytes(data), "damaged")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"I am text", "not a PNG, JPEG, WebP or BMP"),
        (b"GIF89a" + bytes(40), "not a PNG, JPEG, WebP or BMP"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "truncated"),
        (b"BM" + bytes(60), "cannot be decoded"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "cannot be decoded"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "cannot be decoded"),
        (png(0, 8), "cannot be decoded"),
        (png(200_000, 200_000, png_chunk(b"IDAT", zlib.compress(b""))), "over the limit of 100,000,000 pixels"),
        (png(50_000, 1, png_chunk(b"IDAT", zlib.compress(bytes(150_001)))), "longer than 100:1"),
        (png(8, 8, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))), "cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_image(data, "odd.png")


def test_a_large_picture_is_refused_before_decoding_and_without_touching_global_state(portrait: Image.Image) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="64 x 48 is over the limit of 3,000 pixels"):
        load_image(portrait, max_pixels=3000)
    assert before == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 48)])
def test_pngs_have_the_pixels_that_pil_sees(mode: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    data = encoded(noise.convert(mode) if mode != "I;16" else noise.convert("I").convert("I;16"), "png")
    assert (images._plain_png(data) is not None) == (mode == "RGB")
    reference = Image.open(io.BytesIO(data))
    expected = images._to_rgb(reference, "noise", 10_000)
    assert np.array_equal(decode_image(data, "noise"), expected)


def test_all_filters_and_pixels_in_many_chunks_are_understood() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (10, 4, 3), dtype=np.uint8)
    rows = b"".join(bytes([0]) + row.tobytes() for row in pixels)
    for kind in range(5):
        filtered = bytes([kind]) + pixels[0].tobytes()
        data = png(4, 1, png_chunk(b"IDAT", zlib.compress(filtered)))
        assert np.array_equal(images._plain_png(data), Image.open(io.BytesIO(data)))
    whole = zlib.compress(rows)
    data = png(4, 10, *(png_chunk(b"IDAT", whole[i : i + 7]) for i in range(0, len(whole), 7)))
    assert np.array_equal(images._plain_png(data), pixels)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tRNS", bytes(6)),
        png_chunk(b"eXIf", b"MM\0*"),
        png_chunk(b"tEXt", b"Raw profile type exif\0abc"),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        png_chunk(b"acTL", bytes(8)),
        png_chunk(b"IHDR", (4).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])),
        png_chunk(b"xxXx", b""),
    ],
    ids=lambda chunk: chunk[4:8].decode(),
)
def test_what_says_how_to_show_the_picture_is_left_to_pil(chunk: bytes) -> None:
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(4 * 13)))
    assert images._plain_png(png(4, 4, png_chunk(b"tEXt", b"parameters\0a face"), pixels)) is not None
    assert images._plain_png(png(4, 4, chunk, pixels)) is None
    assert images._plain_png(png(4, 4, pixels, chunk)) is None


@pytest.mark.parametrize("rows", [b"", bytes(12), bytes(4 * 13)[:-1], b"\7" * 52])
def test_pil_says_what_is_wrong_with_the_pixels(rows: bytes) -> None:
    data = png(4, 4, png_chunk(b"IDAT", zlib.compress(rows)))
    assert images._plain_png(data) is None
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(data, "broken.png")


@pytest.mark.parametrize("size", [(512, 512), (1024, 768), (513, 700), (100, 90), (256, 256), (300, 256)])
@pytest.mark.parametrize("suffix", ["png", "jpeg"])
def test_a_small_copy_is_the_shrunken_picture(size: tuple[int, int], suffix: str) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    data = encoded(smooth, suffix)
    small = decode_small(data, "smooth", 256)
    expected = shrink(decode_image(data, "smooth", min_side=256), 256)
    assert small.size == expected.size
    assert min(small.size) == min(256, *size)
    assert np.abs(np.asarray(small, dtype=int) - np.asarray(expected)).max() <= 1


def test_min_side_decodes_large_jpegs_smaller() -> None:
    data = encoded(Image.new("RGB", (1000, 800), "red"), "jpeg")
    assert decode_image(data, "big", min_side=200).size == (250, 200)
    assert decode_image(data, "big", min_side=201).size == (500, 400)
    assert decode_image(data, "big", min_side=5000).size == (1000, 800)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc")
def test_files_that_call_themselves_empty_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("/proc/self/environ")
    with pytest.raises(ImageError, match="empty file"):
        load_image(tmp_path / "link.png")


def test_what_is_not_a_regular_file_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.png"))
        for name, reason in {
            "pipe.png": "not a regular file",
            "socket.png": "not a regular file",
            "folder.png": "is a folder",
            "loop.png": "symbolic links",
            "dangling.png": "dangling symbolic link",
            "missing.png": "no such file",
            "missing.png/below.png": "no such file",
            "nul\0.png": "null",
            "long" * 100 + ".png": "too long",
        }.items():
            with pytest.raises(ImageError, match=reason):
                load_image(tmp_path / name)
    with pytest.raises(ImageError, match="not a regular file"):
        load_image("/dev/zero")


def test_a_permission_error_is_an_image_error(
    tmp_path: Path, portrait: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    portrait.save(tmp_path / "secret.png")

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(images.os, "open", denied)  # chmod would not stop root
    with pytest.raises(ImageError, match=r"secret\.png': Permission denied"):
        load_image(tmp_path / "secret.png")


def test_a_file_of_several_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(ImageError, match="larger than"):
        read_file(tmp_path / "sparse.png")


def test_an_image_error_survives_pickling_and_odd_names() -> None:
    error = pickle.loads(pickle.dumps(ImageError("a\udcff\n.png", "is a folder")))
    assert (error.name, error.reason) == ("a\udcff\n.png", "is a folder")
    assert str(error).encode()  # printable, whatever the name


def test_other_types_are_a_programming_error() -> None:
    with pytest.raises(TypeError, match="not bytes"):
        load_image(b"png")  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp"])
def test_a_picture_is_decoded_once_and_its_pixels_do_not_wait_for_the_garbage_collector(
    tmp_path: Path, portrait: Image.Image, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file = tmp_path / f"portrait.{suffix}"
    portrait.convert("L").save(file)  # not the kind of PNG that PIL has no part in
    decoded: list[weakref.ref[ImageFile.ImageFile]] = []
    prepare = ImageFile.ImageFile.load_prepare

    def load_prepare(image: ImageFile.ImageFile) -> None:
        decoded.append(weakref.ref(image))
        prepare(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", load_prepare)  # what those of all formats call
    gc.collect()
    gc.disable()
    try:
        assert load_with_size(file)[1] == (64, 48)
        assert [picture() for picture in decoded] == [None]
    finally:
        gc.enable()
