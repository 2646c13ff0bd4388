"""Broken pictures: parts displaced, blurred, half denoised or with a foreign surface."""

from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.glitch.displaced import (
    colour_bleed,
    ghost_copy,
    repeated_block,
    seam,
    shifted_rows,
    smear,
)
from artifact_utils.synthesis.glitch.patches import (
    blocky_patch,
    blurred_patch,
    checkerboard,
    half_denoised,
    noise_patch,
    posterised_patch,
    sharpened_patch,
)
from artifact_utils.synthesis.glitch.surfaces import glass_facets, glassy_patch, leathery_skin, light_streaks

ARTIFACTS: tuple[Artifact, ...] = (
    repeated_block,
    shifted_rows,
    checkerboard,
    noise_patch,
    smear,
    colour_bleed,
    blocky_patch,
    blurred_patch,
    sharpened_patch,
    seam,
    half_denoised,
    ghost_copy,
    posterised_patch,
    glassy_patch,
    light_streaks,
    glass_facets,
    leathery_skin,
)
"""A seed draws by position: new ones are appended, none changes places."""
SMALL: tuple[Artifact, ...] = (
    glass_facets,
    leathery_skin,
)
"""Kinds that are small in nature: the area that counts as visible is smaller."""
MODELLED = SMALL
"""Kinds modelled on what generators do: drawn more often."""
