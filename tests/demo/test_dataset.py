"""The demo set: labels, people and bytes are what was asked for, whatever the number of workers or interruptions."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact_utils.demo import DemoDataError, build_demo_dataset, dataset
from artifact_utils.demo.openpeople import bases
from artifact_utils.demo.recipe import TEST_PEOPLE
from artifact_utils.labels import parse_label

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
    make, made = dataset._make, []

    def power_cut(*arguments: object) -> dict[str, str] | None:
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(arguments)
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dataset, "_make", power_cut)
    with pytest.raises(KeyboardInterrupt):
        build_demo_dataset(tmp_path / "raw", **TINY, workers=1)
    (tmp_path / "raw/train/.image_00001_0.png.part").write_bytes(b"half")
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "raw").glob("t*/*_0.png")}
    assert done

    monkeypatch.setattr(dataset, "_make", make)
    build_demo_dataset(tmp_path / "raw", **TINY)
    assert contents(tmp_path / "raw") == contents(built)
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())  # finished pictures are left alone


def test_finished_set_is_not_made_again(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(built)
    monkeypatch.setattr(dataset, "_make", None)
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
        ({"seed": -1}, "the seed must not be negative"),
    ],
)
def test_parameters_out_of_range_are_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(DemoDataError, match=message):
        build_demo_dataset(tmp_path / "raw", **(TINY | change))
    assert not (tmp_path / "raw").exists()


def test_jpeg_set(tmp_path: Path) -> None:
    build_demo_dataset(tmp_path, n_train=2, n_test=0, size=64, suffix=".jpg")
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["image_00001_0.jpg", "image_00002_0.jpg"]


@pytest.mark.parametrize("record", ["{", "[1, 2]", "3", "[" * 100_000])
def test_a_folder_with_another_record_is_refused(tmp_path: Path, record: str) -> None:
    (tmp_path / "demo_data.json").write_text(record)
    with pytest.raises(DemoDataError, match="is not the record of a demo set"):
        build_demo_dataset(tmp_path, **TINY)
