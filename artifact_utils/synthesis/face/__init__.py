"""Faces gone wrong: features, skin and proportions."""

from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.face.distortions import (
    broken_jaw,
    crumpled_face,
    melted_face,
    merged_faces,
    shifted_feature,
    swirled_feature,
    swollen_feature,
    uneven_halves,
)
from artifact_utils.synthesis.face.eyes import (
    doubled_eye,
    eye_flares,
    glowing_eyes,
    missing_eye,
    odd_eye,
    red_irises,
    sealed_eye,
    third_eye,
    wandering_eye,
)
from artifact_utils.synthesis.face.mouths import bad_teeth, doubled_mouth, overlong_tongue, smeared_mouth
from artifact_utils.synthesis.face.noses_and_ears import broken_ear, doubled_nose, shifted_nose
from artifact_utils.synthesis.face.open_mouths import carved_tongue, double_tongue, long_tongue, tooth_rows
from artifact_utils.synthesis.face.skin import drawn_wrinkles, folded_skin, jaw_seam

ARTIFACTS: tuple[Artifact, ...] = (
    melted_face,
    swirled_feature,
    swollen_feature,
    shifted_feature,
    crumpled_face,
    doubled_eye,
    third_eye,
    doubled_mouth,
    merged_faces,
    odd_eye,
    wandering_eye,
    glowing_eyes,
    missing_eye,
    sealed_eye,
    smeared_mouth,
    bad_teeth,
    overlong_tongue,
    doubled_nose,
    shifted_nose,
    broken_jaw,
    broken_ear,
    uneven_halves,
    folded_skin,
    long_tongue,
    double_tongue,
    carved_tongue,
    tooth_rows,
    red_irises,
    eye_flares,
    drawn_wrinkles,
    jaw_seam,
)
"""A seed draws by position: new ones are appended, none changes places."""
SMALL: tuple[Artifact, ...] = (
    red_irises,
    eye_flares,
    drawn_wrinkles,
    jaw_seam,
)
"""Kinds that are small in nature: the area that counts as visible is smaller."""
MODELLED: tuple[Artifact, ...] = (long_tongue, double_tongue, carved_tongue, tooth_rows, *SMALL)
"""Kinds modelled on what generators do: drawn more often."""
