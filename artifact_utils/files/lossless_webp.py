"""How much the prefix codes of a lossless WebP may take, read before libwebp makes its tables.

A picture may be divided into cells of 4 x 4 pixels, each with a group of codes of its own: 65,536 groups are a gigabyte
of tables, from a file of 2 MB. Encoders make up to 2,600 cells. How many there are is said in front of the pixels, but
behind the images of the transforms, so that these have to be passed over symbol by symbol.

The format: https://developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification
"""

from collections.abc import Iterator

MAX_GROUPS = 1 << 14
GROUP_BYTES = 21_000
"""Of the tables of a group in libwebp, at the most: 5,004 entries of 4 bytes, and what points to them."""
MAX_SYMBOLS = 1 << 20
"""Of the images of transforms, read here at about 1 us each; a picture of 25 megapixels has a third of that."""

_SIGNATURE = 0x2F
_LITERALS, _LENGTHS, _DISTANCES = 256, 24, 40
_LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_PREDICTOR, _COLOUR, _SUBTRACT_GREEN, _PALETTE = range(4)


class DamagedError(Exception):
    """The stream breaks off or says what no encoder says; the text is the reason."""


def table_bytes(data: bytes) -> int:
    """What libwebp may hold of the prefix codes of the lossless streams in a WebP file, or of its first frame.

    Raises:
        DamagedError: a stream cannot be followed, or would take too much.
    """
    return sum(GROUP_BYTES * _count_groups(*stream) for stream in _streams(data))


def _streams(data: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Lossless streams behind their headers, with width and height: of the picture, or of its transparency."""
    size = int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1  # of a canvas
    for kind, start, end in _chunks(data, 12, len(data)):
        if kind == b"ANMF":
            width, height = (int.from_bytes(data[start + at : start + at + 3], "little") + 1 for at in (6, 9))
            for below in _chunks(data, start + 16, end):
                yield from _lossless(data, *below, (width, height))
            return
        yield from _lossless(data, kind, start, end, size)


def _lossless(
    data: bytes, kind: bytes, start: int, end: int, size: tuple[int, int]
) -> Iterator[tuple[bytes, tuple[int, int]]]:
    if kind == b"VP8L":
        if end - start < 5 or data[start] != _SIGNATURE:
            raise DamagedError("its lossless stream has no header")
        header = int.from_bytes(data[start + 1 : start + 5], "little")
        yield data[start + 5 : end], ((header & 0x3FFF) + 1, (header >> 14 & 0x3FFF) + 1)
    if kind == b"ALPH" and end > start and data[start] & 3 == 1:
        yield data[start + 1 : end], size


def _chunks(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what each chunk holds."""
    while position + 8 <= end:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], position + 8, min(position + 8 + length, end)
        position += 8 + length + 1 & ~1


def _count_groups(stream: bytes, size: tuple[int, int]) -> int:
    """The cells that have codes of their own; 1 if the picture is not divided."""
    bits, (width, height) = _Bits(stream), size
    left = MAX_SYMBOLS
    while bits.read(1):
        kind = bits.read(2)
        if kind in (_PREDICTOR, _COLOUR):
            side = 1 << bits.read(3) + 2
            left = _skip_image(bits, -(-width // side) * -(-height // side), left)
        elif kind == _PALETTE:
            n_colours = bits.read(8) + 1
            left = _skip_image(bits, n_colours, left)
            width = -(-width // (1 << (n_colours <= 16) + (n_colours <= 4) + (n_colours <= 2)))
    if bits.read(1):
        bits.read(4)  # of the cache of colours
    if not bits.read(1):
        return 1
    side = 1 << bits.read(3) + 2
    n_groups = -(-width // side) * -(-height // side)
    if n_groups > MAX_GROUPS:
        raise DamagedError(f"has {n_groups:,} cells, over the limit of {MAX_GROUPS:,} (decompression bomb?)")
    return n_groups


def _skip_image(bits: "_Bits", n_pixels: int, left: int) -> int:
    """Read an image of a transform; returns how many symbols may still be read.

    Raises:
        DamagedError: there are more.
    """
    cache = 1 << bits.read(4) if bits.read(1) else 0
    green = _Code(bits, _LITERALS + _LENGTHS + cache)
    others = [_Code(bits, _LITERALS) for _ in range(3)]
    distances = _Code(bits, _DISTANCES)
    if not green.n_bits and not any(code.n_bits for code in others) and green.only < _LITERALS:
        return left  # all pixels are alike, and take no bits
    n = 0
    while n < n_pixels:
        if (left := left - 1) < 0:
            raise DamagedError("has transforms that are too large")
        symbol = green.read(bits)
        if _LITERALS <= symbol < _LITERALS + _LENGTHS:
            n += _number(bits, symbol - _LITERALS)
            _number(bits, distances.read(bits))
            continue
        n += 1
        if symbol < _LITERALS:
            for code in others:
                code.read(bits)
    return left


def _number(bits: "_Bits", prefix: int) -> int:
    """A length or a distance: a prefix, and the bits that it asks for."""
    if prefix < 4:
        return prefix + 1
    extra = prefix - 2 >> 1
    return ((2 + (prefix & 1)) << extra) + bits.read(extra) + 1


class _Bits:
    """Reads from the lowest bit of each byte on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0
        self.held, self.n_held = 0, 0

    def peek(self, n: int) -> int:
        """The next bits, zeros behind the end."""
        if self.n_held < n:
            self.held |= int.from_bytes(self.data[self.position : self.position + 6], "little") << self.n_held
            self.position, self.n_held = self.position + 6, self.n_held + 48
        return self.held & ((1 << n) - 1)

    def skip(self, n: int) -> None:
        self.held >>= n
        self.n_held -= n
        if self.position > len(self.data) and 8 * (self.position - len(self.data)) > self.n_held:
            raise DamagedError("its lossless stream breaks off")

    def read(self, n: int) -> int:
        value = self.peek(n)
        self.skip(n)
        return value


class _Code:
    """A prefix code, read from the stream: ``only`` is its symbol if it has no more, which takes no bits."""

    def __init__(self, bits: _Bits, n_symbols: int) -> None:
        lengths = _simple_lengths(bits) if bits.read(1) else _coded_lengths(bits, n_symbols)
        self._build({symbol: n for symbol, n in lengths.items() if n and symbol < n_symbols})

    def _build(self, lengths: dict[int, int]) -> None:
        if not lengths:
            raise DamagedError("has a prefix code without symbols")
        self.only = next(iter(lengths)) if len(lengths) == 1 else -1
        self.n_bits = 0 if len(lengths) == 1 else max(lengths.values())
        self.table: list[tuple[int, int]] = [(0, 0)] * (1 << self.n_bits)
        if len(lengths) == 1:
            return
        if sum(1 << self.n_bits - n for n in lengths.values()) != 1 << self.n_bits:
            raise DamagedError("has a prefix code that is none")
        code = 0
        for n in range(1, self.n_bits + 1):
            for symbol in sorted(symbol for symbol, length in lengths.items() if length == n):
                first = int(f"{code:0{n}b}"[::-1], 2)  # the lowest bit comes first
                step = 1 << n
                self.table[first::step] = [(symbol, n)] * (1 << self.n_bits - n)
                code += 1
            code <<= 1

    def read(self, bits: _Bits) -> int:
        if not self.n_bits:
            return self.only
        symbol, n = self.table[bits.peek(self.n_bits)]
        bits.skip(n)
        return symbol


class _CodeOfLengths(_Code):
    """The code that the lengths of another one are written in."""

    def __init__(self, lengths: dict[int, int]) -> None:
        self._build({symbol: n for symbol, n in lengths.items() if n})


def _simple_lengths(bits: _Bits) -> dict[int, int]:
    two = bits.read(1)
    symbols = [bits.read(8 if bits.read(1) else 1)]
    if two:
        symbols.append(bits.read(8))
    return dict.fromkeys(symbols, 1)


def _coded_lengths(bits: _Bits, n_symbols: int) -> dict[int, int]:
    n_codes = bits.read(4) + 4
    code = _CodeOfLengths({symbol: bits.read(3) for symbol in _LENGTH_ORDER[:n_codes]})
    n_read = 2 + bits.read(2 + 2 * bits.read(3)) if bits.read(1) else n_symbols
    lengths: dict[int, int] = {}
    symbol, before = 0, 8
    while symbol < n_symbols and n_read:
        n_read -= 1
        value = code.read(bits)
        if value < 16:
            lengths[symbol] = value
            before = value or before
            symbol += 1
            continue
        repeat = {16: lambda: 3 + bits.read(2), 17: lambda: 3 + bits.read(3), 18: lambda: 11 + bits.read(7)}[value]()
        if symbol + repeat > n_symbols:
            raise DamagedError("has a prefix code that is none")
        for _ in range(repeat):
            lengths[symbol] = before if value == 16 else 0
            symbol += 1
    return lengths
