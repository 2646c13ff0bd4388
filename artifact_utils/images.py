"""Opening a picture safely: whatever the file holds, the result is an upright 8-bit RGB image or an `ImageError`.

    load_image("portrait.png")                  # fully decoded, EXIF rotation applied, transparency on white
    load_image("portrait.jpg", min_side=256)    # large JPEGs are decoded at 1/2, 1/4 or 1/8 size, several times faster
    load_image(array)                           # arrays and PIL images get the same treatment

Files are told apart by their first bytes, never by their suffix: a PNG named .jpg is a good picture.
"""

import io
import stat
import struct
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

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PICTURE_SUFFIXES = (*IMAGE_SUFFIXES, ".jfif", ".gif", ".tif", ".tiff", ".avif", ".heic")
"""What people call their pictures; some of them cannot be read here, and are told so."""

MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 1 << 29
MAX_ASPECT = 100
"""A strip of 50,000 x 1 pixels is small until a resize of its short side blows it up."""

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
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
        min_side: the caller needs no more than this many pixels on the short side; a JPEG may then come back at a
            half, a quarter or an eighth of its size, with a short side of at least `min_side`.

    Returns:
        A new PIL image, mode RGB, without metadata (so that nothing rotates it twice).

    Raises:
        ImageError: missing, unreadable, not a regular file, not a picture, truncated, too large.
        TypeError: `source` is none of the types above.
    """
    if isinstance(source, str | Path):
        return decode_image(read_file(source), str(source), max_pixels=max_pixels, min_side=min_side)
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source), "array", max_pixels)
    if isinstance(source, Image.Image):
        return _to_rgb(source, str(getattr(source, "filename", "") or "image"), max_pixels)
    raise TypeError(f"expected a path, a PIL image or a numpy array, not {type(source).__name__}")


def read_file(path: str | Path) -> bytes:
    """Read a regular file of at most 512 MiB; never opens a pipe, a device or a socket, which could block for ever.

    Raises:
        ImageError: it cannot be read; the reason is that of the operating system.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_FILE_BYTES:
            with path.open("rb") as file:
                return file.read(status.st_size)  # and no further: /proc/kmsg calls itself regular and never ends
    except FileNotFoundError as error:
        raise ImageError(str(path), "dangling symbolic link" if path.is_symlink() else "no such file") from error
    except OSError as error:
        raise ImageError(str(path), error.strerror or str(error)) from error
    except ValueError as error:  # a NUL byte in the name
        raise ImageError(str(path), str(error)) from error
    if stat.S_ISREG(status.st_mode):
        raise ImageError(str(path), f"is larger than {MAX_FILE_BYTES:,} bytes")
    raise ImageError(str(path), "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")


def decode_image(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, min_side: int | None = None) -> Image.Image:
    """Decode the bytes of a picture file; see `load_image`. `name` is what errors call it."""
    decoded = _decode(data, name, max_pixels, min_side)
    return Image.fromarray(decoded) if isinstance(decoded, np.ndarray) else _to_rgb(decoded, name, max_pixels)


def decode_small(data: bytes, name: str, short_side: int) -> Image.Image:
    """Decode the bytes of a picture file and bring its short side down to `short_side` pixels, for measuring.

    It gives what `shrink` makes of `decode_image(data, name, min_side=short_side)`, up to rounding, in less time.
    """
    decoded = _decode(data, name, MAX_PIXELS, short_side)
    if not isinstance(decoded, np.ndarray):
        return shrink(_to_rgb(decoded, name, MAX_PIXELS), short_side)
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


def _decode(data: bytes, name: str, max_pixels: int, min_side: int | None) -> np.ndarray | ImageFile:
    """The pixels (H, W, 3) of a plain PNG; any other picture opened by PIL, which decodes it when it is asked to."""
    plugin = _plugin(data, name)
    try:
        if plugin is PngImageFile:
            if _PNG_END not in data:
                raise ImageError(name, "truncated PNG file")
            plugin(io.BytesIO(data)).verify()  # checksums; decoding stops at the last row and does not look at them
        # Not Image.open: its size limit is global state, and it would take other formats too.
        image = plugin(io.BytesIO(data))
        _check_size(image.size, name, max_pixels)
        if plugin is PngImageFile and (pixels := _plain_png(data)) is not None:
            return pixels
        if min_side is not None:
            image.draft(None, (max(1, min_side), max(1, min_side)))
    except ImageError:
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes: SyntaxError, struct.error, ...
        raise _cannot_decode(name, error) from error
    return image


def _plugin(data: bytes, name: str) -> type[ImageFile]:
    if data.startswith(_PNG_START):
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
    if data[24:26] != b"\x08\x02":  # bits per channel and kind of colour, where the header has to be
        return None
    chunks, position = [], len(_PNG_START)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        is_profile = kind == b"tEXt" and data.startswith(b"Raw profile", position + 8)  # EXIF in disguise
        chunks.append(b"eXIf" if is_profile else kind)
        position += 12 + length
    if chunks[0] != b"IHDR" or chunks.count(b"IHDR") > 1 or not _PLAIN_CHUNKS.issuperset(chunks):
        return None
    try:
        return imagecodecs.spng_decode(data)
    except imagecodecs.SpngError:
        return None


def _cannot_decode(name: str, error: Exception) -> ImageError:
    return ImageError(name, f"cannot be decoded: {str(error) or type(error).__name__}")


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(name, f"has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise ImageError(name, f"{width} x {height} is over the limit of {max_pixels:,} pixels (decompression bomb?)")
    if max(size) > MAX_ASPECT * min(size):
        raise ImageError(name, f"{width} x {height} is longer than {MAX_ASPECT}:1")


def _to_rgb(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    _check_size(image.size, name, max_pixels)
    try:
        image.load()
        transpose = _UPRIGHT.get(_orientation(image))
        if image.mode[0] in "IF":  # convert() would clip 16-bit values at 255 instead of scaling them
            rgb = Image.fromarray(_to_uint8(np.asarray(image), name)).convert("RGB")
        elif image.has_transparency_data:
            rgba = image.convert("RGBA")
            rgb = Image.new("RGB", image.size, "white")
            rgb.paste(rgba, mask=rgba.getchannel("A"))
        else:
            rgb = image.convert("RGB")
    except ImageError:
        raise
    except Exception as error:  # as above: decoding goes on in load()
        raise _cannot_decode(name, error) from error
    rgb.info = {}
    return rgb if transpose is None else rgb.transpose(transpose)


def _orientation(image: Image.Image) -> int:
    try:
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
