"""Pictures, and what only looks like one, made to stop, fill or mislead whoever opens a folder of them."""

import functools
import io
import os
import random
import socket
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

Draw = Callable[[random.Random], bytes]

START = b"\x89PNG\r\n\x1a\n"
COMMENT_WITH_END = b"\xff\xfe\x00\x04\xff\xd9"
"""A JPEG comment that holds the marker of the end of a picture."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(size: tuple[int, int], depth: int, colour: int, *chunks: bytes, interlaced: int = 0) -> bytes:
    header = struct.pack(">II5B", *size, depth, colour, 0, 0, interlaced)
    return START + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


@functools.cache
def zeros(n_bytes: int) -> bytes:
    """So many zero bytes, deflated without holding them."""
    deflate, block = zlib.compressobj(1), bytes(1 << 20)
    whole = b"".join(deflate.compress(block) for _ in range(n_bytes >> 20))
    return whole + deflate.compress(bytes(n_bytes & 0xFFFFF)) + deflate.flush()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(rng: random.Random, mode: str = "RGB", side: int | None = None) -> Image.Image:
    side = side or rng.randrange(24, 90)
    image = Image.frombytes("RGB", (8, 8), rng.randbytes(192)).resize((side, side + rng.randrange(9)))
    return image.point(lambda v: v * 257, "I;16") if mode == "I;16" else image.convert(mode)


def picture(rng: random.Random) -> bytes:
    """A usual one, of any format and mode."""
    kind, modes = rng.choice(
        [
            ("png", ["RGB", "RGBA", "L", "LA", "P", "1"]), ("jpeg", ["RGB", "L", "CMYK"]), ("webp", ["RGB", "RGBA"]),
            ("bmp", ["RGB", "L", "P", "1"]), ("gif", ["P", "L"]), ("tiff", ["RGB", "CMYK", "L"]), ("ppm", ["RGB"]),
        ]
    )  # fmt: skip
    options = {"progressive": rng.random() < 0.5, "exif": orientation(rng.randrange(12))} if kind == "jpeg" else {}
    return saved(plain(rng, rng.choice(modes)), kind, **options)


def orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def truncated(rng: random.Random) -> bytes:
    data = picture(rng)
    return data[: rng.randrange(len(data))]


def flipped(rng: random.Random) -> bytes:
    data = bytearray(picture(rng))
    for _ in range(rng.randrange(1, 9)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def spliced(rng: random.Random) -> bytes:
    one, other = picture(rng), picture(rng)
    return one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]


def no_picture(rng: random.Random) -> bytes:
    starts = [b"", START, b"\xff\xd8\xff", b"RIFF\xff\xff\xff\xffWEBP", b"BM", b"GIF89a", b"II*\0", b"<svg/>", b"%PDF-"]
    return rng.choice(starts) + rng.randbytes(rng.choice([0, 1, 20, 3000]))


def pixel_bomb(rng: random.Random) -> bytes:
    side, depth, colour = rng.choice(
        [(9999, 16, 6), (9999, 16, 2), (30_000, 8, 2), (60_000, 1, 0), (2**31 - 1, 8, 2), (11_000, 16, 4)]
    )
    return png((side, side), depth, colour, chunk(b"IDAT", zeros(1 << 20)))


def largest(rng: random.Random) -> bytes:
    """100 megapixels, as many as are allowed, with all their rows."""
    bits, depth, colour = rng.choice([(1, 1, 0), (8, 8, 0), (24, 8, 2), (32, 8, 6), (8, 8, 3)])
    palette = [chunk(b"PLTE", bytes(768))] if colour == 3 else []
    rows = zeros((1 + 10_000 * bits // 8) * 10_000 + 40_000)
    return png((10_000, 10_000), depth, colour, *palette, chunk(b"IDAT", rows), interlaced=rng.randrange(2))


@functools.cache
def grey_jpeg(side: int, progressive: bool) -> bytes:
    return saved(Image.new("L", (side, side), 128), "jpeg", progressive=progressive)


def scan_bomb(rng: random.Random) -> bytes:
    """Progressive, with many scans: some are over the limits, some below, some hide behind a marker in a comment."""
    side, n_scans = rng.choice([(300, 900), (1000, 3000), (1000, 900), (4000, 120), (8, 20_000), (6000, 50)])
    data = grey_jpeg(side, True)
    last = data[data.rindex(b"\xff\xda") : -2]
    hidden = COMMENT_WITH_END if rng.random() < 0.5 else b""
    return data[:-2] + hidden + last * n_scans + data[-2:]


def large_jpeg(rng: random.Random) -> bytes:
    data = grey_jpeg(9000, rng.random() < 0.5)
    return data.replace(b"\xff\xc0", b"\xff\xc9", 1) if rng.random() < 0.3 else data  # c9: arithmetic coding


def segments(rng: random.Random) -> bytes:
    """A JPEG with a header of megabytes: comments, EXIF, colour profiles, fill bytes."""
    body = rng.choice(
        [
            b"\xff\xfe\0\2" * 3000,
            (b"\xff\xe1\xff\xff" + b"Exif\0\0".ljust(65533, b"\0")) * rng.choice([3, 300]),
            b"".join(b"\xff\xe2\xff\xff" + b"ICC_PROFILE\0" + bytes([i % 256, 255]) + bytes(65519) for i in range(255)),
            b"\xff" * 4000,
            b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\x08\0\0\0",  # its next IFD is itself
            b"\xff\xe1\0\x16Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\1\3\0",  # 65,535 entries
        ]
    )
    return b"\xff\xd8" + body + grey_jpeg(48, False)[2:]


def chunks(rng: random.Random) -> bytes:
    """A PNG with chunks that unpack to much, are many, or come where they must not."""
    rows = chunk(b"IDAT", zlib.compress(bytes(49 * 3 * 48)))
    odd = rng.choice(
        [
            chunk(b"iCCP", b"x\0\0" + zeros(1 << 26)), chunk(b"zTXt", b"x\0\0" + zeros(1 << 26)),
            chunk(b"iTXt", b"x\0\1\0\0\0" + zeros(1 << 25)), chunk(b"tEXt", b"x\0" + bytes(1 << 21)),
            chunk(b"tEXt", b"k\0v") * 20_000, chunk(b"prVt", b"") * 150_000, chunk(b"eXIf", rng.randbytes(4000)),
            chunk(b"tEXt", b"Raw profile type exif\0\n" + b"f" * 100_000), chunk(b"tRNS", bytes(6)),
            chunk(b"PLTE", bytes(769)), chunk(b"IHDR", bytes(13)), struct.pack(">I", 0xFFFFFFF0) + b"tEXt",
            chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), chunk(b"IDAT", b"") * 30_000,
        ]
    )  # fmt: skip
    return png((48, 48), 8, 2, *((odd, rows) if rng.random() < 0.7 else (rows, odd)))


def frames(rng: random.Random) -> bytes:
    kind = rng.choice(["webp", "png", "gif", "tiff"])
    more = [plain(rng, side=64).resize((64, 64)) for _ in range(rng.choice([2, 40]))]
    return saved(plain(rng, side=64).resize((64, 64)), kind, save_all=True, append_images=more)


def webp_bomb(rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return saved(Image.new("RGB", (4000, 4000)), "webp", lossless=True, method=0)
    if rng.random() < 0.5:
        return table_bomb(rng.choice([1024, 400, 4000]))
    width, height = rng.choice([(16_384, 16_384), (1 << 24, 1 << 24), (5000, 5000)])
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + (22).to_bytes(4, "little") + b"WEBPVP8X" + (10).to_bytes(4, "little") + canvas


@functools.cache
def table_bomb(side: int) -> bytes:
    """A lossless WebP in cells of 4 x 4 pixels, each with prefix codes of its own: 13 KB of tables for 35 bytes."""
    bits: list[str] = []  # of each number the lowest bit first

    def write(value: int, n: int) -> None:
        bits.append(f"{value:0{n}b}"[::-1])

    def only(symbol: int) -> None:
        bits.append("101" + f"{symbol:08b}"[::-1])  # simple, one symbol, of eight bits

    def alike(n_bits: int, n_symbols: int) -> None:
        """Codes of so many bits for all of the first symbols; their lengths are written in no bits at all."""
        order = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        bits.append("0")
        write(15, 4)
        for symbol in order:
            write(int(symbol == n_bits), 3)
        bits.append("1")
        write(5, 3)
        write(n_symbols - 2, 12)

    n_cells = (side // 4) ** 2
    bits.append("0" + "1")  # no transform; a cache of colours
    write(11, 4)
    bits.append("1" + "000")  # cells, of 4 x 4
    bits.append("0")  # the image that says which codes a cell has, without a cache
    alike(8, 256)
    alike(8, 256)
    for _ in range(3):
        only(0)
    for cell in range(n_cells):
        bits.append(f"{cell & 255:08b}{cell >> 8 & 255:08b}")
    bits.append("")
    mark = len(bits)
    alike(11, 2048)
    for _ in range(3):
        alike(8, 256)
    only(0)
    group, bits[mark:] = "".join(bits[mark:]), []
    whole = "".join(bits) + group * min(n_cells, 1 << 16)
    header = (side - 1) | (side - 1) << 14
    stream = b"\x2f" + header.to_bytes(4, "little") + int(whole[::-1], 2).to_bytes(-(-len(whole) // 8), "little")
    stream += b"\0" * (len(stream) % 2)
    return b"RIFF" + (12 + len(stream)).to_bytes(4, "little") + b"WEBPVP8L" + len(stream).to_bytes(4, "little") + stream


def odd_bmp(rng: random.Random) -> bytes:
    width, height = rng.choice([(4000, 4000), (9000, -9000), (-5, 5), (0, 0), (2**31 - 1, 1), (2000, 2000)])
    bits, packing = rng.choice([(8, 1), (4, 2), (24, 0), (16, 3), (32, 3), (1, 0), (200, 9)])
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, packing, 0, 0, 0, rng.choice([0, 256, 2**32 - 1]), 0
    )
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 14 + 40 + 1024) + header + bytes(1024) + b"\1\0\0\0" * 1000


def strip(rng: random.Random) -> bytes:
    width, height = rng.choice([(50_000, 1), (1, 50_000), (1, 1), (0, 0), (0, 5), (99, 1), (3, 9000)])
    rows = zlib.compress(bytes((1 + 3 * width) * height))
    return png((width, height), 8, 2, chunk(b"IDAT", rows))


KINDS: tuple[Draw, ...] = (
    picture, truncated, flipped, truncated, spliced, no_picture, scan_bomb, chunks, segments, frames, odd_bmp, strip,
    picture, truncated, pixel_bomb, flipped, truncated, webp_bomb, flipped, truncated, scan_bomb, large_jpeg, chunks,
    largest,
)  # fmt: skip
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".PNG", ".heic", ".avif", ".jfif")
BEGINNINGS = (
    "", "-", "--help", "@", "+", "=cmd()", "\r", "\n", "\t", " ", "'", '"', ",", ";", "%s", "$(x)", "`x`", "*", "?",
    "\\", "<b>", "&amp;", "\x1b[31m", "\x7f", "\u202egnp", "\U0001f600", "e\u0301", ".hidden", "..", "~", "\udcff",
    "\udc80\udcfe",
)  # fmt: skip


def odd_name(rng: random.Random, number: int, label: int) -> str:
    """A name that a file system allows, and that ends in a label and a suffix of a picture."""
    end = f"{number}_{label}{rng.choice(SUFFIXES)}"
    start = rng.choice(BEGINNINGS)
    if rng.random() < 0.1:
        start += "x" * (255 - len(os.fsencode(start + end)))  # as long as names may be
    return start + end


def draw_hostile(folders: dict[int, list[Path]], n: int, seed: int) -> int:
    """Draw ``n`` hostile pictures and, beside them, some fifteen things that are no files.

    Args:
        folders: by label, those that they are spread over.
        n: pictures.
        seed: the same one draws the same bytes.

    Returns:
        How many were drawn, the things that are no files among them.
    """
    rng = random.Random(seed)
    for number in range(n):
        label = rng.randrange(2)
        folder = rng.choice(folders[label])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / odd_name(rng, number, label)).write_bytes(KINDS[number % len(KINDS)](rng))
    return n + sum(_no_files(folder, label, rng) for label in folders for folder in folders[label][:1])


def _no_files(folder: Path, label: int, rng: random.Random) -> int:
    """Links, pipes, sockets, devices, folders and files that may not be read, all called like pictures."""
    before = len(os.listdir(folder))  # noqa: PTH208
    end = f"_{label}.png"
    outside = folder.parent / f"outside{label}.data"
    outside.write_bytes(picture(rng))
    targets = {
        "self": f"self{end}", "here": f"there{end}", "there": f"here{end}", "up": "..", "outside": str(outside),
        "kmsg": "/proc/kmsg", "zero": "/dev/zero", "full": "/dev/full", "mem": "/proc/self/mem", "nowhere": "/no/such",
        "tty": "/dev/tty", "environ": "/proc/self/environ", "long": "x/" * 1500,
    }  # fmt: skip
    for name, target in targets.items():
        (folder / f"{name}{end}").symlink_to(target)
    os.mkfifo(folder / f"pipe{end}")
    (folder / f"folder{end}").mkdir()
    (folder / f"folder{end}" / f"inside{end}").write_bytes(picture(rng))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)  # by a short name: sockets have no long ones
        try:
            server.bind(f"/proc/self/fd/{here}/socket{end}")
        finally:
            os.close(here)
    if os.geteuid() == 0:
        os.mknod(folder / f"device{end}", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    with (folder / f"sparse{end}").open("wb") as file:
        file.truncate(1 << 32)
    (folder / f"secret{end}").write_bytes(picture(rng))
    (folder / f"secret{end}").chmod(0)
    return len(os.listdir(folder)) - before  # noqa: PTH208
