"""Statistics of one picture: everything the audit measures, from one reading and one decoding of its file.

Pixels are measured on a copy with the short side brought down to 256 px: it is what models see, and it makes pictures
of different sizes comparable. Numbers that CleanVision (Apache-2.0) judges by, too, are defined as there, so that
``issues`` flags what its users are used to.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageStat

from artifact_utils.files.budgets import reserve_file
from artifact_utils.files.picture_limits import check_structure, png_chunks
from artifact_utils.files.writing import is_utf8
from artifact_utils.images import ImageError, decode_small, orientation, read_file, shrink
from artifact_utils.labels import CLASS_NAMES, LabelError, parse_label

SCAN_COLUMNS: dict[str, Any] = {
    "path": str,
    "split": str,
    "class_name": str,
    "readable": bool,
    "reason": str,
    "format": str,
    "suffix_fits": bool,
    "mode": str,
    "width": "Int64",
    "height": "Int64",
    "aspect": float,
    "bytes": "Int64",
    "changed_ns": "Int64",
    "orientation": "Int64",
    "jpeg_quality": "Int64",
    "brightness": float,
    "brightness_p5": float,
    "brightness_p99": float,
    "contrast": float,
    "sharpness": float,
    "edges": float,
    "histogram_spread": float,
    "saturation": float,
    "entropy": float,
    "colour_gap": float,
    "red": float,
    "green": float,
    "blue": float,
    "border": float,
    "sha256": str,
    "thumbnail": object,
}
"""The columns of the audit's table and their types; what they mean is said at ``scan``."""

THUMBNAIL_SIDE = 64
"""Pixels of the square grey copy of every picture that duplicates are compared by."""

_SHORT_SIDE, _BLUR_SIDE = 256, 64
_SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",), "BMP": (".bmp",)}
_SIDEWAYS = (5, 6, 7, 8)  # the orientations that swap width and height
_PERCEIVED = np.array([0.241, 0.691, 0.068])
"""Weights of squared red, green and blue in perceived brightness (Finley, "HSP color model", 2006)."""
_BORDER_SPREAD = 3.0  # grey levels; a line of pixels that varies less is a border, not a wall

# The table of luminance at quality 50 in Annex K of the JPEG standard (ITU-T T.81), in rows.
_ANNEX_K = np.fromstring(
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99",
    dtype=np.int64,
    sep=" ",
)


def measure_picture(path: Path, root: Path, changed_ns: int = 0) -> dict[str, Any]:
    """One row of the table: what ``SCAN_COLUMNS`` names, as far as it can be measured; never an error.

    Args:
        path: of the picture.
        root: the folder that ``path`` and ``split`` of the row are relative to.
        changed_ns: when the file was changed, for the row.
    """
    relative = path.relative_to(root)
    row: dict[str, Any] = {
        "path": relative.as_posix(),
        "split": relative.parts[0] if len(relative.parts) > 1 and relative.parts[0] not in CLASS_NAMES else "",
        "class_name": class_name(path),
        "readable": False,
        "suffix_fits": False,
        "changed_ns": changed_ns,
        "thumbnail": b"",
    }
    row |= dict.fromkeys(("reason", "format", "mode", "sha256"), "")
    if not is_utf8(str(relative)):  # no table could hold it
        shown = {name: printable(row[name]) for name in ("path", "split")}
        return row | shown | {"reason": "its name is not valid UTF-8: rename it"}
    try:
        with reserve_file(path):
            content = read_file(path)
            row |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **_header(content)}
            row["suffix_fits"] = path.suffix.lower() in _SUFFIXES.get(row["format"], ())
            image = decode_small(content, str(path), _SHORT_SIDE)
    except ImageError as error:
        return row | {"reason": error.reason}
    return row | {"readable": True, **_measure_pixels(image)}


def outline(path: Path) -> dict[str, Any]:
    """Of the columns of the table only what duplicates are found by, for a fraction of the work: ``path`` (as given),
    ``readable``, ``sha256`` and ``thumbnail``."""
    row: dict[str, Any] = {"path": printable(path.as_posix()), "readable": False, "sha256": "", "thumbnail": b""}
    try:
        with reserve_file(path):
            content = read_file(path)
            image = decode_small(content, str(path), _SHORT_SIDE)
            return row | _outline(image, content)
    except ImageError:  # whoever trains on it says so
        return row


def outline_pixels(image: Image.Image) -> dict[str, Any]:
    """The same without ``path`` of a picture that is decoded already; ``sha256`` is then that of its pixels."""
    return _outline(shrink(image, _SHORT_SIDE), image.tobytes())


def _outline(image: Image.Image, identity: bytes) -> dict[str, Any]:
    thumbnail = _thumbnail(image.convert("L"))
    return {"readable": True, "sha256": hashlib.sha256(identity).hexdigest(), "thumbnail": thumbnail}


def printable(name: str) -> str:
    """A name as the table holds it: bytes that are no text are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def class_name(path: Path) -> str:
    """The class of a file: of its folder, or else of its name, or nothing."""
    if path.parent.name in CLASS_NAMES:
        return path.parent.name
    try:
        return CLASS_NAMES[parse_label(path)]
    except LabelError:
        return ""


def jpeg_quality(tables: dict[int, list[int]]) -> int:
    """The quality, 1 to 100, whose luminance table of the usual encoder (IJG) comes closest.

    Args:
        tables: the quantisation tables of a JPEG as PIL gives them, 64 numbers each.
    """
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    expected = np.clip((_ANNEX_K * scale + 50) // 100, 1, 255)
    return int(np.abs(np.sort(expected, axis=1) - np.sort(tables[0])).sum(axis=1).argmin()) + 1


def _header(content: bytes) -> dict[str, Any]:
    """What the file says of itself, read without decoding a pixel; nothing where that fails."""
    if check_structure(content):  # decode_small says why; even its header may keep a decoder busy
        return {}
    try:
        with Image.open(io.BytesIO(content), formats=tuple(_SUFFIXES)) as image:
            if image.format == "PNG":  # or getexif() decodes all pixels in search of it
                chunks = png_chunks(content)
                exif = next((content[start : start + n] for kind, start, n in chunks if kind == b"eXIf"), b"")
                image.info.setdefault("exif", exif)
            turned = orientation(image)
            width, height = image.size[::-1] if turned in _SIDEWAYS else image.size
            name = "JPEG" if image.format == "MPO" else image.format or ""  # several JPEGs in one, as phones write
            row = {"format": name, "mode": image.mode, "width": width, "height": height}
            tables = getattr(image, "quantization", None)
            quality = {"jpeg_quality": jpeg_quality(tables)} if tables else {}
            return row | {"aspect": width / height, "orientation": turned, **quality}
    except Exception:  # decoders raise nearly anything on hostile bytes; that it is unreadable is said elsewhere
        return {}


def _measure_pixels(image: Image.Image) -> dict[str, Any]:
    """The pixel columns of an upright RGB picture that is small already."""
    pixels = np.asarray(image)
    grey_image = image.convert("L")
    grey = np.asarray(grey_image)
    channels = cv2.split(pixels)
    means = np.array(cv2.mean(pixels)[:3]) / 255
    perceived = cv2.sqrt(cv2.transform(cv2.multiply(pixels, pixels, dtype=cv2.CV_32F), _PERCEIVED[None]))
    high = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    gap = cv2.subtract(high, cv2.min(cv2.min(channels[0], channels[1]), channels[2]))
    brightness_p5, brightness_p99 = _quantiles(perceived, 0.05, 0.99)
    coarse = grey_image.copy()
    coarse.thumbnail((_BLUR_SIDE, _BLUR_SIDE), Image.Resampling.BICUBIC, reducing_gap=None)
    return {
        "brightness": float(np.sqrt(_PERCEIVED @ means**2)),
        "brightness_p5": brightness_p5,
        "brightness_p99": brightness_p99,
        "contrast": _deviation(grey) / 255,
        "sharpness": _deviation(cv2.Laplacian(grey, cv2.CV_32F)) ** 2,
        "edges": float(ImageStat.Stat(coarse.filter(ImageFilter.FIND_EDGES)).stddev[0]),
        "histogram_spread": float(np.std(coarse.histogram())),
        "saturation": float(cv2.mean(cv2.divide(gap, np.maximum(high, 1), dtype=cv2.CV_32F))[0]),
        "entropy": float(image.entropy()),
        "colour_gap": _quantiles(gap, 0.99)[0],
        "red": float(means[0]),
        "green": float(means[1]),
        "blue": float(means[2]),
        "border": _border(grey),
        "thumbnail": _thumbnail(grey_image),
    }


def _thumbnail(grey: Image.Image) -> bytes:
    return grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR).tobytes()


def _deviation(values: npt.NDArray[Any]) -> float:
    return float(cv2.meanStdDev(values)[1].item())


def _quantiles(levels: npt.NDArray[Any], *shares: float) -> list[float]:
    """Quantiles of levels 0..255, uint8 or float32, in [0, 1], to a thousandth; by counting, for sorting takes far
    longer."""
    step = 1.0 if levels.dtype == np.uint8 else 0.25
    below = np.cumsum(np.bincount((levels / step).astype(np.int64).ravel() if step < 1 else levels.ravel()))
    return [min(float(np.searchsorted(below, share * levels.size)) * step / 255, 1.0) for share in shares]


def _border(grey: npt.NDArray[np.uint8]) -> float:
    """Share of the height or the width, whichever is more, that uniform strips along opposite edges take up."""
    shares = []
    squares = cv2.multiply(grey, grey, dtype=cv2.CV_32F)
    for along in (1, 0):
        mean, square = (cv2.reduce(values, along, cv2.REDUCE_AVG, dtype=cv2.CV_32F) for values in (grey, squares))
        spread = np.sqrt(np.maximum(square - mean * mean, 0)).ravel()
        plain = (spread < _BORDER_SPREAD).tolist()
        before = plain.index(False) if False in plain else len(plain)
        after = plain[::-1].index(False) if False in plain else 0
        shares.append((before + after) / len(plain))
    return float(max(shares))
