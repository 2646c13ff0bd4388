import numpy as np
from copies import grey, picture
from PIL import Image

from artifact_utils.audit.alignment import turn_back
from artifact_utils.audit.descriptors import FRAMES, HALVES, dct_descriptors, fine_cosines


def described(*pictures):
    return dct_descriptors([other.astype(np.uint8).tobytes() for other in pictures], 64)


def test_a_turned_picture_keeps_its_finer_waves():
    one = grey(picture(0))
    for way in range(8):
        found = described(one, turn_back(one, way))
        queries = np.flatnonzero(found.asking == 1)
        pairs = np.ones(len(queries), np.int32), np.zeros(len(queries), np.int32), np.zeros(len(queries), np.int32)
        assert fine_cosines(found.cells, *pairs, found.turns[queries]).max() > 0.999


def test_a_crop_has_the_finer_waves_of_the_part_it_is_and_another_picture_has_not():
    frame = FRAMES.index((2 / 15, 14 / 15, 1 / 15, 13 / 15))
    image = picture(0)
    crop = image.crop((32, 16, 224, 208)).resize((240, 240), Image.Resampling.BICUBIC)
    found = described(grey(image), grey(crop), grey(picture(1)))
    queries = np.flatnonzero(found.asking >= 1)
    others = np.zeros(len(queries), np.int32)
    cosines = fine_cosines(
        found.cells, found.asking[queries], others, np.full(len(queries), frame), found.turns[queries]
    )
    of_crop = found.asking[queries] == 1
    assert cosines[of_crop].max() > 0.95
    assert cosines[~of_crop].max() < 0.6


def test_halves_are_compared_as_they_are():
    one, other = grey(picture(0)), grey(picture(1))
    other[:34] = one[:34]
    cells = described(one, other).cells
    halves = np.arange(len(HALVES))
    cosines = fine_cosines(cells, np.zeros(4, np.int32), np.ones(4, np.int32), halves)
    assert cosines[0] > 0.999
    assert (cosines[1:] < 0.9).all()
