import pytest
from copies import CHANGES, grey, picture
from PIL import Image

from artifact_utils.audit.alignment import agreement, prepare
from artifact_utils.audit.duplicates import MIN_SIMILARITY


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_agree_however_they_were_turned_and_cropped(change):
    for seed in range(4):
        assert agreement(prepare(grey(change(picture(seed)))), prepare(grey(picture(seed)))) > MIN_SIMILARITY


def test_a_head_held_otherwise_is_another_picture():
    """Rotated by a few degrees, as no copy is, but poses are."""
    for seed in range(4):
        wide = picture(seed, (320, 320))
        straight, tilted = (wide.rotate(angle, Image.Resampling.BICUBIC).crop((40, 40, 280, 280)) for angle in (0, 5))
        assert agreement(prepare(grey(straight)), prepare(grey(tilted))) < MIN_SIMILARITY
