"""The drawing code lies in layers: the ground, the families and edits that draw with it, the door."""

import ast
from pathlib import Path

import pytest

import artifact_utils.synthesis
from artifact_utils.labels import FAMILY_NAMES

ROOT = Path(artifact_utils.synthesis.__file__).parent
PACKAGE = "artifact_utils.synthesis"
GROUND = ("geometry", "compositing", "shading", "drawing")
"""Each imports only those before it."""


def imported(file: Path) -> list[tuple[str, str]]:
    """The module below the package, and the name, of everything that a file imports from it."""
    froms = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return [(f"{node.module}."[len(PACKAGE) + 1 : -1], alias.name) for node in froms for alias in node.names
            if f"{node.module}.".startswith(f"{PACKAGE}.")]  # fmt: skip


@pytest.mark.parametrize("name", GROUND)
def test_the_ground_imports_no_family(name: str) -> None:
    assert {module for module, _ in imported(ROOT / f"{name}.py")} <= set(GROUND[: GROUND.index(name)])


@pytest.mark.parametrize("family", [*FAMILY_NAMES, "harmless"])
def test_families_and_edits_import_the_ground_and_themselves(family: str) -> None:
    modules = {module for file in (ROOT / family).glob("*.py") for module, _ in imported(file)}
    assert "geometry" in modules
    assert {module.split(".")[0] for module in modules} <= {*GROUND, family}


def test_no_private_name_crosses_files() -> None:
    for file in ROOT.rglob("*.py"):
        assert not [name for _, name in imported(file) if name.startswith("_")], file
