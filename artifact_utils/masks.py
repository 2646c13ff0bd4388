"""Masks of artifacts as pictures: white where one is, a little darker for each family that somebody named.

255 is an artifact of the family that the table names, or of any; ``255 - 8 * number`` one of the family with that
``labels.mask_number``. All of them are white to whoever asks for more than half.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from artifact_utils.images import load_image
from artifact_utils.labels import ANY_FAMILY, FAMILY_NAMES, mask_number

STEP = 8
"""Grey levels between two families."""

_GREYS = {255 - STEP * mask_number(family): mask_number(family) for family in FAMILY_NAMES}


def as_picture(numbers: npt.NDArray[np.uint8]) -> Image.Image:
    """A mask of ``labels.mask_number`` and ``ANY_FAMILY``, 0 where nothing is, as the picture that is stored."""
    grey = np.where(numbers == 0, 0, 255 - STEP * numbers.astype(int))
    return Image.fromarray(np.where(numbers == ANY_FAMILY, 255, grey).astype(np.uint8))


def read_numbers(path: Path, family: str = "") -> npt.NDArray[np.uint8]:
    """The mask (H, W) in a picture: 0 where nothing is, else ``labels.mask_number``, or ``ANY_FAMILY``.

    Args:
        path: of the picture; other greys than those of ``as_picture`` are an artifact from the middle on.
        family: of what is white, empty where nobody knows.

    Raises:
        ImageError: it is not a whole picture.
    """
    grey = np.asarray(load_image(path).convert("L"))
    numbers = np.where(grey > 127, np.uint8(mask_number(family)), np.uint8(0))
    if set(np.unique(grey).tolist()) <= {0, 255, *_GREYS}:
        for value, number in _GREYS.items():
            numbers[grey == value] = number
    return numbers


def square_mask(numbers: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """A mask (H, W) as ``transforms.looks.to_square`` shows its picture: (side, side)."""
    return np.array(ImageOps.pad(Image.fromarray(numbers), (side, side), Image.Resampling.NEAREST, color=0))
