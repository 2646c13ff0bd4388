"""Light and colour are read from the picture."""

import numpy as np
from helpers import draw_face

from artifact_utils.faces import Face
from artifact_utils.synthesis.shading import skin_mask, skin_ramp

PORTRAIT = draw_face()


def test_skin_ramp_takes_the_colour_of_the_face() -> None:
    portrait = PORTRAIT.astype(np.float32)
    ramp = skin_ramp(portrait, skin_mask(portrait, Face.guess(128, 128)))
    assert ramp.shape == (256, 3)
    assert (np.diff(ramp.sum(axis=1)) >= -1e-3).all()  # from dark to light
    assert np.abs(ramp - [200, 150, 125]).max(axis=1).min() < 12
