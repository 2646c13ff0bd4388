"""Every portrait shows a whole face, and nothing of the sheet that it is cut from."""

import numpy as np
import pytest

from artifact_utils.demo.openpeople import bases, cut_portrait, load_asset


def test_every_portrait_shows_the_whole_face() -> None:
    for person in sorted(bases()):
        rng = np.random.default_rng(0)
        for base in bases()[person][::6]:
            image, face = cut_portrait(base, rng, 96)
            assert image.shape == (96, 96, 3) and image.dtype == np.uint8
            for x, y in (face.left_eye, face.right_eye, face.nose, face.mouth, face.chin, tuple(face.at(0, -0.8))):
                assert 0 <= x <= 96 and 0 <= y <= 96, base
            assert 0.34 < 2.65 * face.unit / 96 < 1.1  # above 0.75 only where the sheet has no more
            assert face.right[0] > 0  # the left eye stays on the left, mirrored or not


@pytest.mark.parametrize("asset", ["emotions_sheet", "character_sheet"])
def test_no_portrait_shows_the_frame_of_its_sheet(asset: str) -> None:
    for person in sorted(bases()):
        for base in (base for base in bases()[person] if base.asset == asset):
            left, top, right, bottom = base.box
            cell = load_asset(person, asset)[top:bottom, left:right].min(axis=2)
            # Frames are white, the backdrop is grey; only the lower half of a side can end in a white shirt.
            half = (bottom - top) // 2
            for side in (cell[0], cell[:half, 0], cell[:half, -1]):
                assert np.median(side) < 190, base
