"""The portraits in the repository are those that the command in their README makes."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact_utils.demo import build_demo_dataset
from artifact_utils.demo.recipe import RECIPE
from artifact_utils.labels import parse_label

TEST_DATA = Path(__file__).parents[2] / "test_data"
PARAMETERS = json.loads((TEST_DATA / "demo_data.json").read_text())

MAX_STEP, MAX_SHARE_OFF = 2, 0.001
"""Grey levels by which other versions of the image libraries may differ, and the share of pixels beyond that."""


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parameters = {name: value for name, value in PARAMETERS.items() if name != "recipe"}
    return build_demo_dataset(tmp_path_factory.mktemp("demo") / "test_data", **parameters)


def test_names_and_tables_are_the_same(built: Path) -> None:
    assert PARAMETERS["recipe"] == RECIPE
    assert files(built) == [name for name in files(TEST_DATA) if name != "README.md"]
    for name in ("groups.csv", "faces.csv", "artifacts.csv", "demo_data.json"):
        assert (built / name).read_bytes() == (TEST_DATA / name).read_bytes(), name


@pytest.mark.parametrize("pattern", ["t*/*.jpg", "masks/*/*.png"])
def test_pixels_are_the_same(built: Path, pattern: str) -> None:
    pairs = [(pixels(path), pixels(built / path.relative_to(TEST_DATA))) for path in sorted(TEST_DATA.glob(pattern))]
    assert {stored.shape for stored, _ in pairs} == {(PARAMETERS["size"], PARAMETERS["size"], 3)}
    off = [(np.abs(stored - drawn) > MAX_STEP).any(axis=2).mean() for stored, drawn in pairs]
    assert np.mean(off) <= MAX_SHARE_OFF


def test_the_readme_says_what_is_there() -> None:
    readme = (TEST_DATA / "README.md").read_text()
    command = re.search(r"python -m artifact_utils\.demo --out test_data (.*)", readme)
    assert command is not None
    options = shlex.split(command[1])
    for option, value in zip(options[::2], options[1::2], strict=True):
        assert str(PARAMETERS[option[2:].replace("-", "_")]) == value
    counts = {split: Counter(map(parse_label, (TEST_DATA / split).iterdir())) for split in ("train", "test")}
    assert counts == {"train": {0: 30, 1: 15}, "test": {0: 10, 1: 5}}
    assert sum(path.stat().st_size for path in TEST_DATA.rglob("*") if path.is_file()) < 1.2e6
