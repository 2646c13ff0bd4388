"""The recipe of the demo set: which people, artifacts and edits it shows, and which picture gets which.

Whatever is listed here is frozen: ``synthesis`` grows, the pictures of this set stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from artifact_utils.demo.openpeople import Base, bases

RECIPE = 2
"""Number of the recipe; it goes up whenever the same parameters would give other pictures."""

SPLITS = ("train", "test")
"""Their positions are part of the seeds."""

TEST_PEOPLE = ("P003", "P007")
"""Never in train: a fair woman with straight brown hair and a dark man with a crown of curls."""

DEMO_FAMILIES: dict[str, tuple[str, ...]] = {
    "hands": ("hand_on_mouth", "hand_on_cheek", "fused_fingers", "fist", "stray_fingers"),
    "face": (
        "melted_face",
        "swirled_feature",
        "swollen_feature",
        "shifted_feature",
        "crumpled_face",
        "doubled_eye",
        "third_eye",
        "doubled_mouth",
        "merged_faces",
    ),
    "text": ("garbled_caption", "watermark", "lettering_on_face", "lettering_beside_face", "signature"),
    "objects": ("strap", "tube", "wires", "cloth_scrap", "torn_shape", "paint_stripes", "paint_patch"),
    "glitch": (
        "repeated_block",
        "shifted_rows",
        "checkerboard",
        "noise_patch",
        "smear",
        "colour_bleed",
        "blocky_patch",
    ),
}
"""The kinds of artifact in the demo set, by family."""

DEMO_EDITS = ("pasted_back", "soft_focus", "side_light", "glasses", "freckles", "dyed_clothes", "tinted_background")
"""The harmless edits of the demo set."""

HARMLESS_SHARE = 0.3
STRENGTHS = (0.55, 1.0)
JPEG_QUALITIES = (80, 96)
"""All three are drawn alike for both classes, except that only artifacts have a strength."""


@dataclass(frozen=True)
class Task:
    """One picture to make. ``kind`` is empty for a clean one."""

    split: str
    index: int
    base: Base
    kind: str

    def name(self, suffix: str) -> str:
        return f"image_{self.index:05d}_{int(bool(self.kind))}{suffix}"

    def rng(self, seed: int) -> np.random.Generator:
        """The generator that everything in this picture is drawn from, whatever the others draw."""
        return np.random.default_rng(np.random.SeedSequence([seed, SPLITS.index(self.split), self.index]))


def plan_split(split: str, n: int, artifact_fraction: float, seed: int) -> list[Task]:
    """Which portrait and which artifact each picture of a split gets; the two are drawn independently."""
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    people = [p for p in sorted(bases()) if (p in TEST_PEOPLE) == (split == "test")]
    places = [base for person in people for base in bases()[person]]
    order = np.concatenate([rng.permutation(len(places)) for _ in range(n // len(places) + 1)])[:n]
    n_artifacts = round(artifact_fraction * n)
    kinds = [""] * (n - n_artifacts) + _balanced_kinds(rng, n_artifacts)
    return [
        Task(split, index + 1, places[int(place)], kinds[int(kind)])
        for index, (place, kind) in enumerate(zip(order, rng.permutation(n), strict=True))
    ]


def _balanced_kinds(rng: np.random.Generator, n: int) -> list[str]:
    """``n`` kinds of artifact, families and the kinds within each as balanced as possible."""
    queues = {family: [kinds[int(i)] for i in rng.permutation(len(kinds))] for family, kinds in DEMO_FAMILIES.items()}
    families = [list(queues)[int(i)] for i in rng.permutation(len(queues))]
    chosen = []
    for i in range(n):
        queue = queues[families[i % len(families)]]
        chosen.append(queue[i // len(families) % len(queue)])
    return chosen
