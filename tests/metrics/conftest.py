"""Scores that several files of tests use."""

import numpy as np
import pytest


@pytest.fixture
def scored():
    """200 pictures, 20 with an artifact, scored by a fairly good model."""
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], [180, 20])
    probabilities = np.clip(rng.normal(0.25 + 0.45 * targets, 0.18), 0, 1)
    return probabilities, targets


@pytest.fixture
def random_case(seed):
    """Adversarial on purpose: few or many pictures, rare classes, ties, saturated scores."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 120))
    targets = (rng.random(n) < rng.choice([0.05, 0.5, 0.95])).astype(int)
    targets[:2] = 0, 1
    probabilities = np.clip(rng.normal(0.5, 0.4, n), 0, 1)  # many at 0 and at 1
    return np.round(probabilities, int(rng.integers(0, 4))), targets, float(rng.choice([0.0, 0.3, 0.5, 1.0]))
