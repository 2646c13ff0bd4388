"""Small pictures for a page: thumbnails, and heat maps that can be laid over a picture."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from artifact_utils.images import load_image

HEAT_SIDE = 512  # pixels; a heat map has fewer cells than that
_COLOURS = np.array([(255, 237, 160), (254, 178, 76), (240, 59, 32), (128, 0, 38)], np.float64)  # ColorBrewer's YlOrRd


def preview(path: Path, side: int) -> bytes:
    """A picture as a JPEG whose long side has at most so many pixels; errors are those of ``load_image``."""
    image = load_image(path, min_side=side)
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    content = io.BytesIO()
    image.save(content, "jpeg", quality=82)
    return content.getvalue()


def heat_overlay(heat: npt.NDArray[np.float32]) -> bytes:
    """A heat map as a PNG to lay over its picture: transparent where there is nothing, yellow to dark red where it is.

    Args:
        heat: (H, W) in [0, 1].
    """
    height, width = heat.shape
    scale = min(1.0, HEAT_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(small, stops, _COLOURS[:, i]) for i in range(3)]
    pixels = np.stack([*channels, 255 * np.sqrt(small)], axis=-1)
    content = io.BytesIO()
    Image.fromarray(np.rint(pixels).astype(np.uint8), "RGBA").save(content, "png", compress_level=3)
    return content.getvalue()
