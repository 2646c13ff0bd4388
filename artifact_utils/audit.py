"""One pass over the pictures of a folder into one table, and what the table says about duplicates.

A folder is audited before a model is trained on it, because a model learns whatever tells the classes apart: if one
class is brighter, sharper or larger than the other, that is what it will find. And a picture that lies in the test set
and, slightly cropped, in the training set too, is a question whose answer was given away.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from artifact_utils.images import IMAGE_SUFFIXES, ImageError, decode_image, read_file
from artifact_utils.labels import CLASS_NAMES, LabelError, parse_label

MAX_DISTANCE = 8
"""Bits of the 128 of both hashes that may differ between near-duplicates; see ``find_duplicates``."""

_SHORT_SIDE = 256  # pixels; sharpness is only comparable between pictures of one size, and models see less than this
_PAIRS = 100_000  # compared at once: a block that stays in the processor's cache
_EXIF_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the orientations that swap width and height


def scan(folder: str | Path, *, workers: int | None = None) -> pd.DataFrame:
    """Measure every picture below a folder, one row a file, each decoded once.

    Threads do the work: decoding, resizing and hashing release Python's lock.

    Args:
        folder: organised (``train/artifacts/x.png``) or raw (``train/x_1.png``); hidden files are passed over.
        workers: threads; all cores by default.

    Returns:
        Sorted by path, with the columns

        - ``path`` (relative, posix), ``split`` (first folder, or empty), ``class_name`` (from the folder or else from
          the name, or empty), ``readable``, ``reason`` (why not, or empty);
        - ``format`` and ``mode`` (of the file, as in PIL), ``width`` and ``height`` (pixels, as displayed), ``bytes``;
        - ``brightness`` and ``contrast`` (mean and standard deviation of the grey levels, in [0, 1]), ``sharpness``
          (variance of the Laplacian of the grey levels 0..255, with the short side brought down to 256 px);
        - ``sha256``, and the perceptual hashes ``phash`` and ``dhash`` (16 hex digits each).

        What could not be measured of an unreadable picture is missing or empty.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NotADirectoryError(f"no folder {str(folder)!r} to audit")
    return _measure_all(sorted(_pictures(root)), root, workers)


def find_duplicates(table: pd.DataFrame, *, max_distance: int = MAX_DISTANCE) -> pd.DataFrame:
    """Group pictures that are the same or nearly so.

    Two pictures are near-duplicates when their pHash (coarse shapes) and dHash (gradients), 64 bits each, differ in at
    most ``max_distance`` bits together. On portraits, JPEG at quality 40, halving and darkening by 15% change at most 4
    bits and trimming 2% hardly ever more than 8. Portraits of different people in one pose and one studio begin at 8;
    crops of 10% and mirror images are not found. Groups are connected components: a chain of pairs is one group, so
    members at its ends may differ by more.

    Args:
        table: from ``scan``; unreadable pictures are left out.
        max_distance: 0 to 128; 0 finds only equal hashes.

    Returns:
        One row a member, sorted by group and path: ``group`` (from 0, largest group first), ``kind`` (``exact`` where
        all bytes are equal, else ``near``), ``across_splits`` (whether the group reaches over more than one split),
        ``path``, ``split``, ``class_name``, ``closest`` (path of the member most like it, of another split where the
        group has one) and ``distance`` (bits to that). Empty where there are none.
    """
    rows = table[table["readable"]].reset_index(drop=True)
    group = pd.Series(_components(rows, max_distance), index=rows.index)
    members = rows.assign(group=group)[group.map(group.value_counts()) > 1]
    by_group = members.groupby("group")
    members = members.assign(
        kind=np.where(by_group["sha256"].transform("nunique") == 1, "exact", "near"),
        across_splits=by_group["split"].transform("nunique") > 1,
        size=by_group["path"].transform("size"),
        closest="",
        distance=0,
    )
    for _, group_rows in by_group:
        closest, distance = _closest(group_rows)
        members.loc[group_rows.index, "closest"] = group_rows["path"].to_numpy()[closest]
        members.loc[group_rows.index, "distance"] = distance
    members = members.sort_values(["size", "group", "path"], ascending=[False, True, True], ignore_index=True)
    members["group"] = pd.factorize(members["group"])[0]
    return members[["group", "kind", "across_splits", "path", "split", "class_name", "closest", "distance"]]


def near_duplicate_groups(
    pictures: pd.DataFrame | Iterable[str | Path], *, max_distance: int = MAX_DISTANCE, workers: int | None = None
) -> pd.Series:
    """Number every picture so that near-duplicates share a number, for splits that must not part them.

    Args:
        pictures: a table from ``scan``, or the paths of pictures, which are scanned here.
        max_distance: as in ``find_duplicates``.
        workers: threads for scanning.

    Returns:
        Group numbers in the order given, indexed by path as it is in the table or was given. A picture without
        duplicates, or unreadable, has a number of its own.
    """
    if isinstance(pictures, pd.DataFrame):
        table = pictures
    else:
        table = _measure_all([Path(path) for path in pictures], None, workers)
    table = table.reset_index(drop=True)
    readable = np.flatnonzero(table["readable"].to_numpy(dtype=bool))
    numbers = np.arange(len(table))
    components = _components(table.iloc[readable], max_distance)
    if len(readable):
        _, first_member = np.unique(components, return_index=True)
        numbers[readable] = readable[first_member][components]
    return pd.Series(pd.factorize(numbers)[0], index=table["path"], name="group")


def _pictures(root: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(root):  # does not follow links to folders, so loops cannot trap it
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(parent) / name


def _measure_all(paths: list[Path], root: Path | None, workers: int | None) -> pd.DataFrame:
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # decode_image has a limit of its own
            results = pool.map(partial(_measure, root=root), paths)
            # disable=None: a bar in a terminal, silence in logs and notebooks
            rows = list(tqdm(results, total=len(paths), desc="audit", unit="img", disable=None))
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not first finish the queue
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


_COLUMNS: dict[str, Any] = {
    "path": str,
    "split": str,
    "class_name": str,
    "readable": bool,
    "reason": str,
    "format": str,
    "mode": str,
    "width": "Int64",
    "height": "Int64",
    "bytes": "Int64",
    "brightness": float,
    "contrast": float,
    "sharpness": float,
    "sha256": str,
    "phash": str,
    "dhash": str,
}


def _measure(path: Path, root: Path | None) -> dict[str, Any]:
    relative = path if root is None else path.relative_to(root)
    row: dict[str, Any] = {
        "path": relative.as_posix(),
        "split": relative.parts[0] if root is not None and len(relative.parts) > 1 else "",
        "class_name": _class_name(path),
        "readable": False,
    }
    row |= dict.fromkeys(("reason", "format", "mode", "sha256", "phash", "dhash"), "")
    try:
        content = read_file(path)
        row |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **_header(content)}
        image = decode_image(content, str(path), min_side=_SHORT_SIDE)
    except ImageError as error:
        return row | {"reason": error.reason}
    grey = _shrink(np.asarray(image.convert("L")))
    small = Image.fromarray(grey)
    return row | {
        "readable": True,
        "brightness": float(grey.mean() / 255),
        "contrast": float(grey.std() / 255),
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_64F).var()),
        "phash": str(imagehash.phash(small)),
        "dhash": str(imagehash.dhash(small)),
    }


def _header(content: bytes) -> dict[str, Any]:
    """What the file says of itself, read without decoding a pixel; nothing where that fails."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "BMP")) as image:
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) in _SIDEWAYS
            width, height = image.size[::-1] if turned else image.size
            return {"format": image.format or "", "mode": image.mode, "width": width, "height": height}
    except Exception:  # decoders raise nearly anything on hostile bytes; that it is unreadable is said elsewhere
        return {}


def _class_name(path: Path) -> str:
    if path.parent.name in CLASS_NAMES:
        return path.parent.name
    try:
        return CLASS_NAMES[parse_label(path)]
    except LabelError:
        return ""


def _shrink(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = _SHORT_SIDE / min(grey.shape)
    if scale >= 1:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _bits(hashes: pd.Series) -> npt.NDArray[np.uint64]:
    return np.array([int(text, 16) for text in hashes], dtype=np.uint64)


def _closest(members: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each member of a group the position of, and the bits to, the one most like it, of another split if any is."""
    phash, dhash, split = _bits(members["phash"]), _bits(members["dhash"]), members["split"].to_numpy()
    positions, bits = [], []
    for i in range(len(members)):
        distance = np.bitwise_count(phash[i] ^ phash).astype(np.int64) + np.bitwise_count(dhash[i] ^ dhash)
        distance[i] = 255
        if (split != split[i]).any():
            distance[split == split[i]] = 255
        positions.append(distance.argmin())
        bits.append(distance.min())
    return np.array(positions), np.array(bits)


def _components(rows: pd.DataFrame, max_distance: int) -> npt.NDArray[np.int64]:
    """Connected components (N,) of the graph of pairs at most ``max_distance`` bits apart."""
    phash, dhash = _bits(rows["phash"]), _bits(rows["dhash"])
    n = len(rows)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    step = max(1, _PAIRS // n)
    left, right = [], []
    for start in range(0, n, step):
        distance = np.bitwise_count(phash[start : start + step, None] ^ phash[start:])  # each pair once
        i, j = np.nonzero(distance <= max_distance)
        near = distance[i, j] + np.bitwise_count(dhash[start + i] ^ dhash[start + j]) <= max_distance
        left.append(start + i[near])
        right.append(start + j[near])
    pairs = np.concatenate(left), np.concatenate(right)
    graph = coo_matrix((np.ones(len(pairs[0]), dtype=np.int8), pairs), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)
