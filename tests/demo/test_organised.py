"""The demo set as training finds it: organised, with what is known of its artifacts."""

from pathlib import Path

import pytest
from PIL import Image

from artifact_utils.audit import scan
from artifact_utils.demo import carry_annotations, ensure_dataset, organised
from artifact_utils.organize import apply, plan
from artifact_utils.portraits import list_portraits
from artifact_utils.synthesis import KINDS

TEST_DATA = Path(__file__).parents[2] / "test_data"


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


def test_the_demo_set_is_built_where_there_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build = organised.build_demo_dataset
    monkeypatch.setattr(
        organised, "build_demo_dataset", lambda out: build(out, n_train=20, n_test=10, size=64, workers=1)
    )
    ensure_dataset(Path("elsewhere"))
    assert not list(tmp_path.iterdir())
    ensure_dataset(Path("dataset"))
    assert {split: len(list_portraits(Path("dataset"), split)) for split in ("train", "test")} == {
        "train": 20,
        "test": 10,
    }
    before = sorted(Path("dataset").rglob("*"))

    monkeypatch.setattr(organised, "build_demo_dataset", None)
    ensure_dataset(Path("dataset"))  # it is there
    assert sorted(Path("dataset").rglob("*")) == before
