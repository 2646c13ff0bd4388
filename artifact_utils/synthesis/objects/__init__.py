"""Things across, on and beside the face that do not belong there."""

from artifact_utils.synthesis.compositing import Artifact
from artifact_utils.synthesis.objects.fragments import nonsense_object, shards
from artifact_utils.synthesis.objects.hair import hair_ring, hair_strands, mouth_lock
from artifact_utils.synthesis.objects.headgear import fused_glasses, fused_microphone, half_glasses
from artifact_utils.synthesis.objects.jewellery import (
    armour_piece,
    beads,
    face_specks,
    floating_earring,
    stray_jewellery,
    stray_tassel,
)
from artifact_utils.synthesis.objects.on_skin import drawn_lines, paint_patch, paint_stripes, scars, torn_shape
from artifact_utils.synthesis.objects.straps import cloth_scrap, face_wires, strap, tube, wires

ARTIFACTS: tuple[Artifact, ...] = (
    strap,
    tube,
    wires,
    cloth_scrap,
    torn_shape,
    paint_stripes,
    paint_patch,
    armour_piece,
    hair_strands,
    fused_glasses,
    scars,
    beads,
    shards,
    stray_jewellery,
    drawn_lines,
    floating_earring,
    stray_tassel,
    face_wires,
    face_specks,
    half_glasses,
    mouth_lock,
    hair_ring,
    fused_microphone,
    nonsense_object,
)
"""A seed draws by position: new ones are appended, none changes places."""
SMALL: tuple[Artifact, ...] = (
    floating_earring,
    stray_tassel,
    face_wires,
    face_specks,
    half_glasses,
    mouth_lock,
    hair_ring,
    fused_microphone,
)
"""Kinds that are small in nature: the area that counts as visible is smaller."""
MODELLED: tuple[Artifact, ...] = (*SMALL, nonsense_object)
"""Kinds modelled on what generators do: drawn more often."""
