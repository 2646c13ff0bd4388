import numpy as np
import pandas as pd
import pytest
from copies import picture

from artifact_utils.audit import AuditError, find_duplicates, scan, scan_parts, scanning
from artifact_utils.audit.picture_statistics import measure_picture
from artifact_utils.audit.table_parts import read_columns, stored_thumbnails


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Nine pictures of two splits, a copy and a crop across them, and a broken file; parts have four rows."""
    monkeypatch.setattr(scanning, "PART_ROWS", 4)
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    for i in range(6):
        picture(i).save(tmp_path / "train" / f"image_{i}_0.png")
    picture(2).save(tmp_path / "test" / "copy_2_1.png")
    picture(3).crop((0, 0, 200, 200)).save(tmp_path / "test" / "crop_3_1.jpg", quality=60)
    (tmp_path / "test" / "broken_1.png").write_bytes(b"no picture")
    return tmp_path


def whole(parts):
    return pd.concat(pd.read_parquet(file) for file in sorted(parts.iterdir())).reset_index(drop=True)


def test_the_parts_hold_the_table_of_a_scan(folder, tmp_path):
    scan_parts(folder, tmp_path / "out" / "table")
    assert [file.name for file in sorted((tmp_path / "out" / "table").iterdir())] == [
        f"part-{i:08d}.parquet" for i in range(3)
    ]
    assert whole(tmp_path / "out" / "table").equals(scan(folder))


def test_duplicates_found_from_parts_are_those_found_in_memory(folder, tmp_path):
    scan_parts(folder, tmp_path / "table")
    expected = find_duplicates(scan(folder))
    assert expected["group"].tolist() == [0, 0, 1, 1]
    pd.testing.assert_frame_equal(find_duplicates(tmp_path / "table"), expected)
    across = find_duplicates(scan(folder), across_splits=True)
    pd.testing.assert_frame_equal(find_duplicates(str(tmp_path / "table"), across_splits=True), across)
    assert len(list((tmp_path / "table").iterdir())) == 3  # the temporary file is gone


def test_a_stopped_scan_goes_on_and_redoes_what_changed(folder, tmp_path, monkeypatch):
    parts, measured = tmp_path / "table", []

    def measure_some(path, root, changed):
        measured.append(path.name)
        if stop and len(measured) == 6:
            raise KeyboardInterrupt
        return measure_picture(path, root, changed)

    monkeypatch.setattr(scanning, "measure_picture", measure_some)
    stop = True
    with pytest.raises(KeyboardInterrupt):
        scan_parts(folder, parts, workers=1)
    assert len(whole(parts)) == 4
    stop = False
    measured.clear()
    scan_parts(folder, parts, workers=1)
    assert len(measured) == 5
    measured.clear()
    scan_parts(folder, parts, workers=1)
    assert measured == []
    picture(77).save(folder / "train" / "image_3_0.png")
    (folder / "test" / "copy_2_1.png").unlink()
    scan_parts(folder, parts, workers=1)
    assert measured == ["image_3_0.png"]
    assert whole(parts).sort_values("path", ignore_index=True).equals(scan(folder))
    assert find_duplicates(parts).empty


def test_rows_of_a_part_that_is_there_twice_are_kept_once(folder, tmp_path):
    scan_parts(folder, tmp_path / "table")
    first = tmp_path / "table" / "part-00000000.parquet"
    first.with_name("part-00000009.parquet").write_bytes(first.read_bytes())
    scan_parts(folder, tmp_path / "table")
    assert whole(tmp_path / "table").equals(scan(folder))


def test_thumbnails_are_read_by_their_place_among_the_readable(folder, tmp_path):
    scan_parts(folder, tmp_path / "table")
    table = scan(folder)
    expected = table["thumbnail"][table["readable"]].tolist()
    with stored_thumbnails(tmp_path / "table") as thumbnails:
        assert list(thumbnails) == expected
        assert list(thumbnails[2:5]) == expected[2:5]
        assert list(thumbnails.of(np.array([5, 1]))) == [expected[5], expected[1]]


def test_a_part_of_a_folder_and_no_pictures(folder, tmp_path):
    scan_parts(folder, tmp_path / "some", at_most=4)
    assert read_columns(tmp_path / "some", ["path"])["path"].tolist() == scan(folder, at_most=4)["path"].tolist()
    (tmp_path / "nothing").mkdir()
    scan_parts(tmp_path / "nothing", tmp_path / "empty")
    assert list(read_columns(tmp_path / "empty", ["path", "readable"])) == ["path", "readable"]
    assert find_duplicates(tmp_path / "empty").empty


def test_what_is_no_table_is_named(folder, tmp_path):
    with pytest.raises(AuditError, match="nowhere"):
        scan_parts(tmp_path / "nowhere", tmp_path / "table")
    with pytest.raises(AuditError, match="at most 0"):
        scan_parts(folder, tmp_path / "table", at_most=0)
    with pytest.raises(AuditError, match="no table of an audit in"):
        find_duplicates(tmp_path / "table")
    (tmp_path / "table").mkdir()
    pd.DataFrame({"path": ["a"]}).to_parquet(tmp_path / "table" / "part-00000000.parquet")
    for use in (find_duplicates, lambda parts: scan_parts(folder, parts)):
        with pytest.raises(AuditError, match=r"part-00000000.parquet.*no column.*remove it"):
            use(tmp_path / "table")
    (tmp_path / "table" / "part-00000000.parquet").write_text("nonsense")
    with pytest.raises(AuditError, match=r"part-00000000.parquet.*remove it"):
        find_duplicates(tmp_path / "table")
