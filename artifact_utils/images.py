"""Opening a picture safely: whatever the file holds, the result is an upright 8-bit RGB image or an `ImageError`.

    load_image("portrait.png")                  # fully decoded, EXIF rotation applied, transparency on white
    load_image("portrait.jpg", min_side=256)    # large JPEGs are decoded at 1/2, 1/4 or 1/8 size, several times faster
    load_image(array)                           # arrays and PIL images get the same treatment

Files are told apart by their first bytes, never by their suffix: a PNG named .jpg is a good picture.
"""

import io
import os
import stat
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.files.budgets import reserve_file, reserve_pixels, within_time
from artifact_utils.files.lossless_webp import DamagedError, table_bytes
from artifact_utils.files.picture_limits import (
    MAX_FILE_BYTES,
    MAX_PIXELS,
    PNG_START,
    canvas_bytes,
    check_exif,
    check_scans,
    check_size,
    check_structure,
    coefficient_bytes,
    count_scans,
    png_chunks,
)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PICTURE_SUFFIXES = (*IMAGE_SUFFIXES, ".jfif", ".gif", ".tif", ".tiff", ".avif", ".heic")
"""What people call their pictures; some of them cannot be read here, and are told so."""

LARGE_PIXELS = 1 << 24
"""From this size on pictures are converted a band of rows at a time, and come back smaller where that is allowed."""

_PNG_END = b"IEND\xaeB`\x82"
_BYTES_PER_PIXEL = 16  # at the most, while a picture is converted: itself, with transparency, upright, and the result
_BAND_PIXELS = 1 << 22
_PLAIN_BYTES = 1 << 25  # spng decodes in one go, in 3 s at the most: empty blocks of deflate cost it most a byte
_PLAIN_CHUNKS = {b"IHDR", b"IDAT", b"IEND", b"tEXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"}
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = tuple(_UPRIGHT[number] for number in (5, 6, 7, 8))


class ImageError(ArtifactUtilsError):
    """A picture that cannot be used; the message names it and says why, `reason` is the why alone."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both, so that the error survives pickling between processes
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name!r}: {self.reason}"


def load_image(
    source: str | Path | Image.Image | np.ndarray, *, max_pixels: int = MAX_PIXELS, min_side: int | None = None
) -> Image.Image:
    """Load a picture as an upright 8-bit RGB image.

    Of an animation the first frame is taken, transparency is laid on white, CMYK and palettes are converted,
    16-bit values v become round(v / 257).

    Args:
        source: a PNG, JPEG, WebP or BMP file; a PIL image; or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4),
            bool, uint8, uint16, float in [0, 1], or any numbers that already lie in 0..255.
        max_pixels: larger pictures are refused before they are decoded.
        min_side: the caller needs no more than this many pixels on the short side; a JPEG, or any picture of more than
            `LARGE_PIXELS`, may then come back at a half, a quarter or an eighth of its size, with a short side of at
            least `min_side`.

    Returns:
        A new PIL image, mode RGB, without metadata (so that nothing rotates it twice).

    Raises:
        ImageError: missing, unreadable, not a regular file, not a picture, truncated, too large in the file or decoded,
            or made to keep a decoder busy; see `picture_limits` and `budgets`.
        TypeError: `source` is none of the types above.
    """
    if isinstance(source, str | Path):
        with reserve_file(source):
            return decode_image(read_file(source), str(source), max_pixels=max_pixels, min_side=min_side)
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source), "array", max_pixels)
    if isinstance(source, Image.Image):
        return _to_rgb(source, str(getattr(source, "filename", "") or "image"), max_pixels)
    raise TypeError(f"expected a path, a PIL image or a numpy array, not {type(source).__name__}")


def load_with_size(
    source: str | Path | Image.Image | np.ndarray, *, min_side: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """``load_image``, and the width and height that the whole picture has upright where it came back smaller."""
    if not isinstance(source, str | Path):
        image = load_image(source)
        return image, image.size
    with reserve_file(source):
        return decode_with_size(read_file(source), str(source), min_side=min_side)


def read_file(path: str | Path) -> bytes:
    """Read a regular file of at most 256 MiB; never blocks on a pipe, a device, a socket or a file of /proc.

    Raises:
        ImageError: it cannot be read; the reason is that of the operating system.
    """
    try:
        if reason := _no_picture_file(Path(path).stat()):  # first, for opening a device may set something off
            raise ImageError(str(path), reason)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with io.FileIO(descriptor) as file:
            status = os.fstat(descriptor)
            if reason := _no_picture_file(status):  # another one has taken its name meanwhile
                raise ImageError(str(path), reason)
            return _read_bytes(file, status.st_size)
    except FileNotFoundError as error:
        reason = "dangling symbolic link" if Path(path).is_symlink() else "no such file"
        raise ImageError(str(path), reason) from error
    except OSError as error:
        raise ImageError(str(path), error.strerror or str(error)) from error
    except ValueError as error:  # a NUL byte in the name
        raise ImageError(str(path), str(error)) from error


def _no_picture_file(status: os.stat_result) -> str | None:
    if stat.S_ISREG(status.st_mode):
        return f"is larger than {MAX_FILE_BYTES:,} bytes" if status.st_size > MAX_FILE_BYTES else None
    return "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file"


def _read_bytes(file: io.FileIO, size: int) -> bytes:
    """As many bytes as the file says it has, and no further: /proc/kmsg says none, and never ends."""
    content = file.read(size) if size else b""
    if content is None:
        raise OSError(None, "has nothing to read yet")
    if len(content) == size:
        return content
    parts = [content]  # a network drive may give less at a time
    while parts[-1] and (left := size - sum(map(len, parts))):
        parts.append(file.read(left) or b"")
    return b"".join(parts)


def decode_image(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, min_side: int | None = None) -> Image.Image:
    """Decode the bytes of a picture file; see `load_image`. `name` is what errors call it."""
    return decode_with_size(data, name, max_pixels=max_pixels, min_side=min_side)[0]


def decode_with_size(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, min_side: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """What `load_with_size` gives of the bytes of a picture file, all of it within the budgets of the decoders."""
    image, factor, n_bytes, (width, height) = _open(data, name, max_pixels, min_side)
    with reserve_pixels(n_bytes):
        decoded = _decode(image, data, name)
        if isinstance(decoded, np.ndarray):  # which has no orientation
            rgb = Image.fromarray(decoded) if factor == 1 else _to_rgb(decoded, name, max_pixels, factor)
            return rgb, (width, height)
        lies = _UPRIGHT.get(orientation(decoded)) in _LYING
        return _to_rgb(decoded, name, max_pixels, factor), (height, width) if lies else (width, height)


def decode_small(data: bytes, name: str, short_side: int) -> Image.Image:
    """Decode the bytes of a picture file and bring its short side down to `short_side` pixels, for measuring.

    It gives what `shrink` makes of `decode_image(data, name, min_side=short_side)`, up to rounding, in less time.
    """
    image, large, n_bytes, _ = _open(data, name, MAX_PIXELS, short_side)
    with reserve_pixels(n_bytes):
        decoded = _decode(image, data, name)
        if not isinstance(decoded, np.ndarray) or large > 1:
            return shrink(_to_rgb(decoded, name, MAX_PIXELS, large), short_side)
        height, width = decoded.shape[:2]
        factor = min(height, width) // short_side
        if factor > 1 and height % factor == width % factor == 0:  # as PIL does, but before it makes a copy of its own
            decoded = cv2.resize(decoded, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
        return shrink(Image.fromarray(decoded), short_side)


def shrink(image: Image.Image, short_side: int) -> Image.Image:
    """Bring the short side down to so many pixels; smaller pictures stay."""
    scale = short_side / min(image.size)
    if scale >= 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.HAMMING, reducing_gap=1.0)


def _open(data: bytes, name: str, max_pixels: int, min_side: int | None) -> tuple[ImageFile, int, int, tuple[int, int]]:
    """A picture opened by PIL, which decodes it when it is asked to; refused if it is too large or hostile.

    With it, what to divide its sides by if it is large, the memory to reserve for decoding and converting it, and its
    size in the file: a JPEG may be decoded at less.
    """
    plugin = _plugin(data, name)
    if reason := check_structure(data):
        raise ImageError(name, reason)
    try:
        if plugin is PngImageFile:
            if _PNG_END not in data:
                raise ImageError(name, "truncated PNG file")
            plugin(io.BytesIO(data)).verify()  # checksums; decoding stops at the last row and does not look at them
        # Not Image.open: its size limit is global state, and it would take other formats too.
        image = plugin(io.BytesIO(data))
        size = image.size
        _check_size(size, name, max_pixels)
        n_bytes = _bytes_beside(image, data, name)
        if min_side is not None:
            image.draft(None, (max(1, min_side), max(1, min_side)))
    except ImageError:
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes: SyntaxError, struct.error, ...
        raise _cannot_decode(name, error) from error
    n_pixels = image.width * image.height
    if n_pixels <= LARGE_PIXELS:
        return image, 1, n_bytes + _BYTES_PER_PIXEL * n_pixels, size
    side = min(image.size) if min_side is None else max(1, min_side)
    factor = max(divisor for divisor in (1, 2, 4, 8) if divisor == 1 or min(image.size) // divisor >= side)
    # the picture and the result, 4 bytes each; a plain PNG is an array of 3 first
    return image, factor, n_bytes + n_pixels * (4 + 4 // factor**2) + _BYTES_PER_PIXEL * _BAND_PIXELS, size


def _bytes_beside(image: ImageFile, data: bytes, name: str) -> int:
    """What the decoder holds beside the picture that comes out, asked before its size is changed."""
    if isinstance(image, WebPImageFile):
        try:
            return canvas_bytes(image.size) + table_bytes(data)
        except DamagedError as error:
            raise ImageError(name, str(error)) from error
    if not isinstance(image, JpegImageFile) or image.fp is None:
        return 0
    n_scans = count_scans(data, image.fp.tell())
    n_bytes = coefficient_bytes(image.size, [layer[1:3] for layer in image.layer], n_scans)
    if reason := check_scans(image.size, n_scans, n_bytes):
        raise ImageError(name, reason)
    return n_bytes


def _decode(image: ImageFile, data: bytes, name: str) -> np.ndarray | ImageFile:
    """The pixels (H, W, 3) of a plain PNG; any other picture as it is, decoded."""
    if isinstance(image, PngImageFile) and (pixels := _plain_png(data)) is not None:
        return pixels
    try:
        if image.fp is not None and not isinstance(image, WebPImageFile):  # which comes from its decoder in one piece
            vars(image)["load_read"] = within_time(getattr(image, "load_read", image.fp.read))  # what load() calls
        image.load()
    except Exception as error:  # as above
        raise _cannot_decode(name, error) from error
    finally:
        # it holds the picture, all of which would stay until the next garbage collection
        vars(image).pop("load_read", None)
    return image


def _plugin(data: bytes, name: str) -> type[ImageFile]:
    if data.startswith(PNG_START):
        return PngImageFile
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    if data.startswith(b"BM"):
        return BmpImageFile
    raise ImageError(name, "not a PNG, JPEG, WebP or BMP picture" if data else "empty file")


def _plain_png(data: bytes) -> np.ndarray | None:
    """Pixels (H, W, 3) of the usual PNG, 8-bit RGB with nothing said about how to show it, in half of PIL's time.

    None of any other, and of a damaged one: PIL says what is wrong with it.
    """
    has_8_bit_rgb = data[24:26] == b"\x08\x02"  # where the header has to be
    if not has_8_bit_rgb or len(data) > _PLAIN_BYTES:
        return None
    chunks = []
    for kind, position, _ in png_chunks(data):
        is_profile = kind == b"tEXt" and data.startswith(b"Raw profile", position)  # EXIF in disguise
        chunks.append(b"eXIf" if is_profile else kind)
    if chunks[0] != b"IHDR" or chunks.count(b"IHDR") > 1 or not _PLAIN_CHUNKS.issuperset(chunks):
        return None
    try:
        return imagecodecs.spng_decode(data)
    except imagecodecs.SpngError:
        return None


def _cannot_decode(name: str, error: Exception) -> ImageError:
    return ImageError(name, f"cannot be decoded: {str(error) or type(error).__name__}")


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    if reason := check_size(size, max_pixels):
        raise ImageError(name, reason)


def _to_rgb(image: Image.Image | np.ndarray, name: str, max_pixels: int, factor: int = 1) -> Image.Image:
    """Convert a picture and divide its sides by a factor; band by band if it is large, without a copy of all of it."""
    width, height = size = image.size if isinstance(image, Image.Image) else (image.shape[1], image.shape[0])
    _check_size(size, name, max_pixels)
    try:
        transpose = None
        if isinstance(image, Image.Image):
            image.load()
            transpose = _UPRIGHT.get(orientation(image))
        if width * height <= LARGE_PIXELS and factor == 1 and isinstance(image, Image.Image):
            rgb = _band_to_rgb(image, name)
        else:
            rgb = Image.new("RGB", (-(-width // factor), -(-height // factor)))
            n_rows = max(1, _BAND_PIXELS // width // factor) * factor
            for top in range(0, height, n_rows):
                bottom = min(top + n_rows, height)
                if isinstance(image, np.ndarray):
                    band = Image.fromarray(image[top:bottom])
                else:
                    band = _band_to_rgb(image.crop((0, top, width, bottom)), name)
                rgb.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    except ImageError:
        raise
    except Exception as error:  # as above: decoding goes on in load()
        raise _cannot_decode(name, error) from error
    rgb.info = {}
    return rgb if transpose is None else rgb.transpose(transpose)


def _band_to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode[0] in "IF":  # convert() would clip 16-bit values at 255 instead of scaling them
        return Image.fromarray(_to_uint8(np.asarray(image), name)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(rgba, mask=rgba.getchannel("A"))
        return rgb
    return image.convert("RGB")


def orientation(image: Image.Image) -> int:
    """What the EXIF of an opened picture says of its orientation, 1 to 8; 1, upright, where it says nothing."""
    try:
        text = str(image.info.get("Raw profile type exif", ""))  # of a PNG, in hex behind three lines
        for exif in (image.info.get("exif") or b"", bytes.fromhex("".join(text.split("\n")[3:]))):
            if check_exif(exif):
                return 1
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # broken metadata does not make a bad picture
        return 1


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or array.size == 0:
        raise ImageError("array", f"shape {array.shape}: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    return Image.fromarray(np.ascontiguousarray(_to_uint8(array, "array")))


def _to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    """Scale to 0..255 by type: 16 bit / 257, float in [0, 1] * 255; what fits 8 bits already stays."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if values.dtype.kind not in "iuf":
        raise ImageError(name, f"values of type {values.dtype}: expected integers or floats")
    low, high = values.min(), values.max()
    limit = 255 if values.dtype.kind == "f" else 65535
    if not (low >= 0 and high <= limit):  # also true for NaN
        raise ImageError(name, f"values from {low} to {high}: expected 0 to {limit}")
    if values.dtype.kind == "f":
        return np.rint(values * 255 if high <= 1 else values).astype(np.uint8)
    if (values.dtype.itemsize == 2 and values.dtype.kind == "u") or high > 255:
        scaled = values.astype(np.uint32)
        scaled *= 255  # (255 v + 32895) >> 16 is round(v / 257), exactly; in place, since pictures can be large
        scaled += 32895
        scaled >>= 16
        return scaled.astype(np.uint8)
    return values.astype(np.uint8)
