"""Text where none belongs, in letters that only nearly are letters."""

from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.text.lettering import foreign_lettering, lettering_beside_face, lettering_on_face
from artifact_utils.synthesis.text.overlays import corner_mark, faint_credit, garbled_caption, stock_bar, watermark
from artifact_utils.synthesis.text.prints import badge, cap_print, chest_print, collar_print, shirt_print
from artifact_utils.synthesis.text.signatures import seal, signature, small_signature
from artifact_utils.synthesis.text.signs import far_sign, logo, slanted_sign

ARTIFACTS: tuple[Artifact, ...] = (
    garbled_caption,
    watermark,
    lettering_on_face,
    lettering_beside_face,
    signature,
    foreign_lettering,
    stock_bar,
    logo,
    slanted_sign,
    shirt_print,
    corner_mark,
    chest_print,
    cap_print,
    collar_print,
    badge,
    far_sign,
    small_signature,
    seal,
    faint_credit,
)
"""A seed draws by position: new ones are appended, none changes places."""
SMALL: tuple[Artifact, ...] = (
    chest_print,
    cap_print,
    collar_print,
    badge,
    far_sign,
    small_signature,
    seal,
    faint_credit,
)
"""Kinds that are small in nature: the area that counts as visible is smaller."""
MODELLED = SMALL
"""Kinds modelled on what generators do: drawn more often."""
