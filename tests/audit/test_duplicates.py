import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from artifact_utils.audit import find_duplicates, find_leaks, lookalikes, near_duplicate_groups, scan, united_groups
from artifact_utils.audit.alignment import compare, prepare
from artifact_utils.audit.duplicates import MIN_SIMILARITY
from artifact_utils.audit.lookalikes import candidates


def picture(seed, size=(240, 240)):
    """Blobs of several sizes: like photographs, they keep their looks when resized or re-encoded."""
    rng = np.random.default_rng(seed)
    layers = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)) for n in (4, 9, 20)]
    wide = [np.asarray(layer.resize(size, Image.Resampling.BICUBIC), dtype=float) for layer in layers]
    return Image.fromarray((0.5 * wide[0] + 0.3 * wide[1] + 0.2 * wide[2]).astype(np.uint8))


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def jpeg_40(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


def captioned(image):
    """White letters, and a banner of an eighth of the height that lets a third of the picture through."""
    overlay = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(overlay)
    draw.rectangle((0, 208, 240, 240), fill=(0, 0, 0, 170))
    draw.text((20, 210), "SAMPLE 2026", "white", ImageFont.load_default(24))
    return Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB")


def labelled(image):
    image = image.copy()
    ImageDraw.Draw(image).rectangle((20, 200, 120, 220), fill="white")
    return image


CHANGES = {
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned left": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned right": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "turned around": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "cropped in the middle": lambda image: image.crop((24, 24, 216, 216)),
    "cropped to a corner": lambda image: image.crop((0, 48, 192, 240)),
    "cropped and mirrored": lambda image: ImageOps.mirror(image.crop((11, 30, 211, 230))),
    "smaller": lambda image: image.resize((100, 100), Image.Resampling.LANCZOS),
    "JPEG 40": jpeg_40,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.6),
    "captioned": captioned,
    "labelled": labelled,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_an_eye_would_call_the_same_picture_is_found(tmp_path, change):
    for seed in range(6):
        save(picture(seed), tmp_path / f"{seed}.png")
    save(change(picture(3)), tmp_path / "changed.png")
    assert find_duplicates(scan(tmp_path))["path"].tolist() == ["3.png", "changed.png"]


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
    assert list(candidates([], 64)) == list(candidates([bytes(4096)], 64)) == []


def thumbnails_of_noise(n):
    rng = np.random.default_rng(0)
    return [
        np.asarray(Image.fromarray(row).resize((64, 64), Image.Resampling.BICUBIC)).tobytes()
        for row in rng.integers(0, 256, (n, 12, 12), dtype=np.uint8)
    ]


def test_many_pictures_are_compared_in_lists(monkeypatch):
    monkeypatch.setattr(lookalikes, "_MAX_COSINES", 0)  # as few lists as among 100,000
    monkeypatch.setattr(lookalikes, "_MAX_FOUND", 50)
    thumbnails = thumbnails_of_noise(600)
    picture = Image.frombytes("L", (64, 64), thumbnails[17])
    thumbnails[540] = thumbnails[17]
    thumbnails[300] = picture.transpose(Image.Transpose.ROTATE_90).tobytes()
    pairs = candidates(thumbnails, 64)
    assert {(17, 540), (540, 17), (17, 300), (300, 540)} <= set(map(tuple, pairs.tolist()))
    assert np.bincount(pairs[:, 0]).max() <= lookalikes.N_CANDIDATES_OF_FEW
    assert (pairs[:, 0] != pairs[:, 1]).all()


def grey(image):
    return np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BILINEAR), dtype=np.float32)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_agree_however_they_were_turned_and_cropped(change):
    for seed in range(4):
        assert compare(prepare(grey(change(picture(seed)))), prepare(grey(picture(seed)))) > MIN_SIMILARITY


def test_a_head_held_otherwise_is_another_picture():
    """Rotated by a few degrees, as no copy is, but poses are."""
    for seed in range(4):
        wide = picture(seed, (320, 320))
        straight, tilted = (wide.rotate(angle, Image.Resampling.BICUBIC).crop((40, 40, 280, 280)) for angle in (0, 5))
        assert compare(prepare(grey(straight)), prepare(grey(tilted))) < MIN_SIMILARITY
