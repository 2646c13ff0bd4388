import numpy as np
import pandas as pd
import pytest
from PIL import Image

from artifact_utils.audit import find_shortcuts, scan, shortcuts
from artifact_utils.audit.shortcuts import WARNING_AUC


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sixty noisy pictures, one in three an artifact; nothing tells the classes apart."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for i in range(60):
        path = root / "train" / f"image_{i}_{int(i % 3 == 0)}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, rng.integers(100, 256), (48, 48, 3), dtype=np.uint8)).save(path)
    return scan(root)


def test_a_planted_shortcut_is_a_warning_that_names_the_column(table):
    artifact = table["class_name"] == "artifacts"
    planted = table.assign(jpeg_quality=np.where(artifact, 70, 95), format="JPEG")
    verdict = find_shortcuts(planted)
    assert verdict.found
    assert verdict.auc > 0.95
    assert verdict.low <= verdict.auc <= verdict.high
    assert verdict.columns["column"].iloc[0] == "jpeg_quality"
    assert str(verdict).startswith("WARNING")
    assert "jpeg_quality (1.00)" in str(verdict)


def test_columns_that_tell_few_pictures_apart_by_chance_are_no_shortcut(table, monkeypatch):
    monkeypatch.setattr(shortcuts, "_TREES", 2)  # it is not about the forest
    rng = np.random.default_rng(0)
    verdicts = [find_shortcuts(table.assign(class_name=rng.permutation(table["class_name"]))) for _ in range(6)]
    assert sum(verdict.columns["auc"].max() > WARNING_AUC for verdict in verdicts) >= 4
    assert sum(len(verdict.telling) > 0 for verdict in verdicts) <= 1


def test_another_format_is_a_shortcut_too(table):
    artifact = table["class_name"] == "artifacts"
    verdict = find_shortcuts(table.assign(format=np.where(artifact, "PNG", "WEBP")))
    assert set(verdict.columns["column"].head(2)) == {"format_PNG", "format_WEBP"}


def test_groups_keep_copies_from_giving_the_class_away(table):
    twice = pd.concat([table, table.assign(path="copy of " + table["path"])], ignore_index=True)
    groups = pd.Series(list(range(60)) * 2, index=twice["path"])
    assert find_shortcuts(twice, groups).auc < 0.65 < find_shortcuts(twice).auc


def test_one_class_has_no_shortcut(table):
    assert find_shortcuts(table[table["class_name"] == "artifacts"]) is None
