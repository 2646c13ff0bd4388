import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from artifact_utils.audit import AuditError, find_duplicates, near_duplicate_groups, scan, scanning
from artifact_utils.audit.picture_statistics import measure_picture
from artifact_utils.audit.scanning import outlines
from artifact_utils.audit.table_parts import read_columns, scan_parts


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
    assert {"path", "readable", "sharpness", "thumbnail"} <= set(table.columns)
    assert len(find_duplicates(table)) == 0
    assert len(near_duplicate_groups(table)) == 0


def test_a_part_of_a_folder_is_spread_over_it(tmp_path):
    for i in range(12):
        save(picture(i), tmp_path / ("train" if i < 8 else "test") / f"image_{i}_0.png")
    assert scan(tmp_path, at_most=5)["split"].tolist() == ["test", "test", "train", "train"]
    assert len(scan(tmp_path, at_most=12)) == len(scan(tmp_path, at_most=100)) == 12
    with pytest.raises(AuditError, match="at most 0"):
        scan(tmp_path, at_most=0)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(AuditError, match="nowhere"):
        scan(tmp_path / "nowhere")


def test_links_in_a_circle_do_not_trap_the_walk(tmp_path):
    save(picture(0), tmp_path / "train" / "image_1_0.png")
    (tmp_path / "train" / "again").symlink_to(tmp_path)
    assert len(scan(tmp_path)) == 1


def encoded(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def test_what_the_file_says_of_itself(tmp_path):
    save(picture(0), tmp_path / "a.jpg", quality=40)
    (tmp_path / "b.jpg").write_bytes(encoded(picture(0), "PNG"))
    rows = scan(tmp_path).set_index("path")
    assert rows.loc["a.jpg", "jpeg_quality"] == 40
    assert rows.loc["a.jpg", "suffix_fits"]
    assert rows["jpeg_quality"].isna().tolist() == [False, True]
    assert not rows.loc["b.jpg", "suffix_fits"]
    assert rows.loc["b.jpg", "aspect"] == pytest.approx(160 / 120)


def test_colours_and_borders_are_measured(tmp_path):
    save(Image.new("RGB", (80, 80), (255, 0, 0)), tmp_path / "red.png")
    save(ImageOps.expand(picture(0, (80, 80)), 10, "white"), tmp_path / "framed.png")
    save(picture(0, (80, 80)).convert("L").convert("RGB"), tmp_path / "grey.png")
    rows = scan(tmp_path).set_index("path")
    assert rows.loc["red.png", ["red", "green", "blue", "saturation", "colour_gap"]].tolist() == [1, 0, 0, 1, 1]
    assert rows.loc["red.png", "brightness"] == pytest.approx(0.241**0.5)
    assert rows.loc["framed.png", "border"] == pytest.approx(0.2)
    assert rows.loc["grey.png", ["border", "colour_gap"]].tolist() == [0, 0]


def test_every_stopped_scan_gets_further(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "PART_ROWS", 2)
    measured, stopped = [], 0

    def measure_three(path, root, changed):
        measured.append(path.name)
        if len(measured) == 4:
            raise KeyboardInterrupt
        return measure_picture(path, root, changed)

    monkeypatch.setattr(scanning, "measure_picture", measure_three)
    while not (tmp_path / "table.parquet").exists():
        measured.clear()
        try:
            table = scan(folder, table=tmp_path / "table.parquet", workers=1)
        except KeyboardInterrupt:
            stopped += 1
    monkeypatch.undo()
    assert stopped == 4  # eleven pictures, two of which each attempt keeps
    assert table.equals(scan(folder))


def test_a_folder_of_two_classes_has_no_splits(folder):
    assert set(scan(folder / "train")["split"]) == {""}


def test_names_that_print_alike_stay_apart(tmp_path):
    for byte in (b"\xfe", b"\xff"):
        save(picture(0), Path(os.fsdecode(os.fsencode(tmp_path) + b"/x" + byte + b".png")))
    assert scan(tmp_path)["path"].nunique() == 2


def test_several_jpegs_in_one_file_are_a_jpeg(tmp_path):
    picture(0).save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[picture(1)])
    row = scan(tmp_path).iloc[0]
    assert (row["format"], row["suffix_fits"], row["readable"]) == ("JPEG", True, True)


def test_a_stopped_scan_goes_on_and_redoes_what_changed(folder, tmp_path, monkeypatch):
    table = tmp_path / "out" / "table.parquet"
    monkeypatch.setattr(scanning, "PART_ROWS", 3)
    measured = []

    def measure_some(path, root, changed):
        measured.append(path.name)
        if stop and len(measured) == 8:
            raise KeyboardInterrupt
        return measure_picture(path, root, changed)

    monkeypatch.setattr(scanning, "measure_picture", measure_some)
    stop = True
    with pytest.raises(KeyboardInterrupt):
        scan(folder, table=table, workers=1)
    assert not table.exists()
    stop, done = False, len(list(table.parent.glob("*.part"))) * 3
    assert done == 6
    measured.clear()
    complete = scan(folder, table=table, workers=1)
    assert len(measured) == 11 - done
    assert complete.equals(scan(folder))
    assert [file.name for file in table.parent.iterdir()] == ["table.parquet"]
    measured.clear()
    save(picture(77), folder / "train" / "no_artifacts" / "image_3_0.png")
    (folder / "train" / "no_artifacts" / "image_4_0.png").unlink()
    again = scan(folder, table=table)
    assert measured == ["image_3_0.png"]
    assert len(again) == 10
    assert again.equals(scan(folder))


def test_a_table_that_is_none_is_named(folder, tmp_path):
    (tmp_path / "table.parquet").write_text("nonsense")
    with pytest.raises(AuditError, match=r"table.parquet.*remove it"):
        scan(folder, table=tmp_path / "table.parquet")


def test_hostile_files_are_rows_and_stop_nothing(tmp_path):
    save(picture(0), tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(encoded(picture(1), "PNG")[:500])
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(strange).write_bytes(encoded(picture(2), "PNG"))
    rows = scan(tmp_path, table=tmp_path / "table.parquet")
    assert dict(zip(rows["path"], rows["readable"], strict=True)) == {
        "good.png": True,
        "empty.png": False,
        "cut.png": False,
        "dangling.jpg": False,
        "pipe.png": False,
        "caf\\udce9.png": False,
    }
    assert (rows.loc[~rows["readable"], "reason"] != "").all()
    assert len(scan(tmp_path, table=tmp_path / "table.parquet")) == 6


def test_single_files_keep_the_order_given(folder):
    paths = [folder / "train/artifacts/image_6_1.png", folder / "test/artifacts/image_10_1.png"]
    rows = outlines(paths)
    assert rows["path"].tolist() == [path.as_posix() for path in paths]
    assert rows["readable"].tolist() == [True, False]


def test_a_folder_may_be_named_from_where_one_is(tmp_path, monkeypatch):
    (tmp_path / "portraits" / "train").mkdir(parents=True)
    picture(0).save(tmp_path / "portraits" / "train" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert scan("portraits")["readable"].tolist() == [True]
    scan_parts("portraits", "table")
    assert read_columns("table", ["path", "readable"]).to_numpy().tolist() == [["train/a.png", True]]
