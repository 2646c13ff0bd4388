"""The demo set: labels, people and bytes are what was asked for, whatever the number of workers or interruptions."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact_utils.audit import scan
from artifact_utils.datasets import list_portraits
from artifact_utils.demo import dataset as demo_data
from artifact_utils.demo.dataset import (
    DEMO_EDITS,
    DEMO_FAMILIES,
    TEST_PEOPLE,
    DemoDataError,
    build_demo_dataset,
    carry_annotations,
)
from artifact_utils.demo.openpeople import _asset, bases, cut_portrait
from artifact_utils.labels import parse_label
from artifact_utils.organize import apply, plan
from artifact_utils.synthesis import FAMILIES, KINDS
from artifact_utils.synthesis.harmless import EDITS

TINY = {"n_train": 6, "n_test": 4, "size": 64, "artifact_fraction": 0.5}


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo_dataset(tmp_path_factory.mktemp("demo") / "raw", **TINY, workers=1)


def test_raw_layout_and_counts(built: Path) -> None:
    for split, n in (("train", 6), ("test", 4)):
        names = sorted(path.name for path in (built / split).iterdir())
        assert [name[:11] for name in names] == [f"image_{i:05d}" for i in range(1, n + 1)]
        assert sum(parse_label(name) for name in names) == n / 2
        for name in names:
            with Image.open(built / split / name) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 64))


def test_people_of_the_test_split_are_not_in_train(built: Path) -> None:
    people: dict[str, set[str]] = {"train": set(), "test": set()}
    for row in rows(built / "groups.csv"):
        people[row["file"].split("/")[0]].add(row["group"])
    assert set() < people["test"] <= set(TEST_PEOPLE)
    assert set() < people["train"] <= set(bases()) - set(TEST_PEOPLE)


def test_every_artifact_has_its_mask(built: Path) -> None:
    table = rows(built / "artifacts.csv")
    assert [row["file"] for row in table] == [
        f"{split}/{path.name}" for split in ("train", "test") for path in sorted((built / split).glob("*_1.png"))
    ]
    for row in table:
        assert 0.4 <= float(row["strength"]) <= 1
        with Image.open(built / row["mask"]) as mask:
            assert mask.mode == "1" and mask.size == (64, 64)
            assert np.asarray(mask).any()
    assert len(list((built / "masks").rglob("*.png"))) == len(table)


def test_bytes_do_not_depend_on_the_number_of_workers(built: Path, tmp_path: Path) -> None:
    assert contents(build_demo_dataset(tmp_path / "raw", **TINY, workers=3)) == contents(built)


def test_another_seed_gives_other_pictures(built: Path, tmp_path: Path) -> None:
    other = contents(build_demo_dataset(tmp_path / "raw", **TINY, seed=1))
    assert not set(other.values()) & {v for k, v in contents(built).items() if k.startswith("train/")}


def test_interrupted_build_is_continued(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = demo_data._make, []

    def power_cut(*arguments: object) -> dict[str, str] | None:
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(arguments)
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(demo_data, "_make", power_cut)
    with pytest.raises(KeyboardInterrupt):
        build_demo_dataset(tmp_path / "raw", **TINY, workers=1)
    (tmp_path / "raw/train/.image_00001_0.png.part").write_bytes(b"half")
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "raw").glob("t*/*_0.png")}
    assert done

    monkeypatch.setattr(demo_data, "_make", make)
    build_demo_dataset(tmp_path / "raw", **TINY)
    assert contents(tmp_path / "raw") == contents(built)
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())  # finished pictures are left alone


def test_finished_set_is_not_made_again(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(built)
    monkeypatch.setattr(demo_data, "_make", None)
    build_demo_dataset(built, **TINY)
    assert contents(built) == before


def test_missing_picture_of_a_finished_set_comes_back(tmp_path: Path) -> None:
    built = build_demo_dataset(tmp_path / "raw", **TINY)
    before = contents(built)
    next((built / "train").glob("*_1.png")).unlink()
    assert contents(build_demo_dataset(built, **TINY)) == before


def test_other_parameters_are_refused(built: Path) -> None:
    with pytest.raises(DemoDataError, match="other parameters \\(seed: 0 there, 7 now\\)"):
        build_demo_dataset(built, **TINY, seed=7)


def test_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DemoDataError, match="is not a demo set"):
        build_demo_dataset(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artifact_fraction": 1.2}, "artifact_fraction must lie in"),
        ({"size": 8}, "size must lie between"),
        ({"suffix": ".gif"}, "suffix must be one of .png, .jpg, not '.gif'"),
        ({"n_train": -1}, "must not be negative"),
    ],
)
def test_parameters_out_of_range_are_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(DemoDataError, match=message):
        build_demo_dataset(tmp_path / "raw", **(TINY | change))
    assert not (tmp_path / "raw").exists()


def test_jpeg_set(tmp_path: Path) -> None:
    build_demo_dataset(tmp_path, n_train=2, n_test=0, size=64, suffix=".jpg")
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["image_00001_0.jpg", "image_00002_0.jpg"]


def test_kinds_are_balanced_over_families() -> None:
    tasks = demo_data._plan("train", 1800, 0.1, seed=0)
    kinds = Counter(task.kind for task in tasks)
    assert kinds.pop("") == 1620
    per_family = {family: sum(kinds[kind] for kind in members) for family, members in DEMO_FAMILIES.items()}
    assert set(per_family.values()) == {36}
    for members in DEMO_FAMILIES.values():
        counts = [kinds[kind] for kind in members]
        assert max(counts) - min(counts) <= 1


def test_the_set_stays_as_it_is_when_the_engine_grows(built: Path) -> None:
    frozen = [kind for kinds in DEMO_FAMILIES.values() for kind in kinds]
    assert len(frozen) == 33 and set(frozen) < set(KINDS)
    assert {family: FAMILIES[family][: len(kinds)] for family, kinds in DEMO_FAMILIES.items()} == DEMO_FAMILIES
    assert tuple(edit.__name__ for edit in EDITS[: len(DEMO_EDITS)]) == DEMO_EDITS
    kinds = [task.kind for task in demo_data._plan("train", 40, 0.1, seed=0) if task.kind]
    assert kinds == ["stray_fingers", "crumpled_face", "signature", "tube"]


def test_artifacts_are_spread_over_people_as_clean_pictures_are() -> None:
    tasks = demo_data._plan("train", 1800, 0.1, seed=0)
    people = Counter(task.base.person for task in tasks if task.kind)
    assert len(people) == 8
    assert min(people.values()) >= 10


def test_every_portrait_shows_the_whole_face() -> None:
    for person in sorted(bases()):
        rng = np.random.default_rng(0)
        for base in bases()[person][::6]:
            image, face = cut_portrait(base, rng, 96)
            assert image.shape == (96, 96, 3) and image.dtype == np.uint8
            for x, y in (face.left_eye, face.right_eye, face.nose, face.mouth, face.chin, tuple(face.at(0, -0.8))):
                assert 0 <= x <= 96 and 0 <= y <= 96, base
            assert 0.34 < 2.65 * face.unit / 96 < 1.1  # above 0.75 only where the sheet has no more
            assert face.right[0] > 0  # the left eye stays on the left, mirrored or not


@pytest.mark.parametrize("asset", ["emotions_sheet", "character_sheet"])
def test_no_portrait_shows_the_frame_of_its_sheet(asset: str) -> None:
    for person in sorted(bases()):
        for base in (base for base in bases()[person] if base.asset == asset):
            left, top, right, bottom = base.box
            cell = _asset(person, asset)[top:bottom, left:right].min(axis=2)
            # Frames are white, the backdrop is grey; only the lower half of a side can end in a white shirt.
            half = (bottom - top) // 2
            for side in (cell[0], cell[:half, 0], cell[:half, -1]):
                assert np.median(side) < 190, base


def test_the_portraits_in_the_repository_are_as_their_readme_says() -> None:
    folder = Path(__file__).parents[2] / "test_data"
    labels = {split: [parse_label(path) for path in (folder / split).iterdir()] for split in ("train", "test")}
    assert {split: (len(found), sum(found)) for split, found in labels.items()} == {"train": (45, 15), "test": (15, 5)}
    assert {row["file"] for row in rows(folder / "groups.csv")} == {
        path.relative_to(folder).as_posix() for split in labels for path in (folder / split).iterdir()
    }
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1.2e6


def test_what_is_known_of_artifacts_comes_along_into_the_organised_folder(tmp_path: Path) -> None:
    raw, data = Path(__file__).parents[2] / "test_data", tmp_path / "dataset"
    apply(plan(raw, data))
    carry_annotations(raw, data)
    portraits = [p for split in ("train", "test") for p in list_portraits(data, split)]
    artifacts = [portrait for portrait in portraits if portrait.label]
    assert len(artifacts) == 20
    for portrait in artifacts:
        assert portrait.kind in KINDS
        assert portrait.strength is not None and 0.5 < portrait.strength <= 1
        assert portrait.mask is not None
        assert Image.open(portrait.mask).size == Image.open(portrait.path).size
    assert all(len(portrait.face) == 10 for portrait in portraits)
    assert not any(portrait.kind or portrait.mask or portrait.strength for portrait in portraits if not portrait.label)
    assert len(scan(data)) == len(portraits)  # an audit does not take masks for portraits
