"""What is put into a picture takes its tone and grain, and only what can be seen is left of it."""

import cv2
import numpy as np
import pytest
from helpers import draw_face

from artifact_utils.synthesis.compositing import grain, seamless, settle

PORTRAIT = draw_face()


def test_settle_undoes_invisible_steps() -> None:
    changed = PORTRAIT.astype(np.float32) + 2
    changed[40:60, 40:60] += 50
    image, mask = settle(PORTRAIT, changed)
    assert np.array_equal(image[~mask], PORTRAIT[~mask])
    assert mask[42:58, 42:58].all() and mask.sum() < 500


def test_grain_is_measured() -> None:
    noise = np.random.default_rng(0).normal(0, 5, (64, 64, 1)).astype(np.float32)
    assert grain(np.full((64, 64, 3), 128, np.float32) + noise) == pytest.approx(5, rel=0.25)


def test_seamless_blend_takes_the_tone_of_its_surroundings() -> None:
    image = np.full((64, 64, 3), 100, np.float32)
    patch = np.full((64, 64, 3), 140, np.float32)
    patch[30:34, 30:34] = 20  # the feature that is to be seen
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:44, 20:44] = 1
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)
    blended = seamless(image, patch, alpha, 10)
    assert blended[32, 22].mean() == pytest.approx(100, abs=8)
    assert blended[32, 32].mean() < 30
