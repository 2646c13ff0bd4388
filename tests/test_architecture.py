"""The plan of the package, held by its imports: which module may use which, and what is loaded when."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import artifact_utils

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "artifact_utils"
SCRIPTS = ("organize_dataset.py", "model_training.py", "filter_images.py", "app.py")

LAYERS = (
    (
        "console",
        "labels",
        "files",
        "images",
        "config",
        "predictions",
        "device",
        "distributed",
        "faces",
    ),
    (
        "synthesis",
        "metrics",
        "losses",
        "audit.duplicates",
        "audit.hashing",
        "audit.alignment",
        "audit.descriptors",
        "audit.picture_statistics",
        "audit.neighbours",
        "audit.scanning",
        "audit.table_parts",
        "audit.threads",
    ),
    ("portraits", "datasets", "masks", "sampling", "squares", "transforms", "loaders"),
    ("backbones", "models", "checkpoints", "exported", "detector", "kept_features"),
    ("evaluation.measuring", "evaluation.grounding", "explain", "plots"),
    ("runs", "evaluation.run_results", "training"),
    ("evaluation", "audit", "export"),
    ("organize", "demo", "filtering", "scale", "page", "pretrained"),
)
"""From the ground up. A module may import from its own layer and from those below it, a ``__main__`` from all."""

UPWARD = {
    "config": {"backbones.networks", "backbones.weights", "checkpoints", "metrics.thresholds"},
    "export": {"demo.openpeople"},
}
"""Imports of a higher layer, allowed inside functions only: module -> modules."""

HEAVY = ("torch", "sklearn", "pandas", "matplotlib", "timm", "gradio", "fastapi")


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name below it: ``datasets``, ``audit.issues``, ``audit`` for its __init__."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


@cache
def exported(package: str) -> dict[str, str]:
    """Where a package's ``__init__`` has its names from, the lazy ones too: name -> module."""
    found = {}
    for node in ast.walk(ast.parse(modules()[package].read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}".startswith("artifact_utils."):
            found |= {name.name: str(node.module).removeprefix("artifact_utils.") for name in node.names}
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            texts = [
                (k.value, v.value) for k, v in pairs if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)
            ]
            found |= {str(name): f"{package}.{where}" for name, where in texts if f"{package}.{where}" in modules()}
    return found


@cache
def imports(module: str) -> tuple[tuple[str, str, bool], ...]:
    """The package's own modules that one imports: (module, name or "", whether inside a function)."""
    tree = ast.parse(modules()[module].read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {id(node) for function in functions for node in ast.walk(function)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(name.name, "", id(node) in inner) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports by absolute names only"
            found += [(str(node.module), name.name, id(node) in inner) for name in node.names]
    resolved = []
    for where, name, inside in found:
        if where.split(".")[0] == "artifact_utils":
            where = where.removeprefix("artifact_utils").lstrip(".")
            below = f"{where}.{name}".lstrip(".")
            if below in modules():
                where, name = below, ""
            elif where in modules() and modules()[where].name == "__init__.py" and not module.startswith(f"{where}."):
                where = exported(where).get(name, where)
            resolved.append((where, name, inside))
    return tuple(resolved)


def layer(module: str) -> int:
    """Index of the layer with the longest name that holds it."""
    if module.endswith("__main__"):
        return len(LAYERS)
    matches = [
        (len(name), i)
        for i, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    assert matches, f"{module} is in no layer"
    return max(matches)[1]


def test_every_module_imports_from_its_layer_or_below():
    upward = [
        (module, other, inside)
        for module in modules()
        for other, _, inside in imports(module)
        if other and layer(other) > layer(module)
    ]
    assert not [f"{module} imports {other}" for module, other, inside in upward if not inside]
    found: dict[str, set[str]] = {}
    for module, other, _ in upward:
        found.setdefault(module, set()).add(other)
    assert found == UPWARD


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: {other for other, _, inside in imports(module) if not inside and other} for module in modules()}
    state: dict[str, str] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        if state.get(module) == "done" or module not in graph:
            return
        assert state.get(module) != "open", " -> ".join([*path, module])
        state[module] = "open"
        for other in sorted(graph[module]):
            visit(other, (*path, module))
        state[module] = "done"

    for module in graph:
        visit(module, ())


def test_no_private_name_is_imported_from_another_file():
    assert not [f"{m} imports {n} from {o}" for m in modules() for o, n, _ in imports(m) if n.startswith("_")]


def test_no_two_modules_have_one_name():
    seen: dict[str, list[str]] = {}
    for module, path in modules().items():
        if path.name not in ("__init__.py", "__main__.py", "command.py"):  # the same role in every subpackage
            seen.setdefault(path.stem, []).append(module)
    for package in {path.parent for path in modules().values()}:
        if package != PACKAGE:
            seen.setdefault(package.name, []).append(f"{package.name}/")
    assert {name: where for name, where in seen.items() if len(where) > 1} == {}
    assert not {"utils", "helpers", "common"} & set(seen)


def test_module_docstrings_say_what_the_module_holds():
    for path in (*modules().values(), PACKAGE / "__init__.py", *(ROOT / script for script in SCRIPTS)):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert docstring, f"{path} has no docstring"
        assert not docstring.startswith("More"), path


def test_broad_except_clauses_say_why():
    silent = []
    for path in (*modules().values(), *(ROOT / script for script in SCRIPTS)):
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"Exception"}
            if names & {"Exception", "BaseException", "ValueError"} and "  # " not in lines[node.lineno - 1]:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert silent == []


def loaded_after(code: str) -> set[str]:
    """The top-level and package modules that a fresh interpreter has loaded after some code."""
    code = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    return set(json.loads(shown.stderr.splitlines()[-1]))


def test_the_detector_loads_nothing_that_it_does_not_need():
    loaded = loaded_after("import artifact_utils.detector")
    unwanted = ("sklearn", "IPython", "ipywidgets", "seaborn", "pytorch_grad_cam", "artifact_utils.synthesis")
    assert not loaded & set(unwanted)


def entry_points() -> list[str]:
    """The scripts, and each module that runs as ``python -m``."""
    runnable = [module for module, path in modules().items() if '\nif __name__ == "__main__":' in path.read_text()]
    return [*SCRIPTS, *runnable]


@pytest.mark.parametrize("entry", entry_points())
def test_help_of_every_entry_point_comes_before_anything_heavy(entry):
    if entry.endswith(".py"):
        run = f"runpy.run_path({str(ROOT / entry)!r}, run_name='__main__')"
    else:
        run = (
            f"runpy.run_module('artifact_utils.{entry.removesuffix('.__main__')}', run_name='__main__', alter_sys=True)"
        )
    code = (
        "import runpy\nsys.argv = ['command', '--help']\n"
        f"try:\n    {run}\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert not loaded_after(code) & set(HEAVY)


PUBLIC_NAMES = """
import importlib, types
import artifact_utils
def names():
    for name in artifact_utils.__all__:
        assert not isinstance(getattr(artifact_utils, name), types.ModuleType), name
def submodules():
    for name in {submodules}:
        importlib.import_module(f"artifact_utils.{{name}}")
"""


@pytest.mark.parametrize("order", ["names(); submodules(); names()", "submodules(); names()"])
def test_public_names_survive_the_import_of_every_submodule(order):
    submodules = [module for module in modules() if not module.endswith("__main__")]
    loaded = loaded_after(PUBLIC_NAMES.format(submodules=submodules) + order)
    assert {f"artifact_utils.{module}" for module in submodules} <= loaded
    assert not set(artifact_utils.__all__) & {module.split(".")[0] for module in modules()}


def test_public_names_are_imported_when_they_are_used():
    assert not loaded_after("import artifact_utils\nassert 'Detector' in dir(artifact_utils)") & set(HEAVY)
    loaded_after("from artifact_utils import Detector, FocalLoss\nassert Detector.__name__ == 'Detector'")
    with pytest.raises(AttributeError, match="module 'artifact_utils' has no attribute 'nothing'"):
        artifact_utils.nothing  # noqa: B018


def test_the_map_names_every_module_and_subpackage_once():
    named = re.findall(r"^``(\w+)``", str(artifact_utils.__doc__), re.MULTILINE)
    assert sorted(named) == sorted({module.split(".")[0] for module in modules()} | {"pretrained"})
