import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from write_address import AddressError, colab_badge, read_address, readme_with_address, write_address

ROOT = Path(__file__).parents[1]
GITHUB = "https://github.com/someone/portraits"
ELSEWHERE = "https://git.example.org/someone/portraits"
INNER = "model-training-attempts/07_backbones.ipynb"


@pytest.fixture
def repository(tmp_path):
    """Two real notebooks and the README, with no address."""
    for name in ("EDA.ipynb", INNER, "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    write_address(tmp_path, "")
    return tmp_path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cells(notebook):
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def test_an_address_on_github_is_written_everywhere_with_badges(repository):
    changed = write_address(repository, GITHUB)
    assert {path.relative_to(repository).as_posix() for path in changed} == {"EDA.ipynb", INNER, "README.md"}
    for place in ("EDA.ipynb", INNER):
        introduction, bootstrap = (source(cell) for cell in cells(repository / place)[1:3])
        badge = f"https://colab.research.google.com/github/someone/portraits/blob/main/{place}"
        assert introduction.startswith("[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](")
        assert f"]({badge})\n" in introduction
        assert f'repository = "{GITHUB}"' in bootstrap
        assert "input(" not in bootstrap
    title, _, badge = (repository / "README.md").read_text().splitlines()[:3]
    assert title.startswith("# ")
    assert badge == colab_badge("EDA.ipynb", GITHUB)


def test_an_address_elsewhere_is_written_without_badges(repository):
    readme = (repository / "README.md").read_bytes()
    write_address(repository, ELSEWHERE)
    for place in ("EDA.ipynb", INNER):
        introduction, bootstrap = (source(cell) for cell in cells(repository / place)[1:3])
        assert "[![" not in introduction
        assert f'repository = "{ELSEWHERE}"' in bootstrap
    assert (repository / "README.md").read_bytes() == readme


@pytest.mark.parametrize("address", [GITHUB, ELSEWHERE])
def test_removing_the_address_restores_every_byte(repository, address):
    before = contents(repository)
    write_address(repository, address)
    assert contents(repository) != before
    write_address(repository, "")
    assert contents(repository) == before


@pytest.mark.parametrize("address", ["", GITHUB, ELSEWHERE])
def test_a_second_run_changes_nothing(repository, address):
    write_address(repository, address)
    before = contents(repository)
    assert write_address(repository, address) == []
    assert contents(repository) == before


def test_only_the_bootstrap_cell_and_the_one_above_it_change(repository):
    before = json.loads((repository / INNER).read_text(encoding="utf-8"))
    write_address(repository, GITHUB)
    after = json.loads((repository / INNER).read_text(encoding="utf-8"))
    for cell in (*before["cells"][1:3], *after["cells"][1:3]):
        cell.pop("source")
    assert after == before


def test_a_readme_gets_one_badge_whatever_address_it_had():
    text = "# Title\n\nWhat it is.\n\n    a command\n"
    first = readme_with_address(text, GITHUB)
    assert first == f"# Title\n\n{colab_badge('EDA.ipynb', GITHUB)}\n\nWhat it is.\n\n    a command\n"
    other = "https://github.com/other/fork"
    assert readme_with_address(first, other) == first.replace("someone/portraits", "other/fork")
    assert readme_with_address(first, "") == text


def test_a_notebook_without_a_bootstrap_cell_is_named_and_nothing_is_written(repository):
    notebook = json.loads((repository / INNER).read_text(encoding="utf-8"))
    del notebook["cells"][1:3]
    (repository / INNER).write_text(json.dumps(notebook), encoding="utf-8")
    before = contents(repository)
    with pytest.raises(AddressError, match=r"07_backbones.ipynb: no bootstrap cell"):
        write_address(repository, GITHUB)
    assert contents(repository) == before


@pytest.mark.parametrize(
    ("urls", "address"),
    [
        ("", ""),
        ("[project.urls]", ""),
        ('[project.urls]\nDocumentation = "https://example.org"', ""),
        ('[project.urls]\nRepository = ""', ""),
        (f'[project.urls]\nRepository = "{GITHUB}"', GITHUB),
        (f'[project.urls]\nRepository = "{GITHUB}.git"', GITHUB),
        (f'[project.urls]\nRepository = "{GITHUB}/"', GITHUB),
        (f'[project.urls]\nRepository = "{ELSEWHERE}"', ELSEWHERE),
    ],
)
def test_the_address_comes_from_pyproject(tmp_path, urls, address):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}\n')
    assert read_address(tmp_path) == address


@pytest.mark.parametrize("address", ["someone/portraits", "git@github.com:someone/portraits", 'https://a.b/c\\"; rm x'])
def test_what_is_no_address_is_refused(tmp_path, address):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n[project.urls]\nRepository = "{address}"\n')
    with pytest.raises(AddressError, match=r"Repository is .*not like https://github.com/OWNER/REPO"):
        read_address(tmp_path)


RUN_ON_COLAB = """
import sys, types
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.register_magic_function(lambda line: print("pip", line), magic_name="pip")
if {on_colab}:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
shell.user_ns["input"] = lambda question: print(question) or {typed!r}
shell.run_cell(open({cell!r}).read()).raise_error()
import os
print("in", os.getcwd())
if {on_colab}:
    shell.run_cell("import at_the_top_of_the_repository").raise_error()
"""


def run_cell(notebook, folder, *, typed="", on_colab=True):
    """Run the bootstrap cell in IPython with ``pip`` only printed; returns stdout."""
    folder.mkdir()
    cell = folder / "cell.py"
    cell.write_text(source(cells(notebook)[2]))
    script = RUN_ON_COLAB.format(on_colab=on_colab, typed=typed, cell=str(cell))
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="no git to clone with")
@pytest.mark.parametrize("place", ["EDA.ipynb", INNER])
@pytest.mark.parametrize("asks", [True, False])
def test_on_colab_the_cell_clones_installs_and_can_import_from_the_clone(repository, tmp_path, place, asks):
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    (repository / "at_the_top_of_the_repository.py").touch()  # as the package is
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all of it"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    address = f"file://{repository}"
    if not asks:
        write_address(repository, address)
    shown = run_cell(repository / place, tmp_path / "content", typed=address)
    clone = tmp_path / "content" / "artifact-detector"
    assert ("Address of this project's git repository" in shown) == asks
    assert "pip install -q -r requirements.txt" in shown
    assert f"in {(clone / place).parent}\n" in shown


def test_outside_colab_the_cell_does_nothing(repository, tmp_path):
    shown = run_cell(repository / "EDA.ipynb", tmp_path / "content", on_colab=False)
    assert f"in {tmp_path / 'content'}\n" in shown
    assert "Address" not in shown
    assert not (tmp_path / "content" / "artifact-detector").exists()
