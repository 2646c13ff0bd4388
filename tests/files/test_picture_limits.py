"""Pictures made to take memory or time: each is refused with its reason, or decoded within the budget."""

import io
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_pictures import bmp, jpeg, png, png_chunk
from PIL import Image

from artifact_utils import images
from artifact_utils.files import picture_limits
from artifact_utils.images import ImageError, decode_image, decode_small, read_file


def scan_bomb(side: int, n_scans: int) -> bytes:
    data = jpeg(side, progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (n_scans - data.count(b"\xff\xda")) + data[-2:]


def hidden_scans(n_scans: int) -> bytes:
    """A scan bomb whose first scan is followed by a comment that reads like the end of the picture."""
    data = scan_bomb(2000, n_scans)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    return data[:second] + b"\xff\xfe\0\4\xff\xd9" + data[second:]


def webp(width: int, height: int) -> bytes:
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + (22).to_bytes(4, "little") + b"WEBPVP8X" + (10).to_bytes(4, "little") + canvas


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(9999, 9999, 16, 6, png_chunk(b"IDAT", b"")), "at 8 bytes a pixel takes 799,840,008 bytes to decode"),
        (png(9999, 9999, 16, 2, png_chunk(b"IDAT", b"")), "at 6 bytes a pixel"),
        (png(20_000, 20_000, 8, 2, png_chunk(b"IDAT", b"")), "over the limit of 100,000,000 pixels"),
        (png(8, 8, 8, 2, *[png_chunk(b"prVt", b"")] * 100_001), "more than 100,000 chunks"),
        (scan_bomb(2000, 600), "600 scans of 2000 x 2000 pixels"),
        (scan_bomb(8, 1001), "1,001 scans"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 2000 + jpeg(8)[2:], "more than 1,000 segments"),
        (b"\xff\xd8" + b"\xff" * 5000 + jpeg(8)[2:], "junk between its segments"),
        (b"\xff\xd8\xff\xfe\0\2" + b"\0" * 5000 + jpeg(8)[2:], "junk between its segments"),
        (b"\xff\xd8" + (b"\xff\xe1\xff\xff" + b"Exif\0\0".ljust(65533)) * 300 + jpeg(8)[2:], "bytes before its pixels"),
        (bmp(9000, 9000, 1), "too large for a run-length coded BMP"),
        (bmp(9000, -9000, 2), "too large for a run-length coded BMP"),
        (hidden_scans(600), "600 scans of 2000 x 2000 pixels"),
        (jpeg(8, progressive=True)[:-2] + b"\xff\xfe\0\2" * 20_000 + b"\xff\xda", "1,001 scans"),
        (jpeg(8).replace(b"\xff\xc0", b"\xff\xc9"), "coded arithmetically"),
        (webp(8, 8) + b"JUNK\0\0\0\0" * 100_001, "more than 100,000 chunks"),
        (webp(16_384, 16_384), "over the limit of 100,000,000 pixels"),
        (webp(6000, 6000), "at 20 bytes a pixel"),
    ],
    ids=range(18),
)
def test_bombs_are_refused_before_they_are_decoded(data: bytes, reason: str) -> None:
    started = time.process_time()
    for decode in (decode_image, decode_small):
        with pytest.raises(ImageError, match=reason):
            decode(data, "bomb", **({"min_side": 160} if decode is decode_image else {"short_side": 256}))
    assert time.process_time() - started < 2


def overlapping_exif(n_bytes: int) -> bytes:
    """EXIF of 65,535 entries, each of which says that it is all of it."""
    entries = b"".join(struct.pack("<HHII", tag, 1, n_bytes - 8, 8) for tag in range(65535))
    return (b"II*\0\x08\0\0\0\xff\xff" + entries).ljust(n_bytes, b"\0")


def test_exif_whose_entries_overlap_is_not_read() -> None:
    exif = overlapping_exif(4_000_000)
    pieces = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
    segments = b"".join(b"\xff\xe1" + (len(p) + 8).to_bytes(2, "big") + b"Exif\0\0" + p for p in pieces)
    with pytest.raises(ImageError, match=r"has EXIF that stands for 262,\d{3},\d{3},\d{3} bytes"):
        decode_image(b"\xff\xd8" + segments + jpeg(8)[2:], "bomb")
    profile = zlib.compress(b"\nexif\n9\n" + overlapping_exif(900_000)[:400_000].hex().encode())
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(8 * 25)))
    for bomb in (png_chunk(b"eXIf", exif), png_chunk(b"zTXt", b"Raw profile type exif\0\0" + profile)):
        tracemalloc.start()
        assert decode_image(png(8, 8, 8, 2, bomb, pixels), "bomb").size == (8, 8)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
        tracemalloc.stop()


def test_usual_pictures_of_many_scans_and_segments_are_read() -> None:
    assert decode_image(jpeg(300, progressive=True), "progressive").size == (300, 300)
    assert decode_image(scan_bomb(300, 100), "slow").size == (300, 300)
    preview = b"\xff\xe1" + (len(jpeg(64, progressive=True)) + 8).to_bytes(2, "big") + b"Exif\0\0" + jpeg(64)
    assert picture_limits.check_structure(b"\xff\xd8" + preview + jpeg(300)[2:]) is None
    comments = b"\xff\xfe\0\2" * 300
    assert decode_image(b"\xff\xd8" + comments + jpeg(8)[2:], "comments").size == (8, 8)


def test_scans_are_counted_in_the_picture_alone() -> None:
    data = jpeg(64) + jpeg(64, progressive=True)  # as phones append a preview
    assert picture_limits.count_scans(data, data.index(b"\xff\xda") + 2) == 1
    assert picture_limits.coefficient_bytes((10, 10), [(2, 2), (1, 1), (1, 1)], 10) == 2 * 100 * 6 // 4
    assert picture_limits.coefficient_bytes((10, 10), [(2, 2), (1, 1), (1, 1)], 1) == 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "CMYK"])
@pytest.mark.parametrize(("size", "factor"), [((301, 203), 4), ((64, 400), 2)])
def test_large_pictures_in_bands_have_the_pixels_of_the_whole(
    mode: str, size: tuple[int, int], factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (*size[::-1], 4), dtype=np.uint8)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg" if mode == "CMYK" else "png")
    whole = decode_image(buffer.getvalue(), "whole")
    monkeypatch.setattr(images, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(images, "_BAND_PIXELS", 4000)
    assert np.array_equal(decode_image(buffer.getvalue(), "bands"), whole)
    if mode != "CMYK":  # libjpeg makes it smaller itself
        assert np.array_equal(decode_image(buffer.getvalue(), "bands", min_side=30), whole.reduce(factor))


def test_a_pipe_that_took_the_name_of_a_file_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regular = Path(__file__).stat()
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with pytest.raises(ImageError, match="not a regular file"):
        read_file(tmp_path / "pipe.png")
