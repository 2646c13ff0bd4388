import hashlib
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from artifact_utils.datasets import ArtifactDataset, Draw
from artifact_utils.faces import FACE_COLUMNS, MODEL, Face, find_face, find_shares
from artifact_utils.files.tables import read_csv
from artifact_utils.images import load_image
from artifact_utils.labels import Portrait
from artifact_utils.transforms.looks import build_transforms

TEST_DATA = Path(__file__).parent.parent / "test_data"
CLEAN = sorted(TEST_DATA.glob("*/*_0.jpg"))  # what is injected may hide the face


def picture(file):
    return np.asarray(load_image(file))


def points(face):
    return np.array([face.left_eye, face.right_eye, face.nose, face.mouth, face.chin])


def true_face(file, faces):
    """What ``faces.csv`` says, in pixels of the 256 px portraits."""
    return Face(*map(tuple, np.reshape(faces[file.relative_to(TEST_DATA).as_posix()], (5, 2)) * 256))


@pytest.fixture(scope="module")
def faces():
    rows = read_csv(TEST_DATA / "faces.csv", ("path", *FACE_COLUMNS))
    return {row["path"]: tuple(float(row[column]) for column in FACE_COLUMNS) for row in rows}


def test_the_points_lie_where_they_were_marked(faces):
    errors = {False: [], True: []}
    for file in CLEAN:
        true, found = true_face(file, faces), find_face(picture(file))
        assert found is not None, file
        errors[true.is_profile].append(np.hypot(*(points(found) - points(true)).T) / true.unit)
    frontal, profile = np.array(errors[False]), np.array(errors[True])
    assert len(frontal) >= 30
    assert np.median(frontal) < 0.1
    assert np.percentile(frontal, 90) < 0.2
    assert (np.median(frontal, axis=0) < 0.13).all()
    assert len(profile) >= 1
    assert np.median(profile) < 0.2


def test_a_side_view_has_both_eyes_in_one_place(faces):
    sides = [(find_face(picture(file)), true_face(file, faces)) for file in CLEAN if true_face(file, faces).is_profile]
    for found, true in sides:
        assert found.is_profile
        assert found.left_eye == found.right_eye
        assert np.sign(found.facing) == np.sign(true.facing)


def test_a_mirrored_picture_has_the_mirrored_face(faces):
    image = picture(next(file for file in CLEAN if not true_face(file, faces).is_profile))
    found, mirrored = find_face(image), find_face(np.ascontiguousarray(image[:, ::-1]))
    assert found.left_eye[0] < found.right_eye[0]
    flip = np.array([[-1.0, 0, image.shape[1] - 1], [0, 1, 0]])
    assert points(mirrored) == pytest.approx(points(found.moved(flip, mirrored=True)), abs=0.15 * found.unit)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_is_found_where_there_is_nothing(value):
    assert find_face(np.full((256, 256, 3), value, np.uint8)) is None
    assert find_shares(np.full((256, 256, 3), value, np.uint8)) == ()
    assert find_face(np.random.default_rng(value).integers(0, 256, (200, 160, 3), dtype=np.uint8)) is None


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (255, 101), (64, 640), (1, 1), (1, 300), (1200, 800)])
def test_odd_sizes(size):
    """Width and height of the canvas, in the middle of which a portrait is pasted as large as it fits."""
    side = min(size)
    canvas = Image.new("RGB", size, (90, 120, 150))
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    canvas.paste(Image.open(CLEAN[0]).resize((side, side), Image.Resampling.LANCZOS), (left, top))
    found = find_face(np.asarray(canvas))
    if side < 32 or max(size) > 4 * side:  # a face of a dozen pixels need not be found, but nothing may break
        return
    expected = points(find_face(picture(CLEAN[0]))) * side / 256 + (left, top)
    assert points(found) == pytest.approx(expected, abs=0.1 * side)


def test_the_answer_depends_on_nothing_but_the_picture():
    images = [picture(file) for file in CLEAN[:4]]
    images[1] = cv2.resize(images[1], (300, 200))
    expected = [find_face(image) for image in images]
    assert [find_face(image) for image in reversed(images)] == expected[::-1]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(find_face, images * 3)) == expected * 3


def test_a_forked_process_gives_the_same_answer():
    image = picture(CLEAN[0])
    expected = find_face(image)
    with get_context("fork").Pool(1) as pool:
        assert pool.apply_async(find_face, (image,)).get(timeout=60) == expected


def test_shares_are_points_over_the_sides():
    image = picture(CLEAN[0])[:, 20:236]
    shares = np.reshape(find_shares(image), (5, 2))
    assert shares * (216, 256) == pytest.approx(points(find_face(image)))


def test_the_weights_are_the_ones_of_opencv_zoo():
    folder = resources.files("artifact_utils").joinpath("pretrained")
    digest = hashlib.sha256(folder.joinpath(MODEL).read_bytes()).hexdigest()
    assert digest in folder.joinpath(MODEL.replace(".onnx", ".LICENSE")).read_text()


def test_a_data_set_looks_for_the_faces_that_nobody_marked(monkeypatch):
    marked = Portrait(CLEAN[0], 0, face=tuple(np.linspace(0.1, 0.9, 10)))
    portraits = [marked, Portrait(CLEAN[1], 0)]
    transform = build_transforms((0.5,) * 3, (0.5,) * 3)
    plain = ArtifactDataset(portraits, 64, transform)
    assert plain.portraits == portraits
    dataset = ArtifactDataset(portraits, 64, transform, find_faces=True)
    assert dataset.portraits[0] == marked
    assert dataset.portraits[1].face == pytest.approx(find_shares(picture(CLEAN[1])), abs=0.04)
    missing = Portrait(TEST_DATA / "missing.png", 0)
    assert len(ArtifactDataset([missing], 64, transform, find_faces=True).rejected) == 1
    monkeypatch.setattr("artifact_utils.datasets.find_shares", None)  # never again, whatever is drawn
    made = [dataset[Draw(1, seed, inject=True)][0] for seed in range(6)]
    guessed = [plain[Draw(1, seed, inject=True)][0] for seed in range(6)]
    assert any((a != b).any() for a, b in zip(made, guessed, strict=True))


def test_a_mirrored_face_swaps_its_eyes():
    face = Face.guess(100, 100)
    mirrored = face.moved(np.array([[-1.0, 0, 100], [0, 1, 0]]), mirrored=True)
    assert mirrored.left_eye == pytest.approx(face.left_eye)
    assert mirrored.right == pytest.approx(face.right)
