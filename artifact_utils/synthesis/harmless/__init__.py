"""Edits without a fault, for the clean class: they keep a model from learning "was edited" instead of "is broken".

Many mirror an artifact: the same drawing, where and as it belongs.
"""

from artifact_utils.synthesis.compositing import Edit
from artifact_utils.synthesis.harmless.accessories import (
    brooch,
    drop_earrings,
    earrings,
    glasses,
    necklace,
    scarf,
    shoulder_strap,
)
from artifact_utils.synthesis.harmless.camera import (
    closer_crop,
    film_grain,
    rain,
    recoded,
    resized_and_back,
    sharpened,
    side_light,
    soft_focus,
)
from artifact_utils.synthesis.harmless.complexion import beauty_spot, freckles, lipstick, other_eye_colour, skin_shine
from artifact_utils.synthesis.harmless.surroundings import (
    dyed_clothes,
    dyed_hair,
    far_lettering,
    loose_hair,
    patterned_cloth,
    tinted_background,
)
from artifact_utils.synthesis.harmless.undone import copied_in_place, pasted_back, warped_and_back

EDITS: tuple[Edit, ...] = (
    pasted_back,
    soft_focus,
    side_light,
    glasses,
    freckles,
    dyed_clothes,
    tinted_background,
    earrings,
    necklace,
    dyed_hair,
    closer_crop,
    resized_and_back,
    recoded,
    sharpened,
    film_grain,
    rain,
    beauty_spot,
    lipstick,
    shoulder_strap,
    scarf,
    far_lettering,
    warped_and_back,
    copied_in_place,
    drop_earrings,
    patterned_cloth,
    brooch,
    loose_hair,
    other_eye_colour,
    skin_shine,
)
"""A seed draws by position: new ones are appended, none changes places."""
