"""Irises are moved, and nothing else; gaze is drawn only where it is asked for."""

import numpy as np
import pytest
from helpers import draw_face

from artifact_utils.faces import Face
from artifact_utils.synthesis import FAMILIES, FAMILY_OF, KINDS, draw_kind, inject

PORTRAIT = draw_face(256, 256)
FACE = Face.guess(256, 256)


def dark_middle(image: np.ndarray, eye: tuple[float, float]) -> np.ndarray:
    """The middle of the dark pixels of an eye, told from its middle, in units of the face."""
    reach = round(0.3 * FACE.unit)
    x, y = round(eye[0]), round(eye[1])
    level = image[y - reach // 2 : y + reach // 2, x - reach : x + reach].mean(axis=2)
    rows, columns = np.nonzero(level < 90)
    return np.array([columns.mean() - reach, rows.mean() - reach // 2]) / FACE.unit


@pytest.mark.parametrize(
    ("kind", "alike"), [("averted_gaze", True), ("parted_gaze", False), ("crossed_gaze", False), ("stray_gaze", None)]
)
def test_irises_move_sideways_together_or_apart(kind, alike):
    for seed in range(3):
        image = inject(PORTRAIT, np.random.default_rng(seed), kind=kind, strength=0.6, face=FACE).image
        eyes = FACE.left_eye, FACE.right_eye
        left, right = (dark_middle(image, eye)[0] - dark_middle(PORTRAIT, eye)[0] for eye in eyes)
        if alike is None:
            assert min(abs(left), abs(right)) < 0.01 < 0.03 < max(abs(left), abs(right))
        else:
            assert min(abs(left), abs(right)) > 0.03
            assert (np.sign(left) == np.sign(right)) == alike
            assert kind != "parted_gaze" or left < 0 < right


def test_one_eye_looks_higher_than_the_other():
    image = inject(PORTRAIT, np.random.default_rng(0), kind="uneven_gaze", strength=0.8, face=FACE).image
    assert abs(dark_middle(image, FACE.left_eye)[1] - dark_middle(image, FACE.right_eye)[1]) > 0.04


def test_gaze_changes_the_eyes_alone_and_is_drawn_only_where_it_is_asked_for():
    rng = np.random.default_rng(0)
    for _ in range(10):
        injected = inject(PORTRAIT, rng, kind="gaze", face=FACE)
        assert FAMILY_OF[injected.kind] == "gaze"
        rows, _ = np.nonzero(injected.mask)
        assert np.abs(rows - FACE.eyes[1]).max() < 0.3 * FACE.unit
    assert not set(FAMILIES["gaze"]) & (set(KINDS) | {draw_kind(rng) for _ in range(300)})
