"""What the documents promise: their commands can be parsed, their flags exist, their links lead somewhere."""

import ast
import functools
import json
import re
import runpy
import shlex
import shutil
import sys
import types
from pathlib import Path

import pytest
import tyro

import artifact_utils.console

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "MODEL_CARD.md", "model-training-attempts/README.md", "test_data/README.md", "docs/scale.md"]
NOTEBOOKS = ["*.ipynb", "examples/*.ipynb", "model-training-attempts/*.ipynb"]
MODULES = ["*.py", "artifact_utils/**/*.py", "benchmarks/*.py", "docs/*.py"]
COMMAND = re.compile(r"(?:python |torchrun .*?|`(?=\S+\.py --))(-m artifact_utils[\w.]*|[\w/]+\.py)\b([^`\n]*)")


def prose(path):
    """The text of a Markdown file, the Markdown cells of a notebook, the docstring of a module without its names."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return re.sub(r"``.*?``", "", ast.get_docstring(ast.parse(text)) or "")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return text


def documents():
    found = [ROOT / name for name in DOCUMENTS]
    return [*found, *(path for pattern in (*NOTEBOOKS, *MODULES) for path in sorted(ROOT.glob(pattern)))]


def commands(text):
    """``["model_training.py", "--resume"]`` and so on, in the order of the text."""
    found = []
    for program, arguments in COMMAND.findall(text.replace("\\\n", " ")):
        arguments = re.sub(r"[][]", "", arguments.partition("&&")[0]).replace("$family", "hands")  # [--n 60]: optional
        found.append([*shlex.split(program), *shlex.split(arguments, comments=True)])
    return found


COMMANDS = sorted({tuple(command) for path in documents() for command in commands(prose(path))})


class ParsedError(BaseException):
    """Raised in place of the work that a command would do."""


@pytest.fixture
def parse(monkeypatch):
    """Run a command up to where its arguments are read."""
    read = tyro.cli

    def read_only(options, **settings):
        if isinstance(options, types.FunctionType):  # tyro would call it
            options = functools.wraps(options)(lambda *_, **__: None)
        read(options, **settings)
        raise ParsedError

    monkeypatch.setattr(tyro, "cli", read_only)
    monkeypatch.setattr(artifact_utils.console, "run_cli", lambda main, **_: main())

    def run(command):
        monkeypatch.setattr(sys, "argv", list(command[1:] if command[0] == "-m" else command))
        try:
            if command[0] == "-m":
                runpy.run_module(command[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(ROOT / command[0]), run_name="__main__")
        except ParsedError:
            return
        raise AssertionError(f"{command} read no arguments")

    return run


def test_the_commands_of_all_documents_are_found():
    assert ("model_training.py",) in COMMANDS
    assert ("organize_dataset.py", "--source", "portraits", "--artifact-label", "0") in COMMANDS
    assert ("-m", "artifact_utils.metrics", "runs/efficientnet_lite0", "dataset") in COMMANDS
    assert any("--twins" in command and "--gaze" in command for command in COMMANDS)  # over two lines


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize("command", [command for command in COMMANDS if "--help" not in command], ids=" ".join)
def test_a_documented_command_can_be_parsed(parse, command):
    parse(command)


@pytest.mark.parametrize("command", [["model_training.py", "--no-such-flag"], ["filter_images.py"]])
def test_a_wrong_command_cannot(parse, command, capsys):
    with pytest.raises(SystemExit):
        parse(command)


def test_help_keeps_the_lines_of_example_commands():
    """ruff takes their indent away where nothing follows them, and tyro then runs them together: add a sentence."""
    modules = [path for path in documents() if path.suffix == ".py"]
    assert [path for path in modules if re.search(r"^python ", prose(path), re.MULTILINE)] == []


def test_flags_that_a_document_names_exist(parse, capsys):
    for program in (
        ["model_training.py"],
        ["organize_dataset.py"],
        ["filter_images.py"],
        ["-m", "artifact_utils.metrics"],
        ["-m", "artifact_utils.export"],
    ):
        with pytest.raises(SystemExit, match="0"):
            parse([*program, "--help"])
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert "--synthetic-fraction" in known
    for name in DOCUMENTS[:3]:
        for code in re.findall(r"`([^`\n]+)`", prose(ROOT / name)):
            if code.startswith("--"):
                assert set(re.findall(r"--[\w-]+", code)) <= known, f"{name}: {code}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings(name):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(ROOT / name)):
        path, _, heading = target.partition("#")
        document = (ROOT / name).parent / path if path else ROOT / name
        assert document.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings], target


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    shutil.copy(ROOT / "test_data" / "test" / "image_00006_1.jpg", tmp_path / "portrait.png")
    monkeypatch.chdir(tmp_path)
    code, _ = re.findall(r"```python\n(.*?)```", prose(ROOT / "README.md"), re.DOTALL)  # the other: test_export.py
    names: dict = {}
    exec(code, names)
    assert names["detector"].predict("portrait.png").probability >= 0
