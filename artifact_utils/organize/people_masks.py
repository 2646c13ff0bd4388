"""Masks that people have drawn, from a folder ``masks/`` or from COCO annotations, beside an organised data set.

They become OUTPUT/.masks and the rows of OUTPUT/artifacts.csv, which training reads.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from artifact_utils.files.locks import output_lock
from artifact_utils.files.tables import read_csv, write_csv
from artifact_utils.files.writing import file_digest, real_path, write_bytes
from artifact_utils.images import IMAGE_SUFFIXES, load_image
from artifact_utils.labels import ANY_FAMILY, ARTIFACT, FAMILY_NAMES, mask_number
from artifact_utils.masks import as_picture
from artifact_utils.organize.manifest import SPLITS, Entry, OrganizeError

FOLDER, TABLE, RECORD = ".masks", "artifacts.csv", ".masks/organised.csv"
COLUMNS = ("path", "kind", "strength", "mask")

Mask = npt.NDArray[np.uint8]


@dataclass
class Drawn:
    """What people have drawn on one picture: by category where it is, bool (H, W)."""

    layers: list[tuple[str, npt.NDArray[np.bool_]]] = field(default_factory=list)

    def numbers(self, families: dict[str, str]) -> Mask:
        """All layers in one mask; what is drawn later lies above."""
        shape = self.layers[0][1].shape
        mask = np.zeros(shape, np.uint8)
        for category, where in self.layers:
            if where.shape != shape:
                raise OrganizeError(
                    f"masks of one picture are {shape[::-1]} and {where.shape[::-1]} pixels: redraw one"
                )
            mask[where] = mask_number(families.get(category, category))
        return mask


def read_families(table: Path | None) -> dict[str, str]:
    """The families of categories, from a table with the columns ``category,family``.

    Raises:
        OrganizeError: a family that there is not.
        FileError: it is no such table.
    """
    if table is None:
        return {}
    if not table.is_file():
        raise OrganizeError(f"no table {str(table)!r}: name a CSV file with the columns category,family")
    families = {row["category"]: row["family"] for row in read_csv(table, ("category", "family"))}
    for category, family in families.items():
        if family and family not in FAMILY_NAMES:
            names = ", ".join(FAMILY_NAMES)
            raise OrganizeError(
                f"{str(table)!r} puts {category!r} into {family!r}: choose one of {names}, or leave it empty"
            )
    return families


def place_masks(
    entries: Iterable[Entry], output: Path, *, folder: Path | None, coco: Path | None, families: dict[str, str]
) -> int:
    """Write the masks of the artifacts that lie in OUTPUT; returns how many.

    Args:
        entries: of the manifest.
        output: the organised folder.
        folder: of masks with the stems of their pictures, white where an artifact is: ``STEM.png``,
            ``SPLIT/STEM.png``, or either in a folder that is called like a category.
        coco: file of annotations with polygons, run lengths or boxes; ``file_name`` ends like the picture's path.
        families: by category; one that is not named is a family by its own name, or nobody knows.

    Raises:
        OrganizeError: the annotations cannot be read, or do not fit their picture.
        ImageError: a mask is not a whole picture.
        OSError: the disk is full, and the like.
    """
    artifacts = [entry for entry in entries if entry.label == ARTIFACT]
    drawn: dict[str, Drawn] = {}
    if folder is not None:
        _from_folder(folder, artifacts, drawn)
    if coco is not None:
        _from_coco(coco, artifacts, drawn)
    known = {row["path"]: row for row in read_csv(output / TABLE, ("path", "kind"), ("strength", "mask"))}
    record = []
    for path, picture in sorted(drawn.items()):
        numbers = picture.numbers(families)
        if not numbers.any():
            continue
        name = f"{FOLDER}/{Path(path).parts[0]}/{Path(path).stem}.png"
        content = BytesIO()
        as_picture(numbers).save(content, "PNG", optimize=True)
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(output / name, content.getvalue())
        found = set(np.unique(numbers).tolist()) - {0}
        family = FAMILY_NAMES[found.pop() - 1] if len(found) == 1 and ANY_FAMILY not in found else ""
        known[path] = {"path": path, "kind": family, "strength": "", **_kept(known.get(path)), "mask": name}
        record.append((name, file_digest(output / name) or ""))
    if record:
        write_csv(output / RECORD, ("mask", "sha256"), record)
        rows = [tuple(known[path].get(column, "") for column in COLUMNS) for path in sorted(known)]
        write_csv(output / TABLE, COLUMNS, rows)
    return len(record)


def _kept(row: dict[str, str] | None) -> dict[str, str]:
    """What somebody has said of a picture already."""
    return {name: value for name, value in (row or {}).items() if value and name != "mask"}


def remove_masks(output: Path) -> None:
    """Take away what ``place_masks`` has written, as far as it is unchanged.

    Raises:
        FileError: another process is at work on the output.
    """
    if not (output / FOLDER).is_dir():
        return
    with output_lock(output, output / ".lock"):
        _remove_masks(output)


def _remove_masks(output: Path) -> None:
    record = read_csv(output / RECORD, ("mask", "sha256"))
    ours = {row["mask"] for row in record if Path(row["mask"]).parts[:1] == (FOLDER,) and ".." not in row["mask"]}
    for row in record:
        mask = output / row["mask"]
        # whoever wrote the record may have put a link there
        is_inside = real_path(mask.parent).is_relative_to(real_path(output))
        if row["mask"] in ours and is_inside and file_digest(mask) == row["sha256"]:
            mask.unlink()
    if record:
        (output / RECORD).unlink()
        rows = read_csv(output / TABLE, ("path", "kind"), ("strength", "mask"))
        kept = [tuple(row[column] for column in COLUMNS) for row in rows if row["mask"] not in ours]
        if kept:
            write_csv(output / TABLE, COLUMNS, kept)
        else:
            (output / TABLE).unlink(missing_ok=True)
    for folder in (*(output / FOLDER / split for split in SPLITS), output / FOLDER):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()


def _from_folder(folder: Path, artifacts: list[Entry], drawn: dict[str, Drawn]) -> None:
    if not folder.is_dir():
        raise OrganizeError(f"no folder {str(folder)!r}: name one of masks with the stems of their pictures")
    places = {(entry.split, Path(entry.path).stem): entry.path for entry in artifacts}
    for file in sorted(folder.rglob("*")):
        above = file.relative_to(folder).parts[:-1]
        if file.suffix.lower() not in IMAGE_SUFFIXES or not file.is_file():
            continue
        splits = [name for name in above if name in SPLITS] or list(SPLITS)
        category = next((name for name in above if name not in SPLITS), "")
        for path in (places[split, file.stem] for split in splits if (split, file.stem) in places):
            grey = np.asarray(load_image(file).convert("L"))
            drawn.setdefault(path, Drawn()).layers.append((category, grey > 127))


def _from_coco(file: Path, artifacts: list[Entry], drawn: dict[str, Drawn]) -> None:
    by_name: dict[str, list[Entry]] = {}
    for entry in artifacts:
        by_name.setdefault(Path(entry.path).name, []).append(entry)
    try:
        content = json.loads(file.read_bytes())
        categories = {row["id"]: str(row["name"]) for row in content["categories"]}
        images = {row["id"]: row for row in content["images"]}
        for annotation in content["annotations"]:
            image = images[annotation["image_id"]]
            parts = Path(str(image["file_name"])).parts
            for entry in by_name.get(parts[-1], ()):
                named = [part for part in parts[:-1] if part in SPLITS]
                if not named or named[-1] == entry.split:
                    where = _drawn_in_coco(annotation, int(image["height"]), int(image["width"]))
                    category = categories[annotation["category_id"]]
                    drawn.setdefault(entry.path, Drawn()).layers.append((category, where))
    except OSError as error:
        raise OrganizeError(f"{str(file)!r} cannot be read ({error.strerror}): name a COCO file with --coco") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:  # a stranger's JSON
        raise OrganizeError(f"{str(file)!r} is not a COCO file of annotations: {error!r}") from error


MAX_MASK_PIXELS = 1 << 26
"""Of a mask in COCO annotations, which may claim any size."""


def _drawn_in_coco(annotation: dict[str, Any], height: int, width: int) -> npt.NDArray[np.bool_]:
    if not (height > 0 and width > 0 and height * width <= MAX_MASK_PIXELS):
        raise ValueError(f"a picture of {width} x {height} pixels")
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        counts = shape["counts"]
        runs = list(_unpacked(counts)) if isinstance(counts, str) else [int(count) for count in counts]
        if tuple(shape["size"]) != (height, width) or min(runs) < 0 or sum(runs) != height * width:
            raise ValueError("run lengths that do not fill their picture")
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return flat.reshape(width, height).T  # column by column
    mask = np.zeros((height, width), np.uint8)
    if shape:
        outlines = [np.reshape(np.asarray(polygon, np.float64), (-1, 2)) for polygon in shape]
        cv2.fillPoly(mask, [np.round(np.clip(outline, -1e6, 1e6)).astype(np.int32) for outline in outlines], 1)
    else:
        left, top, wide, tall = (round(float(number)) for number in annotation["bbox"])
        mask[max(top, 0) : max(top + tall, 0), max(left, 0) : max(left + wide, 0)] = 1
    return mask.astype(bool)


def _unpacked(text: str) -> Iterator[int]:
    """The run lengths in COCO's compressed text: 5 bits a letter, from the third on as differences."""
    runs: list[int] = []
    number = bits = 0
    for letter in text.encode("ascii"):
        piece = letter - 48
        number |= (piece & 31) << bits
        bits += 5
        if piece & 32:
            continue
        if piece & 16:
            number -= 1 << bits
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = bits = 0
    return iter(runs)
