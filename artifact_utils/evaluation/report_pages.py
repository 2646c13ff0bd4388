"""Pages and figures of runs and audits that exist, for a menu: nothing else in their folders can be reached by it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGES = {
    "evaluation/index.html": "evaluation",
    "summary.png": "summary",
    "curves.png": "learning curves",
    "confusion_matrix.png": "confusion matrix",
    "leaks.png": "near-duplicates between splits",
}
"""What a run folder may hold, and what it is called."""


@dataclass(frozen=True)
class ReportPage:
    """One page or figure."""

    title: str
    file: Path


def run_pages(runs: Iterable[Path]) -> list[ReportPage]:
    """What there is of these run folders, run by run."""
    return [
        ReportPage(f"{run.name}: {title}", run / name)
        for run in runs
        for name, title in PAGES.items()
        if (run / name).is_file()
    ]


def list_runs(parent: Path) -> list[Path]:
    """The run folders below a folder, the latest first; none if it is not there."""
    if not parent.is_dir():
        return []
    found = [run for run in parent.iterdir() if (run / "best.safetensors").is_file()]
    return sorted(found, key=lambda run: (run / "best.safetensors").stat().st_mtime, reverse=True)


def audit_pages(folder: Path) -> list[ReportPage]:
    """The page of an audit that was written to a folder, if it was."""
    page = folder / "report.html"
    return [ReportPage("audit of this folder", page)] if page.is_file() else []
