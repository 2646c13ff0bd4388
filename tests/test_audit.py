import hashlib
import io
import time

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from artifact_utils.audit import _components, find_duplicates, near_duplicate_groups, scan


def picture(seed, size=(160, 120)):
    """Smooth random blobs: like photographs, they keep their looks when resized or re-encoded."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two splits; test has a resized JPEG of a training picture, a copy of another, and a broken file."""
    for i in range(6):
        save(picture(i), tmp_path / "train" / "no_artifacts" / f"image_{i}_0.png")
    save(picture(6), tmp_path / "train" / "artifacts" / "image_6_1.png")
    save(picture(7), tmp_path / "test" / "no_artifacts" / "image_7_0.png")
    save(picture(0).resize((120, 90)), tmp_path / "test" / "no_artifacts" / "image_8_0.jpg", quality=60)
    save(picture(1), tmp_path / "test" / "artifacts" / "image_9_1.png")
    (tmp_path / "test" / "artifacts" / "image_10_1.png").write_bytes(b"not a picture")
    (tmp_path / "manifest.csv").write_text("path\n")
    return tmp_path


def test_one_row_a_picture_with_split_and_class_from_the_folders(folder):
    table = scan(folder)
    assert len(table) == 11
    assert list(table["path"]) == sorted(table["path"])
    row = table.set_index("path").loc["train/artifacts/image_6_1.png"]
    assert (row["split"], row["class_name"]) == ("train", "artifacts")
    assert (row["width"], row["height"], row["format"], row["mode"]) == (160, 120, "PNG", "RGB")
    file = folder / "train/artifacts/image_6_1.png"
    assert row["bytes"] == file.stat().st_size
    assert row["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_raw_folders_give_the_class_from_the_name(tmp_path):
    save(picture(0), tmp_path / "train" / "image_1_0.png")
    save(picture(1), tmp_path / "train" / "image_2_1.JPG")
    save(picture(2), tmp_path / "portrait.png")
    table = scan(tmp_path).set_index("path")
    assert table.loc["train/image_1_0.png", "class_name"] == "no_artifacts"
    assert table.loc["train/image_2_1.JPG", "class_name"] == "artifacts"
    assert (table.loc["portrait.png", "class_name"], table.loc["portrait.png", "split"]) == ("", "")


def test_a_broken_file_is_a_row_with_its_reason(folder):
    table = scan(folder).set_index("path")
    broken = table.loc["test/artifacts/image_10_1.png"]
    assert not broken["readable"]
    assert broken["reason"] == "not a PNG, JPEG, WebP or BMP picture"
    assert np.isnan(broken["brightness"])
    assert table["readable"].sum() == 10
    assert (table.loc[table["readable"], "reason"] == "").all()


def test_brightness_contrast_and_sharpness_order_pictures_as_an_eye_would(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    save(Image.fromarray(noise), tmp_path / "sharp.png")
    save(Image.fromarray(noise).resize((20, 20)).resize((200, 200)), tmp_path / "soft.png")
    save(Image.new("RGB", (200, 200), "black"), tmp_path / "black.png")
    save(Image.new("RGB", (200, 200), "white"), tmp_path / "white.png")
    table = scan(tmp_path).set_index("path")
    assert table.loc["black.png", "brightness"] == 0
    assert table.loc["white.png", "brightness"] == 1
    assert table.loc["white.png", "contrast"] == 0 < table.loc["sharp.png", "contrast"]
    assert table.loc["soft.png", "sharpness"] < table.loc["sharp.png", "sharpness"] / 10


def test_sharpness_does_not_depend_on_the_size_a_picture_is_stored_at(tmp_path):
    small = picture(0, (300, 300))
    save(small, tmp_path / "small.png")
    save(small.resize((1200, 1200), Image.Resampling.BICUBIC), tmp_path / "large.png")
    sharpness = scan(tmp_path)["sharpness"]
    assert sharpness[0] == pytest.approx(sharpness[1], rel=0.2)


def test_width_and_height_are_those_a_viewer_shows(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    save(picture(0, (160, 120)), tmp_path / "turned.jpg", exif=exif)
    row = scan(tmp_path).iloc[0]
    assert (row["width"], row["height"]) == (120, 160)


def test_the_table_does_not_depend_on_the_number_of_threads(folder):
    assert scan(folder, workers=1).equals(scan(folder, workers=4))


def test_an_empty_folder_gives_an_empty_table_with_all_columns(tmp_path):
    table = scan(tmp_path)
    assert len(table) == 0
    assert {"path", "readable", "sharpness", "phash"} <= set(table.columns)
    assert len(find_duplicates(table)) == 0
    assert len(near_duplicate_groups(table)) == 0


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        scan(tmp_path / "nowhere")


def test_links_in_a_circle_do_not_trap_the_walk(tmp_path):
    save(picture(0), tmp_path / "train" / "image_1_0.png")
    (tmp_path / "train" / "again").symlink_to(tmp_path)
    assert len(scan(tmp_path)) == 1


def test_duplicates_are_grouped_and_leaks_between_splits_marked(folder):
    duplicates = find_duplicates(scan(folder))
    groups = {tuple(members["path"]): members.iloc[0] for _, members in duplicates.groupby("group")}
    leak = groups["test/no_artifacts/image_8_0.jpg", "train/no_artifacts/image_0_0.png"]
    copy = groups["test/artifacts/image_9_1.png", "train/no_artifacts/image_1_0.png"]
    assert len(groups) == 2
    assert (leak["kind"], copy["kind"]) == ("near", "exact")
    assert leak["across_splits"]
    assert duplicates.loc[duplicates["group"] == copy["group"], "distance"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((80, 60), Image.Resampling.LANCZOS),
        lambda image: ImageEnhance.Brightness(image).enhance(0.9),
        lambda image: ImageEnhance.Color(image).enhance(0.5),
        lambda image: Image.open(jpeg(image, quality=40)),
    ],
    ids=["resized", "darker", "paler", "jpeg 40"],
)
def test_what_an_eye_would_call_the_same_picture_is_found(tmp_path, change):
    original = picture(3)
    save(original, tmp_path / "a.png")
    save(change(original), tmp_path / "b.png")
    save(picture(4), tmp_path / "c.png")
    assert find_duplicates(scan(tmp_path))["path"].tolist() == ["a.png", "b.png"]


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer


def test_a_chain_of_pairs_is_one_group(tmp_path):
    table = scan(save(picture(0), tmp_path / "a.png").parent)
    table = table.loc[[0] * 3].assign(path=["a", "b", "c"], phash=["0" * 16, "0" * 14 + "ff", "0" * 12 + "ffff"])
    duplicates = find_duplicates(table, max_distance=8)
    assert duplicates["group"].tolist() == [0, 0, 0]
    assert duplicates["closest"].tolist() == ["b", "a", "b"]
    assert duplicates["distance"].tolist() == [8, 8, 8]
    assert find_duplicates(table, max_distance=7).empty


def test_in_a_leak_the_closest_is_the_one_in_the_other_split(folder):
    save(picture(0), folder / "train" / "no_artifacts" / "image_99_0.png")  # even closer, but no leak
    closest = find_duplicates(scan(folder)).set_index("path")["closest"]
    assert closest["train/no_artifacts/image_0_0.png"] == "test/no_artifacts/image_8_0.jpg"
    assert closest["test/no_artifacts/image_8_0.jpg"].startswith("train/")


def test_groups_for_a_split_keep_the_order_of_the_paths(folder):
    paths = [
        folder / "test/artifacts/image_10_1.png",  # broken: alone
        folder / "test/no_artifacts/image_8_0.jpg",
        folder / "train/no_artifacts/image_3_0.png",
        folder / "train/no_artifacts/image_0_0.png",
    ]
    groups = near_duplicate_groups(paths)
    assert list(groups) == [0, 1, 2, 1]
    assert list(groups.index) == [path.as_posix() for path in paths]
    table = scan(folder)
    by_path = near_duplicate_groups(table)
    assert list(by_path.index) == list(table["path"])
    assert by_path["test/artifacts/image_9_1.png"] == by_path["train/no_artifacts/image_1_0.png"]
    assert by_path.nunique() == len(table) - 2


def test_many_hashes_are_compared_in_blocks(tmp_path):
    rng = np.random.default_rng(0)
    hashes = [f"{value:016x}" for value in rng.integers(0, 2**63, 5000)]
    row = scan(save(picture(0), tmp_path / "a.png").parent)
    table = row.loc[[0] * 5000].assign(phash=hashes, dhash=hashes[::-1])
    table.iloc[4999] = table.iloc[17]  # in blocks far apart
    start = time.process_time()  # what other programs take does not count
    components = _components(table, 12)
    assert time.process_time() - start < 5  # about 0.1 s on an idle core
    assert components[17] == components[4999]
    assert len(np.unique(components)) == 4999
