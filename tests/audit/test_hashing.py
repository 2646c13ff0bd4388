import imagehash
import numpy as np
from copies import CHANGES, grey, picture
from PIL import Image

from artifact_utils.audit.hashing import upright_phash


def test_the_hash_is_the_one_of_imagehash_in_one_of_the_turns_and_the_same_for_all_of_them():
    for seed in range(20):
        image = Image.fromarray(grey(picture(seed)).astype(np.uint8))
        turns = [image, *(image.transpose(turn) for turn in Image.Transpose)]
        hashes = {upright_phash(np.asarray(turn)) for turn in turns}
        assert len(hashes) == 1
        assert hashes <= {str(imagehash.phash(turn)) for turn in turns}


def test_most_copies_that_were_not_cropped_have_it_and_no_other_picture():
    known = {upright_phash(grey(picture(seed)).astype(np.uint8)) for seed in range(200)}
    assert len(known) == 200
    for name in ("mirrored", "upside down", "turned left", "smaller", "JPEG 40", "paler"):
        changed = [upright_phash(grey(CHANGES[name](picture(seed))).astype(np.uint8)) for seed in range(10)]
        assert np.mean([hashed in known for hashed in changed]) > 0.6, name
