"""The kinds of artifact: how they are sorted and drawn."""

import importlib
import pkgutil

import numpy as np
import pytest
from helpers import draw_face

import artifact_utils.synthesis
from artifact_utils.labels import FAMILY_NAMES, OFF_BY_DEFAULT
from artifact_utils.synthesis import FAMILIES, FAMILY_OF, FAMILY_SHARES, KINDS, draw_kind, inject

PORTRAIT = draw_face()


def test_families_are_deep() -> None:
    assert len(KINDS) == len(set(KINDS))
    assert all(len(kinds) >= (5 if family == "gaze" else 10) for family, kinds in FAMILIES.items())


def test_family_or_nothing_draws_a_kind() -> None:
    rng = np.random.default_rng(0)
    assert {inject(PORTRAIT, rng, kind="glitch").kind for _ in range(20)} <= set(FAMILIES["glitch"])
    drawn = [inject(PORTRAIT, rng) for _ in range(30)]
    assert len({injected.kind for injected in drawn}) > 10
    assert all(0.2 <= injected.strength <= 1 for injected in drawn)


def test_families_and_their_names_agree() -> None:
    assert tuple(FAMILIES) == FAMILY_NAMES
    assert set(FAMILY_SHARES) == set(FAMILY_NAMES) - set(OFF_BY_DEFAULT) and sum(
        FAMILY_SHARES.values()
    ) == pytest.approx(1)
    assert [(FAMILY_OF[kind], kind) for kind in KINDS] == [
        (f, kind) for f, kinds in FAMILIES.items() for kind in kinds if f != "gaze"
    ]


def test_a_seed_draws_the_kinds_that_it_always_drew() -> None:
    rng = np.random.default_rng(0)
    assert [draw_kind(rng) for _ in range(8)] == [
        "doubled_mouth", "hand_on_mouth", "fused_microphone", "carved_tongue",
        "drawn_wrinkles", "strap", "tube", "armour_piece",
    ]  # fmt: skip
    four = ("wires", "seam", "fist", "third_eye")
    assert [draw_kind(rng, four) for _ in range(4)] == [
        "wires",
        "third_eye",
        "seam",
        "third_eye",
    ]


def test_no_public_name_hides_a_module() -> None:
    packages = [artifact_utils.synthesis]
    for package in packages:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            found = importlib.import_module(module.name)
            assert getattr(package, module.name.rsplit(".", 1)[1]) is found
            packages += [found] if module.ispkg else []
    assert len(packages) == 9
