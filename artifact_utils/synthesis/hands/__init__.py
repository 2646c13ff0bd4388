"""Deformed, extra and misplaced hands: drawn ones and photographed ones."""

from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.hands.drawn_hands import (
    bent_fingers,
    extra_fingers,
    fist,
    fused_fingers,
    hand_on_cheek,
    hand_on_chin,
    hand_on_eyes,
    hand_on_mouth,
    merged_hands,
    missing_fingers,
    sausage_fingers,
    stray_fingers,
)
from artifact_utils.synthesis.hands.grafted_hands import (
    clasped_hands,
    grafted_hand,
    hand_below,
    hand_beside,
    loose_fingers,
)
from artifact_utils.synthesis.hands.held_things import held_pen, held_phone, held_syringe

ARTIFACTS: tuple[Artifact, ...] = (
    hand_on_mouth,
    hand_on_cheek,
    fused_fingers,
    fist,
    stray_fingers,
    hand_on_eyes,
    hand_on_chin,
    extra_fingers,
    missing_fingers,
    bent_fingers,
    sausage_fingers,
    merged_hands,
    held_pen,
    held_syringe,
    held_phone,
    grafted_hand,
    hand_beside,
    hand_below,
    clasped_hands,
    loose_fingers,
)
"""A seed draws by position: new ones are appended, none changes places."""
SMALL: tuple[Artifact, ...] = ()
MODELLED: tuple[Artifact, ...] = (
    grafted_hand,
    hand_beside,
    hand_below,
    clasped_hands,
    loose_fingers,
)
"""Kinds modelled on what generators do: drawn more often."""
