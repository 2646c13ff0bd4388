import numpy as np
import pytest
from copies import CHANGES, picture
from PIL import Image

from artifact_utils.audit import duplicates, find_duplicates, find_leaks, near_duplicate_groups, scan, united_groups


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_an_eye_would_call_the_same_picture_is_found(tmp_path, change):
    for seed in range(6):
        save(picture(seed), tmp_path / f"{seed}.png")
    save(change(picture(3)), tmp_path / "changed.png")
    assert find_duplicates(scan(tmp_path))["path"].tolist() == ["3.png", "changed.png"]


@pytest.mark.parametrize("name", ["mirrored", "upside down", "turned left", "turned around", "smaller"])
def test_copies_that_were_only_turned_or_resized_need_no_search(tmp_path, monkeypatch, name):
    """Of those with the same hash only one takes part in the search for crops."""
    searched = []

    def search(thumbnails, side):
        searched.append(len(thumbnails))
        return np.zeros((0, 2), np.int64)

    monkeypatch.setattr(duplicates, "candidate_pairs", search)
    for seed in range(4):
        save(picture(seed), tmp_path / f"{seed}.png")
    save(CHANGES[name](picture(2)), tmp_path / "changed.png")
    assert find_duplicates(scan(tmp_path))["path"].tolist() == ["2.png", "changed.png"]
    assert searched == [4]


def test_pictures_of_one_hash_that_do_not_agree_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "upright_phash", lambda grey: "0123456789abcdef")
    for seed in range(4):
        save(picture(seed), tmp_path / f"{seed}.png")
    save(CHANGES["cropped to a corner"](picture(2)), tmp_path / "changed.png")
    assert find_duplicates(scan(tmp_path))["path"].tolist() == ["2.png", "changed.png"]


def test_pictures_alike_in_the_large_are_no_duplicates(tmp_path):
    pose = np.asarray(picture(0), dtype=float)
    for seed in range(1, 5):  # the same light and shapes, other details everywhere
        mixed = 0.8 * pose + 0.2 * np.asarray(picture(seed), dtype=float)
        save(Image.fromarray(mixed.astype(np.uint8)), tmp_path / f"{seed}.png")
    assert find_duplicates(scan(tmp_path)).empty


def test_plain_pictures_are_alike_only_if_their_bytes_are(tmp_path):
    for grey in (0, 90, 200):
        save(Image.new("RGB", (64, 64), (grey,) * 3), tmp_path / f"{grey}.png")
    save(Image.new("RGB", (64, 64), (90,) * 3), tmp_path / "again.png")
    assert find_duplicates(scan(tmp_path))["path"].tolist() == ["90.png", "again.png"]


@pytest.fixture
def folder(tmp_path):
    """Two splits; test has a crop of a training picture, a copy of another, and a broken file."""
    for i in range(6):
        save(picture(i), tmp_path / "train" / "no_artifacts" / f"image_{i}_0.png")
    save(picture(7), tmp_path / "test" / "no_artifacts" / "image_7_0.png")
    save(picture(0).crop((0, 0, 200, 200)), tmp_path / "test" / "no_artifacts" / "image_8_0.jpg", quality=60)
    save(picture(1), tmp_path / "test" / "artifacts" / "image_9_1.png")
    (tmp_path / "test" / "artifacts" / "image_10_1.png").write_bytes(b"not a picture")
    return tmp_path


def test_duplicates_are_grouped_and_leaks_between_splits_listed(folder):
    duplicates = find_duplicates(scan(folder))
    groups = {tuple(members["path"]): members for _, members in duplicates.groupby("group")}
    leak = groups["test/no_artifacts/image_8_0.jpg", "train/no_artifacts/image_0_0.png"]
    copy = groups["test/artifacts/image_9_1.png", "train/no_artifacts/image_1_0.png"]
    assert len(groups) == 2
    assert (set(leak["kind"]), set(copy["kind"])) == ({"near"}, {"exact"})
    assert leak["across_splits"].all()
    assert copy["similarity"].tolist() == [1, 1]
    assert leak["closest"].tolist() == leak["path"].tolist()[::-1]
    leaks = find_leaks(duplicates)
    assert leaks[["split", "other_split"]].to_numpy().tolist() == [["test", "train"]] * 2
    assert leaks["path"].tolist() == ["test/artifacts/image_9_1.png", "test/no_artifacts/image_8_0.jpg"]


def test_every_leaking_picture_is_listed(tmp_path):
    for name in ("test/a", "test/b", "train/c", "train/d"):
        save(picture(0), tmp_path / f"{name}.png")
    leaks = find_leaks(find_duplicates(scan(tmp_path)))
    assert set(leaks["path"]) | set(leaks["other"]) == {"test/a.png", "test/b.png", "train/c.png", "train/d.png"}
    assert (leaks["split"] != leaks["other_split"]).all()
    assert (leaks["similarity"] == 1).all()


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_different_things_on_one_plain_wall_are_no_duplicates(tmp_path, share):
    side = round(240 * share)
    for i in range(6):
        wall = Image.new("RGB", (240, 240), "white")
        wall.paste(picture(i).resize((side, side)), ((240 - side) // 2, (240 - side) // 2))
        save(wall, tmp_path / f"{i}.png")
        wall.save(tmp_path / f"{i} copy.jpg", quality=60)
    duplicates = find_duplicates(scan(tmp_path))
    assert duplicates.groupby("group")["path"].apply(list).tolist() == [[f"{i} copy.jpg", f"{i}.png"] for i in range(6)]


def test_groups_part_neither_people_nor_copies():
    groups = united_groups(["ann", "", "bob", "bob", "", ""], [0, 0, 0, 1, 2, 3])
    assert groups.tolist() == [0, 0, 0, 0, 1, 2]


def test_among_very_many_alignment_ends_when_too_much_was_in_vain(tmp_path, monkeypatch):
    for seed in range(16):
        save(picture(seed), tmp_path / f"{seed:02d}.png")
    save(picture(0).crop((0, 0, 200, 200)), tmp_path / "crop.png")
    compared = []
    monkeypatch.setattr(duplicates, "candidate_pairs", lambda _, side: np.array([(i, i + 1) for i in range(16)]))
    monkeypatch.setattr(duplicates, "agreement", lambda one, other: compared.append(one) or 0.0)
    monkeypatch.setattr(duplicates, "_AT_ONCE", 1)
    find_duplicates(scan(tmp_path))
    assert len(compared) == 16
    compared.clear()
    monkeypatch.setattr(duplicates, "MANY", 0)
    find_duplicates(scan(tmp_path))
    assert len(compared) == 3


def test_many_copies_are_one_group_not_many_pairs(tmp_path):
    for i, change in enumerate(CHANGES.values()):
        save(change(picture(3)), tmp_path / f"{i}.png")
    save(picture(3), tmp_path / "original.png")
    duplicates = find_duplicates(scan(tmp_path))
    assert duplicates["group"].tolist() == [0] * (len(CHANGES) + 1)


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
    assert by_path.nunique() == len(table) - 2


def test_an_empty_table_has_none(tmp_path):
    table = scan(tmp_path)
    assert find_duplicates(table).empty
    assert find_leaks(find_duplicates(table)).empty
    assert near_duplicate_groups(table).empty
