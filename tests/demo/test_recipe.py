"""The demo set shows what it always showed, evenly spread."""

from collections import Counter

from artifact_utils.demo.recipe import DEMO_EDITS, DEMO_FAMILIES, plan_split
from artifact_utils.synthesis import FAMILIES, KINDS
from artifact_utils.synthesis.harmless import EDITS


def test_kinds_are_balanced_over_families() -> None:
    tasks = plan_split("train", 1800, 0.1, seed=0)
    kinds = Counter(task.kind for task in tasks)
    assert kinds.pop("") == 1620
    per_family = {family: sum(kinds[kind] for kind in members) for family, members in DEMO_FAMILIES.items()}
    assert set(per_family.values()) == {36}
    for members in DEMO_FAMILIES.values():
        counts = [kinds[kind] for kind in members]
        assert max(counts) - min(counts) <= 1


def test_the_set_stays_as_it_is_when_the_engine_grows() -> None:
    frozen = [kind for kinds in DEMO_FAMILIES.values() for kind in kinds]
    assert len(frozen) == 33 and set(frozen) < set(KINDS)
    assert {family: FAMILIES[family][: len(kinds)] for family, kinds in DEMO_FAMILIES.items()} == DEMO_FAMILIES
    assert tuple(edit.__name__ for edit in EDITS[: len(DEMO_EDITS)]) == DEMO_EDITS
    kinds = [task.kind for task in plan_split("train", 40, 0.1, seed=0) if task.kind]
    assert kinds == ["stray_fingers", "crumpled_face", "signature", "tube"]


def test_artifacts_are_spread_over_people_as_clean_pictures_are() -> None:
    tasks = plan_split("train", 1800, 0.1, seed=0)
    people = Counter(task.base.person for task in tasks if task.kind)
    assert len(people) == 8
    assert min(people.values()) >= 10
