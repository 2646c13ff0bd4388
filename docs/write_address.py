"""Writes the address of the git repository into the notebooks and the README; without an address it removes it there.

    python docs/write_address.py

The address is `Repository` under [project.urls] in pyproject.toml: set or remove it there, then run this. It changes
the bootstrap cell of each notebook, the markdown cell above it, and one line of README.md, and nothing else. Badges
are for GitHub: Colab opens notebooks from nowhere else.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from artifact_utils.console import ArtifactUtilsError, read_arguments, run_cli

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ("*.ipynb", "examples/*.ipynb", "model-training-attempts/*.ipynb")
IN_README = "EDA.ipynb"  # the notebook that the README's badge opens
BADGE = re.compile(r"\[!\[Open in Colab\]\(.*?\)\]\(.*?\)")
COLAB = "https://colab.research.google.com"


class AddressError(ArtifactUtilsError):
    """An address, a notebook or a README that cannot be used."""


def main() -> None:
    read_arguments(rewrite, __doc__)


def rewrite() -> None:
    address = read_address(ROOT)
    changed = write_address(ROOT, address)
    print(f"{address or 'no address'}: {len(changed)} files changed")
    for path in changed:
        print(path.relative_to(ROOT).as_posix())


def read_address(root: Path) -> str:
    """The address in ``root/pyproject.toml``, empty where none is set.

    Raises:
        AddressError: it is not the address of a page (``https://...``).
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "").strip().rstrip("/").removesuffix(".git")
    if address and not re.fullmatch(r"https?://[\w.:~%+-]+(/[\w.~%+-]+)+", address):
        raise AddressError(f"pyproject.toml: Repository is {address!r}, not like https://github.com/OWNER/REPO")
    return address


def write_address(root: Path, address: str) -> list[Path]:
    """Write ``address`` into all notebooks and the README under ``root``; returns the files that changed.

    Raises:
        AddressError: a notebook has no bootstrap cell, or the README no title; nothing has been written then.
    """
    from artifact_utils.files.writing import write_bytes

    new = {
        path: notebook_with_address(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), address)
        for path in sorted(path for pattern in NOTEBOOKS for path in root.glob(pattern))
    }
    readme = root / "README.md"
    new[readme] = readme_with_address(readme.read_text(encoding="utf-8"), address)
    changed = [path for path, text in new.items() if text != path.read_text(encoding="utf-8")]
    for path in changed:
        write_bytes(path, new[path].encode())
    return changed


def notebook_with_address(text: str, place: str, address: str) -> str:
    """A notebook, as text, with the badge and the bootstrap cell for that address.

    Args:
        text: the notebook as JSON.
        place: its path in the repository, such as ``model-training-attempts/07_backbones.ipynb``.
        address: empty for none: no badge then, and the bootstrap cell asks.

    Raises:
        AddressError: there is no bootstrap cell with a markdown cell above it.
    """
    notebook = json.loads(text)
    introduction, bootstrap = _bootstrap_cells(notebook["cells"], place)
    introduction["source"] = _introduction(place, address).splitlines(keepends=True)
    bootstrap["source"] = _bootstrap(place, address).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def readme_with_address(text: str, address: str) -> str:
    """The README with a badge in the line under its title, or without.

    Raises:
        AddressError: it does not begin with a title.
    """
    title, _, rest = text.partition("\n")
    if not title.startswith("# "):
        raise AddressError("README.md: expected a title in its first line")
    first, _, others = rest.lstrip("\n").partition("\n")
    body = others.lstrip("\n") if BADGE.fullmatch(first) else f"{first}\n{others}"
    badge = colab_badge(IN_README, address)
    return "\n\n".join([title, badge, body] if badge else [title, body])


def colab_badge(place: str, address: str) -> str:
    """The badge that opens a notebook in Colab; empty unless the address is one of GitHub."""
    github = re.fullmatch(r"https?://(?:www\.)?github\.com/([^/]+/[^/]+)", address)
    if not github:
        return ""
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{github[1]}/blob/main/{place})"


def _bootstrap_cells(cells: list[dict[str, Any]], place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The markdown cell with the badge and the bootstrap cell under it, the first one with code."""
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), 0)
    introduction, bootstrap = cells[first - 1], cells[first]
    sources = ["".join(cell["source"]) for cell in (introduction, bootstrap)]
    if first < 2 or "Colab" not in sources[0] or "google.colab" not in sources[1]:
        raise AddressError(
            f"{place}: no bootstrap cell for Colab: copy the first code cell of another notebook, and the cell above it"
        )
    return introduction, bootstrap


def _introduction(place: str, address: str) -> str:
    if not address:
        return (
            "On Colab, the next cell asks for the address of this project's git repository, clones and installs it; "
            "anywhere else it does nothing."
        )
    badge = colab_badge(place, address)
    sentence = "On Colab, the next cell clones and installs the project; anywhere else it does nothing."
    return f"{badge}\n\n{sentence}" if badge else sentence


def _bootstrap(place: str, address: str) -> str:
    question = "Address of this project's git repository (https://...), to clone and install it here: "
    lines = [
        "import sys",
        "",
        'if "google.colab" in sys.modules:',
        f'    repository = "{address}"' if address else f'    repository = input("{question}")',
        '    !git clone --depth 1 "{repository}" artifact-detector',
        "    %cd artifact-detector",
        "    %pip install -q -r requirements.txt",
    ]
    folder = Path(place).parent.as_posix()
    if folder != ".":  # the package lies one folder up, and a running kernel does not see what pip has just linked
        lines += [f"    %cd {folder}", '    sys.path.append("..")']
    return "\n".join(lines)


if __name__ == "__main__":
    run_cli(main)
