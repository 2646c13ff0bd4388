import pytest
from copies import CHANGES, grey, picture
from PIL import Image

from artifact_utils.audit.alignment import agreement, prepare_parts, prepare_whole
from artifact_utils.audit.duplicates import MIN_SIMILARITY


def agree(one, other):
    return agreement(prepare_whole(grey(one)), prepare_parts(grey(other)))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_agree_however_they_were_turned_and_cropped(change):
    for seed in range(4):
        assert agree(change(picture(seed)), picture(seed)) > MIN_SIMILARITY


def test_a_head_held_otherwise_is_another_picture():
    """Rotated by a few degrees, as no copy is, but poses are."""
    for seed in range(4):
        wide = picture(seed, (320, 320))
        straight, tilted = (wide.rotate(angle, Image.Resampling.BICUBIC).crop((40, 40, 280, 280)) for angle in (0, 5))
        assert agree(straight, tilted) < MIN_SIMILARITY
