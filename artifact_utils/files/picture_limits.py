"""What one picture may cost: the limits, and what its bytes give away before they are decoded.

A few kilobytes can declare gigabytes of pixels or minutes of work. `check_structure` refuses what only an attacker
writes, in time that does not depend on what the file declares. What is left is decoded within the `budgets` of memory
and time.
"""

import re
import struct
from collections.abc import Iterator

MAX_PIXELS = 100_000_000
MAX_ASPECT = 100
"""A strip of 50,000 x 1 pixels is small until a resize of its short side blows it up."""
MAX_FILE_BYTES = 1 << 28
MAX_DECODED_BYTES = 1 << 29
"""What a decoder may have to hold of one picture: 100 megapixels of 8-bit RGB or RGBA fit, of 16-bit RGBA 64 do."""

MAX_SCANS = 1000
MAX_SCANNED_PIXELS = 2_000_000_000
"""Pixels times scans of a JPEG; each scan goes over all pixels, about 1 ns each. Progressive pictures have 10 scans."""
MAX_CHUNKS = 100_000
"""Of a PNG or WebP. Pillow takes microseconds for each; 100 megapixels in pieces of 8 KB are 40,000 at most."""
MAX_SEGMENTS = 1000
MAX_MARKERS = 10_000
"""From the first scan of a JPEG on, where each brings a table or two."""
MAX_HEADER_BYTES = 1 << 24
"""Before the pixels of a JPEG. A colour profile has up to 255 segments; Pillow joins EXIF segments one by one."""
MAX_EXIF_BYTES = 1 << 26
"""That the entries of EXIF point to, together: they may overlap, and Pillow before 13 copies what each points to."""
MAX_RLE_PIXELS = 1 << 24
MAX_RLE_BYTES = 1 << 23
"""Of a run-length coded BMP, which Pillow decodes in Python, a pixel or a run at a time."""

PNG_START = b"\x89PNG\r\n\x1a\n"
_WEBP_BYTES_PER_PIXEL = 20  # two canvases, the decoder's own copy, Pillow's bytes and its picture, 4 each
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_EXIF_START = b"Exif\0\0"
_EXIF_UNITS = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes a value by type; 1 of others
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # JPEG markers that stand alone
_ARITHMETIC = (0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # JPEG markers of frames that are coded so
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # 00 says that the ff is data; ff fills, d0 to d7 restart


def check_structure(data: bytes) -> str | None:
    """Why the bytes of a picture file must not be decoded, or None; what is merely broken is left to the decoder."""
    if data.startswith(PNG_START):
        return _check_png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _check_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _check_webp(data)
    if data.startswith(b"BM"):
        return _check_bmp(data)
    return None


def check_size(size: tuple[int, int], max_pixels: int) -> str | None:
    """Why a picture of this width and height is refused, or None."""
    width, height = size
    if width < 1 or height < 1:
        return f"has no pixels ({width} x {height})"
    if width * height > max_pixels:
        return f"{width} x {height} is over the limit of {max_pixels:,} pixels (decompression bomb?)"
    if max(size) > MAX_ASPECT * min(size):
        return f"{width} x {height} is longer than {MAX_ASPECT}:1"
    return None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The kind, the position and the length of what each chunk of a PNG holds."""
    position = len(PNG_START)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8, length
        position += 12 + length


def _check_decoded(width: int, height: int, bytes_per_pixel: float) -> str | None:
    decoded = round(width * height * bytes_per_pixel)
    if decoded <= MAX_DECODED_BYTES:
        return None
    return (
        f"{width} x {height} at {bytes_per_pixel:g} bytes a pixel takes {decoded:,} bytes to decode, "
        f"over the limit of {MAX_DECODED_BYTES:,}"
    )


def _check_png(data: bytes) -> str | None:
    for number, _ in enumerate(png_chunks(data)):
        if number >= MAX_CHUNKS:
            return f"has more than {MAX_CHUNKS:,} chunks"
    if len(data) < 26:
        return None
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if reason := check_size((width, height), MAX_PIXELS) if width and height else None:
        return reason
    return _check_decoded(width, height, _PNG_CHANNELS.get(colour, 4) * depth / 8)


def _check_jpeg(data: bytes) -> str | None:
    """Walk the segments up to the first scan as Pillow does, which takes every byte between them for one."""
    position, skipped, end = 2, 0, len(data)
    exif: list[bytes] = []
    for _ in range(MAX_SEGMENTS):
        start = data.find(b"\xff", position, position + MAX_SEGMENTS)
        while start != -1 and data[start + 1 : start + 2] in (b"\xff", b"\0") and skipped < MAX_SEGMENTS:
            start, skipped = data.find(b"\xff", start + 1, start + 1 + MAX_SEGMENTS), skipped + 1
        if (start == -1 and position + MAX_SEGMENTS < end) or skipped >= MAX_SEGMENTS:
            return "has junk between its segments"
        if start == -1 or start + 4 > end:
            return check_exif(b"".join(exif))
        skipped += start - position
        marker, length = data[start + 1], int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == 0xDA:
            return check_exif(b"".join(exif))
        if marker in _ARITHMETIC:  # a few bytes of it can stand for any amount of work
            return "is coded arithmetically: save it as a usual JPEG"
        if start > MAX_HEADER_BYTES:
            return f"has more than {MAX_HEADER_BYTES:,} bytes before its pixels"
        if marker == 0xE1 and data.startswith(_EXIF_START, start + 4):  # joined one by one, as Pillow does
            exif.append(data[start + 10 : start + 2 + length])
        position = start + 2 if marker in _NO_LENGTH else start + 2 + length
    return f"has more than {MAX_SEGMENTS:,} segments before its pixels"


def check_exif(exif: bytes) -> str | None:
    """Why EXIF must not be read, or None.

    Args:
        exif: with or without its marker.
    """
    while exif.startswith(_EXIF_START):
        exif = exif[len(_EXIF_START) :]
    order, n_bytes = {b"II": "<", b"MM": ">"}.get(exif[:2]), 0
    first = struct.unpack_from(f"{order}I", exif, 4)[0] if order and len(exif) >= 8 else len(exif)
    if first + 2 > len(exif):
        return None
    end = first + 2 + 12 * struct.unpack_from(f"{order}H", exif, first)[0]
    for entry in range(first + 2, min(end, len(exif) - 11), 12):
        kind, count = struct.unpack_from(f"{order}HI", exif, entry + 2)
        n_bytes += min(_EXIF_UNITS.get(kind, 1) * count, len(exif))
    return f"has EXIF that stands for {n_bytes:,} bytes" if n_bytes > MAX_EXIF_BYTES else None


def count_scans(data: bytes, first: int) -> int:
    """How often a JPEG goes over its pixels, from the position behind the header of the first scan.

    It ends with the picture, behind which there may be others, such as previews. Comments and tables may hold what
    looks like the start of a scan or the end of the picture. More than ``MAX_SCANS`` are not counted.
    """
    if data.find(b"\xff\xda", first) == -1:
        return 1
    n, position = 1, first
    for _ in range(MAX_MARKERS):
        found = _MARKER.search(data, position)
        if found is None or n > MAX_SCANS:
            return n
        kind, position = data[found.start() + 1], found.end()
        if kind == 0xD9:
            return n
        n += kind == 0xDA
        if kind not in _NO_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")
    return MAX_SCANS + 1


def check_scans(size: tuple[int, int], n_scans: int, coefficient_bytes: int) -> str | None:
    """Why a JPEG of so many scans is refused, or None; see `coefficient_bytes`."""
    width, height = size
    if n_scans > MAX_SCANS or n_scans * width * height > MAX_SCANNED_PIXELS:
        return f"has {n_scans:,} scans of {width} x {height} pixels (scan bomb?)"
    return _check_decoded(width, height, coefficient_bytes / (width * height))


def coefficient_bytes(size: tuple[int, int], sampling: list[tuple[int, int]], n_scans: int) -> int:
    """What libjpeg holds of a JPEG of several scans: two bytes for each coefficient, fewer where colour is coarser.

    Args:
        size: width and height.
        sampling: factors of each component along and down.
        n_scans: as `count_scans`; of a single one no more than a few rows are held.
    """
    if n_scans == 1 or not sampling:
        return 0
    largest = max(along for along, _ in sampling) * max(down for _, down in sampling)
    return 2 * size[0] * size[1] * sum(along * down for along, down in sampling) // max(largest, 1)


def _check_bmp(data: bytes) -> str | None:
    if len(data) < 34 or data[14] < 40:
        return None
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    too_much = abs(width * height) > MAX_RLE_PIXELS or len(data) > MAX_RLE_BYTES
    if compression in (1, 2) and too_much:
        return f"{width} x {abs(height)} is too large for a run-length coded BMP"
    return None


def _check_webp(data: bytes) -> str | None:
    """Count the chunks, animation frames among them: libwebp makes a list of all before it decodes the first."""
    position, n_chunks = 12, 0
    while position + 8 <= len(data):
        position += 8 + int.from_bytes(data[position + 4 : position + 8], "little") + 1 & ~1
        n_chunks += 1
        if n_chunks > MAX_CHUNKS:
            return f"has more than {MAX_CHUNKS:,} chunks"
    size = _webp_size(data)
    return check_size(size, MAX_PIXELS) or _check_decoded(*size, _WEBP_BYTES_PER_PIXEL) if size else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Of the canvas, or of the picture where there is none."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def canvas_bytes(size: tuple[int, int]) -> int:
    """What libwebp and Pillow hold of a WebP picture."""
    return _WEBP_BYTES_PER_PIXEL * size[0] * size[1]
