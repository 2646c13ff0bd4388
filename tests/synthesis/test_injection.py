"""Injected artifacts are deterministic, visible, and lie where their mask says."""

import cv2
import numpy as np
import pytest
from helpers import draw_face

from artifact_utils.faces import Face
from artifact_utils.synthesis import FAMILIES, KINDS, inject

PORTRAIT = draw_face()
ALL_KINDS = (*KINDS, *FAMILIES["gaze"])


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_same_generator_state_gives_the_same_artifact(kind: str) -> None:
    first, second = (inject(PORTRAIT, np.random.default_rng(3), kind=kind, strength=0.7) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)
    assert (first.kind, first.strength) == (second.kind, second.strength)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_only_pixels_under_the_mask_change_and_visibly(kind: str) -> None:
    before = PORTRAIT.copy()
    injected = inject(PORTRAIT, np.random.default_rng(1), kind=kind, strength=0.6)
    assert np.array_equal(PORTRAIT, before)  # the input is left alone
    assert injected.image.dtype == np.uint8 and injected.image.shape == PORTRAIT.shape
    assert injected.mask.dtype == bool and injected.mask.shape == PORTRAIT.shape[:2]
    change = np.abs(injected.image.astype(int) - PORTRAIT).max(axis=2)
    assert not change[~injected.mask].any()
    assert change[injected.mask].mean() > 12
    assert 0.0015 <= injected.mask.mean() < 0.75
    assert (change >= 4)[injected.mask].mean() > 0.4  # the mask is not just a box around a speck


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("shape", [(64, 64), (96, 150), (150, 96)])
def test_works_on_small_and_oblong_pictures_without_a_face(kind: str, shape: tuple[int, int]) -> None:
    for strength in (0.0, 1.0):
        injected = inject(draw_face(*shape), np.random.default_rng(5), kind=kind, strength=strength)
        assert injected.image.shape == (*shape, 3)
        assert injected.mask.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_artifact_follows_the_face(family: str) -> None:
    upper_right_quarter = np.array([[0.5, 0, 64.0], [0, 0.5, 0]])
    face = Face.guess(128, 128).moved(upper_right_quarter)
    kind = {"text": "lettering_on_face", "objects": "torn_shape"}.get(family, FAMILIES[family][0])
    injected = inject(PORTRAIT, np.random.default_rng(0), kind=kind, strength=0.5, face=face)
    rows, columns = np.nonzero(injected.mask)
    assert rows.mean() < 64 < columns.mean()


@pytest.mark.parametrize("kind", ["doubled_eye", "third_eye", "merged_faces", "hand_on_mouth", "swollen_feature"])
@pytest.mark.parametrize("way", [-1, 1])
def test_side_views_are_possible(kind: str, way: int) -> None:
    eye = (64 + way * 12.0, 56.0)
    face = Face(eye, eye, (64 + way * 26.0, 70.0), (64 + way * 18.0, 82.0), (64 + way * 14.0, 98.0))
    assert face.is_profile and np.sign(face.facing) == way
    assert inject(PORTRAIT, np.random.default_rng(2), kind=kind, face=face).mask.any()


def test_more_strength_changes_more() -> None:
    for family in FAMILIES:
        weak, strong = (
            np.mean(
                [inject(PORTRAIT, np.random.default_rng(i), kind=family, strength=s).mask.mean() for i in range(12)]
            )
            for s in (0.1, 1.0)
        )
        assert strong > weak, family


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ghost"}, "unknown artifact 'ghost'"),
        ({"strength": 1.5}, "strength must lie in"),
        ({"image": PORTRAIT[..., 0]}, "expected a uint8 picture"),
        ({"image": PORTRAIT / 255}, "expected a uint8 picture"),
        ({"image": PORTRAIT[:20]}, "at least 32 x 32 pixels, not 128 x 20"),
    ],
)
def test_wrong_arguments_are_named(change: dict, message: str) -> None:
    arguments = {"image": PORTRAIT, "rng": np.random.default_rng(0), **change}
    with pytest.raises(ValueError, match=message):
        inject(**arguments)


def test_a_black_and_white_picture_stays_black_and_white() -> None:
    grey = np.repeat(cv2.cvtColor(PORTRAIT, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    for kind in ("odd_eye", "glowing_eyes", "held_pen", "logo", "beads", "half_denoised", "overlong_tongue"):
        changed = inject(grey, np.random.default_rng(4), kind=kind, strength=0.8).image.astype(int)
        assert np.abs(changed.max(axis=2) - changed.min(axis=2)).max() <= 24, kind
