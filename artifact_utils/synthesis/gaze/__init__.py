"""Eyes that look elsewhere than at the camera: the portrait's own irises, moved. Many call it no fault."""

from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.gaze.moved_irises import averted_gaze, crossed_gaze, parted_gaze, stray_gaze, uneven_gaze

ARTIFACTS: tuple[Artifact, ...] = (averted_gaze, parted_gaze, crossed_gaze, uneven_gaze, stray_gaze)
"""A seed draws by position: new ones are appended, none changes places."""
SMALL: tuple[Artifact, ...] = ARTIFACTS
"""Kinds that are small in nature: the area that counts as visible is smaller."""
MODELLED: tuple[Artifact, ...] = ()
"""Kinds modelled on what generators do: drawn more often."""
