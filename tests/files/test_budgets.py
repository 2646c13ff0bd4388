"""What decoders may take: memory that all threads share, and the time of each picture."""

import io
import os
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from made_pictures import bmp, jpeg, png, png_chunk
from PIL import Image

from artifact_utils import images
from artifact_utils.files import budgets
from artifact_utils.images import ImageError, decode_image

PICTURES = [
    png(8, 8, 8, 0, png_chunk(b"IDAT", zlib.compress(bytes(72)))),
    jpeg(64),
    jpeg(64, progressive=True),
    bmp(10, 10, 0),
]


@pytest.mark.parametrize("data", PICTURES, ids=range(4))
def test_a_decoder_that_takes_too_long_is_stopped(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode_image(data, "picture").size
    monkeypatch.setattr(budgets, "MAX_SECONDS", -1)
    with pytest.raises(ImageError, match="takes more than -1 s to decode"):
        decode_image(data, "picture")


def test_plain_pngs_of_more_bytes_are_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "png")
    whole = decode_image(buffer.getvalue(), "whole")
    monkeypatch.setattr(images, "_PLAIN_BYTES", 10)
    assert np.array_equal(decode_image(buffer.getvalue(), "pieces"), whole)
    monkeypatch.setattr(budgets, "MAX_SECONDS", -1)
    with pytest.raises(ImageError, match="to decode"):
        decode_image(buffer.getvalue(), "pieces")


def test_a_budget_is_never_exceeded_and_serves_in_turn() -> None:
    budget, most, lock = budgets._Budget(100), [0], threading.Lock()

    def work(n_bytes: int) -> None:
        with budget.reserve(n_bytes), lock:
            most[0] = max(most[0], budget.used)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 30, 70, 100, 1000, 5] * 50))
    assert (budget.used, len(budget.line)) == (0, 0)
    assert most[0] <= 100


def test_a_child_process_finds_the_budget_unused() -> None:
    with budgets.reserve_pixels(budgets.PIXEL_BUDGET):
        child = os.fork()
        if child == 0:
            os._exit(budgets._pixels.used != 0)
        assert os.waitpid(child, 0)[1] == 0


MEASURE = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from artifact_utils import images
from artifact_utils.files import budgets
images.LARGE_PIXELS, images._BAND_PIXELS = 1 << 20, 1 << 16
budgets._pixels.n_bytes = 100 << 20
data = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(4) as pool:
    sizes = list(pool.map(lambda _: images.decode_image(data, "large", min_side=160).size, range(6)))
print(sizes[0], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_large_pictures_are_decoded_one_after_the_other(tmp_path: Path) -> None:
    rows = zlib.compress(bytes((1 + 4 * 4000) * 4000), 1)  # 64 MB decoded, and twice as much converted at once
    (tmp_path / "large.png").write_bytes(png(4000, 4000, 8, 6, png_chunk(b"IDAT", rows)))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    size, megabytes = result.stdout.strip().rsplit(" ", 1)
    assert size == "(500, 500)"
    assert int(megabytes) < 110, f"{megabytes} MB for pictures of 64 MB"
