"""A perceptual hash that does not change when a picture is mirrored or turned by quarters."""

import numpy as np
import numpy.typing as npt
import scipy.fft
from PIL import Image

_SIDE, _FREQUENCIES = 32, 8


def upright_phashes(greys: npt.NDArray[np.uint8]) -> list[str]:
    """The pHash, as imagehash has it, of each picture in that one of its eight turns whose upper and left halves are
    the brighter ones and whose left and right halves differ more than the other two.

    Two pictures with this hash in common may be copies of each other, unless they were cropped or written on: of 540
    such copies (``benchmarks/audit.py``) 464 have the hash of another copy, and no other portrait has.

    Args:
        greys: (N, S, S) uint8, S even. Many at once take half as long as one by one.

    Returns:
        16 hexadecimal digits each.
    """
    middle = greys.shape[1] // 2
    down, across = (
        sums[:, :middle].sum(axis=1) - sums[:, middle:].sum(axis=1)
        for sums in (greys.sum(axis=axis, dtype=np.int64) for axis in (2, 1))
    )
    small = []
    for grey, below, right in zip(greys, down.tolist(), across.tolist(), strict=True):
        upright = grey[:: -1 if below < 0 else 1, :: -1 if right < 0 else 1]
        if abs(below) > abs(right):
            upright = upright.T
        image = Image.fromarray(np.ascontiguousarray(upright))
        small.append(np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)))
    spectra = scipy.fft.dct(scipy.fft.dct(np.stack(small), axis=1), axis=2)[:, :_FREQUENCIES, :_FREQUENCIES]
    above = (spectra > np.median(spectra, axis=(1, 2), keepdims=True)).reshape(len(greys), -1)
    return [bits.tobytes().hex() for bits in np.packbits(above, axis=1)]
