"""Masks of people's own, as pictures or as COCO annotations, become masks that training reads."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import files_below, read_rows
from PIL import Image

from artifact_utils.datasets import ArtifactDataset
from artifact_utils.files.locks import output_lock
from artifact_utils.files.writing import FileError
from artifact_utils.labels import ANY_FAMILY, FAMILY_NAMES, mask_number
from artifact_utils.losses import ABSENT, PRESENT, UNLABELLED
from artifact_utils.masks import as_picture, read_numbers
from artifact_utils.organize import OrganizeConfig, OrganizeError
from artifact_utils.organize.command import run
from artifact_utils.organize.people_masks import RECORD, remove_masks
from artifact_utils.portraits import list_portraits
from artifact_utils.transforms.augmentation import build_augmentation

TRAIN, TEST = "train/artifacts/image_00002_1.png", "test/artifacts/image_00001_1.png"


def draw_mask(path: Path, left: int) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, left : left + 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def organised(source: Path, **options: Path) -> Path:
    output = source.parent / "dataset"
    assert run(OrganizeConfig(source, output, **options)) == 0
    return output


def families_of(output: Path, split: str) -> dict[str, int]:
    """What the first artifact of a split teaches of each family."""
    portraits = [portrait for portrait in list_portraits(output, split) if portrait.label]
    sample = ArtifactDataset(portraits, 32, build_augmentation("none"))[0]
    return dict(zip(FAMILY_NAMES, sample.families.tolist(), strict=True))


def test_a_folder_of_masks_is_trained_on_and_taken_back(source: Path) -> None:
    draw_mask(source / "masks/train/fingers/image_00002_1.png", 0)
    draw_mask(source / "masks/text/image_00002_1.png", 4)  # of any split: there is one such artifact
    draw_mask(source / "masks/test/image_00001_1.png", 2)
    before, table = files_below(source), source.parent / "families.csv"
    table.write_text("category,family\nfingers,hands\n")
    output = organised(source, categories=table)
    rows = {row["path"]: row for row in read_rows(output / "artifacts.csv")}
    assert set(rows) == {TRAIN, TEST}
    numbers = read_numbers(output / rows[TRAIN]["mask"])
    assert (numbers[3, 1], numbers[3, 5], numbers[0, 0]) == (mask_number("hands"), mask_number("text"), 0)
    assert set(np.unique(read_numbers(output / rows[TEST]["mask"]))) == {0, ANY_FAMILY}
    said = families_of(output, "train")
    assert (said["hands"], said["text"], said["glitch"]) == (PRESENT, PRESENT, ABSENT)
    assert set(families_of(output, "test").values()) == {UNLABELLED}
    once = files_below(output)
    assert files_below(organised(source, categories=table)) == once
    assert run(OrganizeConfig(output=output, undo=True)) == 0
    assert not output.exists() and files_below(source) == before


def coco(source: Path, **annotation: object) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "train/image_00002_1.png", "height": 8, "width": 8}],
        "categories": [{"id": 3, "name": "glitch"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], **annotation}],
    }
    (source.parent / "coco.json").write_text(json.dumps(content))
    return source.parent / "coco.json"


def packed(runs: list[int]) -> str:
    """Run lengths as COCO packs them."""
    text = ""
    for i, count in enumerate(runs):
        number, more = count - (runs[i - 2] if i > 2 else 0), True
        while more:
            piece, number = number & 31, number >> 5
            more = number != (-1 if piece & 16 else 0)
            text += chr(piece + 32 * more + 48)
    return text


RUNS = [10, 4, 4, 4, 4, 4, 34]


@pytest.mark.parametrize(
    "annotation",
    [
        {},
        {"segmentation": [[1, 2, 3, 2, 3, 5, 1, 5]]},
        {"segmentation": {"size": [8, 8], "counts": RUNS}},
        {"segmentation": {"size": [8, 8], "counts": packed(RUNS)}},
    ],
    ids=["box", "polygon", "runs", "packed runs"],
)
def test_coco_annotations_say_where(source: Path, annotation: dict) -> None:
    output = organised(source, coco=coco(source, **annotation))
    (row,) = read_rows(output / "artifacts.csv")
    assert (row["path"], row["kind"]) == (TRAIN, "glitch")
    expected = np.zeros((8, 8), bool)
    expected[2:6, 1:4] = True
    assert np.array_equal(read_numbers(output / row["mask"]) == mask_number("glitch"), expected)


@pytest.mark.parametrize(
    "annotation",
    [
        {"segmentation": {"size": [8, 8], "counts": [10**12, 4]}},
        {"segmentation": {"size": [8, 8], "counts": []}},
        {"segmentation": [["x"]]},
        {"image_id": 8},
        {"bbox": []},
    ],
)
def test_annotations_that_are_none_are_named(source: Path, annotation: dict) -> None:
    with pytest.raises(OrganizeError, match=r"coco.json' is not a COCO file of annotations"):
        organised(source, coco=coco(source, **annotation))


def test_what_is_missing_or_unknown_is_named(source: Path) -> None:
    with pytest.raises(OrganizeError, match="name one of masks"):
        organised(source, masks=source / "nowhere")
    with pytest.raises(OrganizeError, match=r"no table .*families.csv"):
        organised(source, categories=source / "families.csv")
    (source / "families.csv").write_text("category,family\nfingers,feet\n")
    with pytest.raises(OrganizeError, match="puts 'fingers' into 'feet': choose one of hands"):
        organised(source, categories=source / "families.csv")


def test_masks_as_pictures_come_back_and_any_white_is_an_artifact(tmp_path: Path) -> None:
    numbers = np.array([[0, ANY_FAMILY, *(mask_number(family) for family in FAMILY_NAMES)]], np.uint8)
    as_picture(numbers).save(tmp_path / "mask.png")
    assert np.array_equal(read_numbers(tmp_path / "mask.png"), numbers)
    assert (np.asarray(Image.open(tmp_path / "mask.png"))[0, 1:] > 127).all()
    Image.fromarray(np.array([[0, 100, 200, 247]], np.uint8)).save(tmp_path / "soft.png")  # edges that are smooth
    assert read_numbers(tmp_path / "soft.png", "text").tolist() == [[0, 0, mask_number("text"), mask_number("text")]]


def test_a_record_that_leads_out_of_the_data_set_removes_nothing(tmp_path: Path) -> None:
    home, output = tmp_path / "home", tmp_path / "dataset"
    for folder in (home, output / ".masks"):
        folder.mkdir(parents=True)
    (home / "LICENSE").write_bytes(b"known")
    (output / ".masks" / "train").symlink_to(home)
    sha256 = hashlib.sha256(b"known").hexdigest()
    (output / RECORD).write_text(f"mask,sha256\n.masks/train/LICENSE,{sha256}\n")
    (output / "artifacts.csv").write_text("path,kind,strength,mask\n")
    with output_lock(output, output / ".lock"), pytest.raises(FileError, match="at work"):
        remove_masks(output)
    assert (output / RECORD).exists()
    remove_masks(output)
    assert (home / "LICENSE").read_bytes() == b"known"
