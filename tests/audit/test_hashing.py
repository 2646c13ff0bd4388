import imagehash
import numpy as np
from copies import CHANGES, grey, picture
from PIL import Image

from artifact_utils.audit.hashing import upright_phashes


def hash_of(image):
    return upright_phashes(np.asarray(image)[None])[0]


def test_the_hash_is_the_one_of_imagehash_in_one_of_the_turns_and_the_same_for_all_of_them():
    for seed in range(20):
        image = Image.fromarray(grey(picture(seed)).astype(np.uint8))
        turns = [image, *(image.transpose(turn) for turn in Image.Transpose)]
        hashes = {hash_of(turn) for turn in turns}
        assert len(hashes) == 1
        assert hashes <= {str(imagehash.phash(turn)) for turn in turns}


def test_most_copies_that_were_not_cropped_have_it_and_no_other_picture():
    known = set(upright_phashes(np.stack([grey(picture(seed)) for seed in range(200)]).astype(np.uint8)))
    assert len(known) == 200
    for name in ("mirrored", "upside down", "turned left", "smaller", "JPEG 40", "paler"):
        changed = upright_phashes(np.stack([grey(CHANGES[name](picture(i))) for i in range(10)]).astype(np.uint8))
        assert np.mean([hashed in known for hashed in changed]) > 0.6, name
