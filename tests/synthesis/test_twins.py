"""Harmless twins leave mouth, cheeks and eyes alone, unless that is what they are."""

import numpy as np
import pytest
from helpers import draw_face

from artifact_utils.faces import Face
from artifact_utils.synthesis import TWINS, harmless_edit
from artifact_utils.synthesis.harmless import EDITS

PORTRAIT = draw_face(192, 192)
FACE = Face.guess(192, 192).moved(np.array([[0.7, 0, 28.8], [0, 0.7, 0]]))  # with room for hands and a chest
ON_THE_FACE = ("worn_mask", "painted_cheeks")


def changed(name: str, seed: int) -> np.ndarray:
    edited, _ = harmless_edit(PORTRAIT, np.random.default_rng(seed), face=FACE, kinds=(name,))
    return np.abs(edited.astype(int) - PORTRAIT).max(axis=2) > 12


@pytest.mark.parametrize("name", [twin.__name__ for twin in TWINS])
def test_twins_are_reproducible_visible_and_work_on_small_and_oblong_pictures(name):
    assert np.array_equal(changed(name, 1), changed(name, 1))
    assert max(changed(name, seed).mean() for seed in range(6)) > 0.002
    for shape in ((64, 64), (96, 150)):
        edited, drawn = harmless_edit(draw_face(*shape), np.random.default_rng(5), kinds=(name,))
        assert edited.shape == (*shape, 3) and edited.dtype == np.uint8 and drawn == name


@pytest.mark.parametrize("name", [twin.__name__ for twin in TWINS if twin.__name__ not in ON_THE_FACE])
def test_hands_prints_and_tattoos_stay_away_from_the_face(name):
    for seed in range(6):
        where = changed(name, seed)
        for right, down in ((-0.5, 0), (0.5, 0), (0, 0.5), (0, 1), (-0.6, 0.7), (0.6, 0.7)):
            x, y = FACE.at(right, down).round().astype(int)
            assert where[y - 2 : y + 3, x - 2 : x + 3].mean() < 0.5, (seed, right, down)


def test_a_mask_covers_mouth_and_nose_and_paint_is_on_both_cheeks():
    mask, paint = changed("worn_mask", 0), changed("painted_cheeks", 0)
    x, y = FACE.at(0, 1).round().astype(int)
    assert mask[y, x] and not mask[round(FACE.left_eye[1]), round(FACE.left_eye[0])]
    middle = round(FACE.at(0, 0)[0])
    assert paint[:, :middle].sum() == pytest.approx(paint[:, middle:].sum(), rel=0.5)


def test_twins_are_drawn_only_where_they_are_asked_for():
    drawn = {harmless_edit(PORTRAIT, np.random.default_rng(seed))[1] for seed in range(60)}
    assert drawn <= {edit.__name__ for edit in EDITS}
