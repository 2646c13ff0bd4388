"""What every notebook of this repository keeps to; that they run is checked by ``pytest --nbmake``."""

import ast
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from write_address import colab_badge, notebook_with_address, read_address

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(
    [*ROOT.glob("*.ipynb"), *(ROOT / "examples").glob("*.ipynb"), *(ROOT / "model-training-attempts").glob("*.ipynb")]
)
ADDRESS = read_address(ROOT)
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|content|usr|opt|mnt|var|Users)/|[A-Z]:\\\\?Users")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return nbformat.read(path, as_version=4).cells


def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def parse(cell):
    """The cell as Python: magics and shell lines become the calls that IPython makes of them."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def outputs(cells):
    return [(cell, output) for cell in code(cells) for output in cell.outputs]


def text_of(output):
    """All that an output says in words; pictures are left out."""
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps([output.get("text", ""), data, output.get("traceback", "")])


def test_there_are_notebooks_to_check():
    assert {"EDA.ipynb", "model_evaluation.ipynb"} <= {path.name for path in NOTEBOOKS}


def test_it_opens_with_a_title_and_what_one_learns(cells):
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert "learn" in cells[0].source.lower()


def test_a_badge_opens_it_in_colab_where_the_project_has_an_address(cells, path):
    before_code = cells[: cells.index(code(cells)[0])]
    badges = re.findall(r"\[!\[.*?\]\(.*?\)\]\(.*?\)", "\n".join(cell.source for cell in before_code))
    expected = colab_badge(path.relative_to(ROOT).as_posix(), ADDRESS)
    assert badges == ([expected] if expected else [])


def test_the_first_code_cell_installs_on_colab_and_does_nothing_elsewhere(cells):
    imports, condition = parse(code(cells)[0]).body
    assert ast.unparse(imports) == "import sys"
    assert isinstance(condition, ast.If)
    assert ast.unparse(condition.test) == "'google.colab' in sys.modules"
    assert not condition.orelse
    assert ("input(" in ast.unparse(condition)) == (not ADDRESS)


def test_the_address_is_that_of_pyproject(path):
    text = path.read_text(encoding="utf-8")
    assert text == notebook_with_address(text, path.relative_to(ROOT).as_posix(), ADDRESS), (
        "run python docs/write_address.py"
    )


def test_one_cell_holds_the_parameters_and_how_to_mock_them(cells):
    tagged = [cell for cell in code(cells) if "parameters" in cell.metadata.get("tags", [])]
    mocked = [cell for cell in code(cells) if "nbmake" in cell.metadata]
    assert len(tagged) == 1
    assert mocked == tagged
    assigned = {
        target.id
        for statement in parse(tagged[0]).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    mock = tagged[0].metadata["nbmake"]["mock"]
    assert mock
    assert set(mock) <= assigned


def test_it_ends_with_asserts(cells):
    assert cells[-1].cell_type == "code"
    assert any(isinstance(statement, ast.Assert) for statement in ast.walk(parse(cells[-1])))


def test_it_was_run_from_top_to_bottom_without_an_error_or_a_warning(cells):
    assert [cell.execution_count for cell in code(cells)] == list(range(1, len(code(cells)) + 1))
    kinds = [output.output_type for _, output in outputs(cells)]
    assert "error" not in kinds
    assert [output.text for _, output in outputs(cells) if output.get("name") == "stderr"] == []


def test_what_a_cell_shows_is_in_git(cells):
    for cell in code(cells):
        body = parse(cell).body
        shows = body and isinstance(body[-1], ast.Expr) and "get_ipython()" not in ast.unparse(body[-1])
        assert cell.outputs or not shows, f"no output of:\n{cell.source}"
    kinds = Counter(kind for _, output in outputs(cells) for kind in output.get("data", {}))
    assert any(kind.startswith("image/") for kind in kinds)


def test_outputs_name_no_place_on_the_machine_it_was_run_on(cells):
    for cell, output in outputs(cells):
        assert not MACHINE_PATH.search(text_of(output)), f"a machine's path in the output of:\n{cell.source}"


def test_it_is_small_enough_for_git(path):
    assert path.stat().st_size < 2_000_000


def test_nbmake_runs_it(path):
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    place = path.relative_to(ROOT)
    assert any(place == Path(testpath) or Path(testpath) in place.parents for testpath in options["testpaths"])


def test_what_two_notebooks_need_is_defined_in_the_package():
    definitions = Counter(
        node.name
        for path in NOTEBOOKS
        for cell in code(nbformat.read(path, as_version=4).cells)
        for node in ast.walk(parse(cell))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
    assert [name for name, times in definitions.items() if times > 1] == []
