"""Edits without a fault leave a face as it is."""

import cv2
import numpy as np
import pytest
from helpers import draw_face

from artifact_utils.faces import Face
from artifact_utils.synthesis import harmless_edit
from artifact_utils.synthesis.harmless import EDITS

PORTRAIT = draw_face()


def test_harmless_edits_are_deterministic_and_mild() -> None:
    seen = set()
    for seed in range(150):
        edited, name = harmless_edit(PORTRAIT, np.random.default_rng(seed))
        again, _ = harmless_edit(PORTRAIT, np.random.default_rng(seed))
        assert np.array_equal(edited, again)
        assert edited.dtype == np.uint8 and edited.shape == PORTRAIT.shape
        assert np.abs(edited.astype(int) - PORTRAIT).mean() < 30
        seen.add(name)
    assert seen == {edit.__name__ for edit in EDITS}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_harmless_edit_leaves_eyes_nose_and_mouth_where_they_are(edit) -> None:
    face = Face.guess(*PORTRAIT.shape[:2])
    for seed in range(3):
        edited = edit(PORTRAIT.astype(np.float32), np.random.default_rng(seed), face)
        for point in (face.left_eye, face.right_eye, face.nose, face.mouth):
            x, y = (round(v) for v in point)
            before, after = (
                cv2.GaussianBlur(np.float32(picture), (0, 0), 2)[y, x].mean() for picture in (PORTRAIT, edited)
            )
            assert abs(after - before) < 40


@pytest.mark.parametrize("name", ["warped_and_back", "copied_in_place", "resized_and_back", "recoded"])
def test_steps_without_a_fault_change_next_to_nothing(name: str) -> None:
    for seed in range(5):
        edited, _ = harmless_edit(PORTRAIT, np.random.default_rng(seed), kinds=(name,))
        assert 0 < np.abs(edited.astype(int) - PORTRAIT).mean() < 4


def test_harmless_edits_can_be_chosen() -> None:
    chosen = ("freckles", "sharpened")
    assert {harmless_edit(PORTRAIT, np.random.default_rng(i), kinds=chosen)[1] for i in range(12)} == set(chosen)
    with pytest.raises(ValueError, match=r"unknown harmless edit in .*third_eye"):
        harmless_edit(PORTRAIT, np.random.default_rng(0), kinds=("third_eye",))


@pytest.mark.parametrize("shape", [(64, 64), (96, 150)])
def test_harmless_edits_work_on_small_and_oblong_pictures(shape: tuple[int, int]) -> None:
    portrait = draw_face(*shape)
    face = Face.guess(*shape)
    for edit in EDITS:
        assert edit(portrait.astype(np.float32), np.random.default_rng(0), face).shape == (*shape, 3)
    assert harmless_edit(portrait, np.random.default_rng(0))[0].shape == (*shape, 3)
