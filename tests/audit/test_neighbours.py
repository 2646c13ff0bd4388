import numpy as np
from copies import CHANGES, grey, picture
from PIL import Image

from artifact_utils.audit import neighbours
from artifact_utils.audit.neighbours import candidate_pairs


def thumbnails_of_noise(n):
    rng = np.random.default_rng(0)
    return [
        np.asarray(Image.fromarray(row).resize((64, 64), Image.Resampling.BICUBIC)).tobytes()
        for row in rng.integers(0, 256, (n, 12, 12), dtype=np.uint8)
    ]


def test_many_pictures_are_compared_in_lists(monkeypatch):
    monkeypatch.setattr(neighbours, "_MAX_COSINES", 0)  # as few lists as among 100,000
    thumbnails = thumbnails_of_noise(600)
    picture = Image.frombytes("L", (64, 64), thumbnails[17])
    thumbnails[540] = thumbnails[17]
    thumbnails[300] = picture.transpose(Image.Transpose.ROTATE_90).tobytes()
    pairs = candidate_pairs(thumbnails, 64)
    assert {(17, 540), (540, 17), (17, 300), (300, 540)} <= set(map(tuple, pairs.tolist()))
    assert np.bincount(pairs[:, 0]).max() <= neighbours.N_CANDIDATES_OF_FEW
    assert (pairs[:, 0] != pairs[:, 1]).all()


def thumbnail(image):
    return grey(image).astype(np.uint8).tobytes()


def test_every_kind_of_copy_is_a_candidate_and_the_closest_come_first():
    thumbnails = [thumbnail(picture(seed)) for seed in range(40)]
    copies = [thumbnail(change(picture(3))) for change in CHANGES.values()]
    pairs = candidate_pairs(thumbnails + copies, 64)
    found = {frozenset(pair) for pair in pairs.tolist()}
    assert all(frozenset((3, 40 + i)) in found for i in range(len(copies)))
    first = pairs[: len(copies)]
    assert ((first == 3) | (first >= 40)).all()


def test_of_pictures_with_one_half_in_common_the_closest_is_a_candidate():
    pictures = [grey(picture(seed)) for seed in range(12)]
    pictures[4][:34] = 0.9 * pictures[0][:34] + 0.1 * pictures[1][:34]
    pictures[8][:34] = pictures[0][:34]
    pairs = candidate_pairs([other.astype(np.uint8).tobytes() for other in pictures], 64).tolist()
    assert [0, 8] in pairs
    assert [0, 4] not in pairs


def test_every_kind_of_copy_is_a_candidate_among_very_many(monkeypatch):
    monkeypatch.setattr(neighbours, "MANY", 0)
    thumbnails = [thumbnail(picture(seed)) for seed in range(60)]
    copies = [thumbnail(change(picture(i))) for i, change in enumerate(CHANGES.values())]
    pairs = candidate_pairs(thumbnails + copies, 64)
    found = {frozenset(pair) for pair in pairs.tolist()}
    assert all(frozenset((i, 60 + i)) in found for i in range(len(copies)))
    assert len(pairs) <= (len(thumbnails) + len(copies)) // 2
    assert np.bincount(pairs[:, 0]).max() <= neighbours.N_CANDIDATES_OF_MANY


def test_among_very_many_only_what_is_alike_in_finer_waves_is_a_candidate(monkeypatch):
    pose = grey(picture(0))
    pictures = [0.8 * pose + 0.2 * grey(picture(seed)) for seed in range(1, 20)]
    thumbnails = [other.astype(np.uint8).tobytes() for other in pictures]
    few = candidate_pairs(thumbnails, 64)
    monkeypatch.setattr(neighbours, "MANY", 0)
    monkeypatch.setattr(neighbours, "MIN_FINE", 0.99)
    assert len(candidate_pairs(thumbnails, 64)) < len(few)


def test_very_many_lists_are_looked_for_among_those_near_a_few(monkeypatch):
    for name, value in {"MANY": 0, "_PER_LIST": 20, "_NEAR_CENTRES": 100, "_ROUGH": 10}.items():
        monkeypatch.setattr(neighbours, name, value)
    thumbnails = thumbnails_of_noise(600)
    turned = Image.frombytes("L", (64, 64), thumbnails[17]).transpose(Image.Transpose.ROTATE_90)
    thumbnails[300] = turned.tobytes()
    assert {(17, 300), (300, 17)} <= set(map(tuple, candidate_pairs(thumbnails, 64).tolist()))
    descriptors = neighbours.dct_descriptors(thumbnails[:200], 64).crops.reshape(-1, 35)
    centres = descriptors[::15][:, neighbours.SLOW].astype(np.float32)
    nearest = neighbours._nearest_lists(descriptors, centres, 2)
    exact = neighbours._nearest_centres(descriptors[:, neighbours.SLOW].astype(np.float32), centres, 2)
    assert np.mean(nearest[:, 0] == exact[:, 0]) > 0.6


def test_the_cosine_looked_for_rises_until_few_enough_reach_it():
    products = np.linspace(0.87, 1, 1001, dtype=np.float32) * 127**2
    assert neighbours._raised(0.87, [products], 2000) == 0.87
    assert 0.934 < neighbours._raised(0.87, [products[:500], products[500:]], 500) < 0.937
    assert neighbours._raised(0.87, [products], 1) == neighbours._MAX_RAISED


def test_nothing_and_one_picture_have_no_candidates():
    assert candidate_pairs([], 64).shape == candidate_pairs([bytes(4096)], 64).shape == (0, 2)
