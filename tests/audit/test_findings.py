"""Shortcuts, label errors and the command, on drawn pictures."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from artifact_utils.audit import find_shortcuts, scan, shortcuts
from artifact_utils.audit.__main__ import AuditConfig, run
from artifact_utils.audit.label_errors import embed, find_label_errors
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


@pytest.mark.parametrize("seed", range(3))
def test_most_flipped_labels_are_among_the_most_suspicious(seed):
    rng = np.random.default_rng(seed)
    truth = (rng.random(600) < 0.1).astype(int)
    embeddings = rng.normal(size=(600, 20)).astype(np.float32)
    embeddings[:, :10] += 1.5 * truth[:, None]
    flipped = rng.permutation(600)[:30]
    labels = truth.copy()
    labels[flipped] = 1 - labels[flipped]
    errors = find_label_errors(embeddings, labels, np.arange(600) // 2)
    assert (errors["rank"].to_numpy()[flipped] <= 60).mean() >= 0.8
    assert errors["quality"].between(0, 1).all()
    assert sorted(errors["rank"]) == list(range(1, 601))


def test_no_group_judges_itself():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    people = rng.normal(size=(40, 50)).astype(np.float32) * 5
    labels = rng.integers(0, 2, 40)[groups]  # only who is on it tells the label
    probability = find_label_errors(people[groups], labels, groups)["probability"]
    assert roc_auc_score(labels, probability) < 0.75
    assert roc_auc_score(labels, find_label_errors(people[groups], labels)["probability"]) > 0.9


def test_label_errors_need_two_groups_of_each_class():
    with pytest.raises(ValueError, match=r"two groups .* \[9, 1\]"):
        find_label_errors(np.zeros((10, 3), np.float32), [0] * 9 + [1])


def test_an_unreadable_picture_has_no_embedding(dataset_folder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no")
    good = next((dataset_folder / "train" / "artifacts").iterdir())
    embeddings = embed([good, tmp_path / "broken.png"])
    assert np.isfinite(embeddings[0]).all()
    assert np.isnan(embeddings[1]).all()
    assert np.isnan(embed([tmp_path / "broken.png"])).all()


def test_the_command_writes_one_page_that_holds_everything(own_copy, tmp_path, capsys):
    leak = next((own_copy / "train" / "artifacts").iterdir())
    (own_copy / "test" / "artifacts" / "<script>alert(1)<&.png").write_bytes(leak.read_bytes())
    (own_copy / "test" / "artifacts" / "broken.png").write_bytes(b"no")
    assert run(AuditConfig(own_copy, tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    assert "pictures of one split lie in another" in printed
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;&amp;.png" in page
    assert str(tmp_path) not in page
    assert "not a PNG, JPEG, WebP or BMP picture" in page
    assert page.count("data:image/jpeg;base64,") > 20
    assert 'src="http' not in page
    assert {"table.parquet", "issues.csv", "duplicates.csv", "label_errors.csv", "report.html"} == {
        file.name for file in (tmp_path / "out").iterdir()
    }


def test_pictures_without_labels_are_audited_too(table, tmp_path, capsys):
    Image.new("RGB", (40, 40), "black").save(tmp_path / "portrait.png")
    assert run(AuditConfig(tmp_path, tmp_path / "out")) == 0
    assert "dark: look at 1 pictures" in capsys.readouterr().out
    assert not (tmp_path / "out" / "label_errors.csv").exists()


def test_a_missing_folder_is_an_error_that_names_it(tmp_path, capsys):
    assert run(AuditConfig(tmp_path / "nowhere", tmp_path / "out")) == 2
    assert "nowhere" in capsys.readouterr().err
