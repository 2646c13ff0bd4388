"""Making artifacts on clean portraits, with masks: one folder per family, one function per artifact.

>>> import numpy as np
>>> from artifact_utils.synthesis import inject
>>> portrait = np.full((256, 256, 3), 128, np.uint8)
>>> changed = inject(portrait, np.random.default_rng(0), kind="strap", strength=0.8)
>>> changed.kind, changed.mask.shape
('strap', (256, 256))

``injection`` draws a kind from ``families`` and calls its function; the functions lie in ``hands``, ``face``, ``text``,
``objects``, ``glitch`` and ``gaze``, the edits without a fault in ``harmless`` and ``twins``. All of them draw with
``geometry``, ``compositing``, ``shading`` and ``drawing``.

Every artifact is a function ``(image, rng, strength, face) -> image`` on float32 pictures in 0..255; to add one, write
it and append it to its family's ``ARTIFACTS``. The functions return no mask: ``inject`` compares the pictures.
"""

from artifact_utils.synthesis.families import FAMILIES, FAMILY_OF, FAMILY_SHARES, KINDS, draw_kind
from artifact_utils.synthesis.injection import Injected, harmless_edit, inject
from artifact_utils.synthesis.twins import TWINS

__all__ = [
    "FAMILIES",
    "FAMILY_OF",
    "FAMILY_SHARES",
    "KINDS",
    "TWINS",
    "Injected",
    "draw_kind",
    "harmless_edit",
    "inject",
]
