"""Harmless twins of artifacts, for the clean class: what belongs in a portrait and only resembles a fault.

Proper hands and held things away from mouth, cheek and eyes; a print on the shirt, a tattoo on the neck; a mask that
is worn, paint that was asked for. They are drawn with the tools of the families, so that the fault alone differs.
"""

from artifact_utils.synthesis.compositing import Edit
from artifact_utils.synthesis.twins.proper_hands import (
    hand_at_collar,
    hand_beside_head,
    hand_under_chin,
    thing_held_away,
    waving_hand,
)
from artifact_utils.synthesis.twins.worn_and_painted import (
    graphic_shirt,
    neck_tattoo,
    painted_cheeks,
    worn_mask,
)

TWINS: tuple[Edit, ...] = (
    hand_beside_head,
    hand_under_chin,
    hand_at_collar,
    waving_hand,
    thing_held_away,
    graphic_shirt,
    neck_tattoo,
    worn_mask,
    painted_cheeks,
)
"""A seed draws by position: new ones are appended, none changes places."""
