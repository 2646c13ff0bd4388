import numpy as np
import pytest
from PIL import Image

from artifact_utils.audit import THRESHOLDS, find_duplicates, find_issues, scan


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(tmp_path / f"fine_{i}.png")
    noise = np.asarray(Image.open(tmp_path / "fine_0.png")).astype(float)
    Image.fromarray((noise * 0.2).astype(np.uint8)).save(tmp_path / "dark.png")
    Image.fromarray((250 + noise / 60).astype(np.uint8)).save(tmp_path / "bright.png")
    coarse = Image.fromarray(np.random.default_rng(0).integers(40, 216, (3, 3, 3), dtype=np.uint8))
    coarse.resize((96, 96), Image.Resampling.BICUBIC).save(tmp_path / "blurry.png")
    Image.new("RGB", (96, 96), (90, 40, 70)).save(tmp_path / "low_information.png")
    Image.fromarray(rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)).save(tmp_path / "odd_size.png")
    Image.fromarray(rng.integers(0, 256, (40, 230, 3), dtype=np.uint8)).save(tmp_path / "odd_aspect.png")
    Image.open(tmp_path / "fine_1.png").convert("L").convert("RGB").save(tmp_path / "grayscale.png")
    Image.open(tmp_path / "fine_2.png").save(tmp_path / "wrong_suffix.jpg", format="PNG", compress_level=1)
    (tmp_path / "unreadable.png").write_bytes(b"no")
    (tmp_path / "exact_duplicate.png").write_bytes((tmp_path / "fine_3.png").read_bytes())
    return tmp_path


def test_each_issue_flags_the_picture_made_for_it(folder):
    table = scan(folder)
    issues = find_issues(table, find_duplicates(table)).set_index("path")
    for path, row in issues.iterrows():
        name = path.rpartition(".")[0]
        if name in THRESHOLDS:
            assert row[f"is_{name}"], name
    assert not issues.loc["fine_4.png", [f"is_{name}" for name in THRESHOLDS]].any()
    assert issues.loc["fine_3.png", "is_exact_duplicate"]


def test_scores_lie_between_0_and_1_and_decide_the_flags(folder):
    issues = find_issues(scan(folder)).set_index("path")
    for name, threshold in THRESHOLDS.items():
        if name.endswith("duplicate"):
            assert f"is_{name}" not in issues
            continue
        scores = issues[f"{name}_score"].dropna()
        assert scores.between(0, 1).all()
        assert issues.loc[scores.index, f"is_{name}"].equals(scores < threshold)
    broken = issues.loc["unreadable.png"]
    assert broken["is_unreadable"]
    assert not broken["is_dark"]
    assert np.isnan(broken["dark_score"])


def test_grey_is_what_has_no_colours_for_its_brightness(tmp_path):
    colours = np.random.default_rng(1).integers(60, 160, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(colours).resize((96, 96), Image.Resampling.BICUBIC)
    picture.point(lambda level: level * 0.15).save(tmp_path / "dark.png")
    picture.convert("L").save(tmp_path / "grey.png")
    picture.convert("L").convert("RGB").save(tmp_path / "grey as colour.jpg", quality=60)
    Image.new("RGB", (96, 96)).save(tmp_path / "black.png")
    picture.save(tmp_path / "picture.png")
    issues = find_issues(scan(tmp_path)).set_index("path")
    assert issues.index[issues["is_grayscale"]].tolist() == ["black.png", "grey as colour.jpg", "grey.png"]


def test_an_empty_table_has_no_issues(tmp_path):
    assert find_issues(scan(tmp_path)).empty
