"""A real browser on a page: where it is, and what no page of ours may make it do."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from artifact_utils.filtering.judging import write_details
from artifact_utils.filtering.options import FilterConfig
from artifact_utils.filtering.state import Score, open_state
from artifact_utils.predictions import Place, Prediction, verdict

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ("sandbox", "first-run"), ("gpu", "quic", "background-networking", "component-update", "sync")
ARGUMENTS = [*(f"--no-{name}" for name in OPTIONS[0]), *(f"--disable-{name}" for name in OPTIONS[1])]
SHOTS = os.environ.get("PAGE_SCREENSHOTS")
"""Folder that screenshots are kept in."""


class Watched:
    """What went wrong in a tab: requests to other hosts, errors of scripts, dialogs that nobody asked for."""

    def __init__(self, tab, url: str) -> None:
        self.faults: list[str] = []
        own = (url, "data:", "blob:", "about:")
        tab.on("request", lambda r: None if r.url.startswith(own) else self.faults.append(f"asked {r.url}"))
        tab.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))


@contextlib.contextmanager
def opened(browser, url: str, **options) -> Iterator:
    """A tab of a visitor of their own, with nothing wrong at the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    try:
        tab = context.new_page()
        watched = Watched(tab, url)
        tab.goto(url)
        yield tab
        assert watched.faults == []
    finally:
        context.close()


def keep_screenshot(tab, name: str, *, full: bool = True) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=full)


def make_scores(config: FilterConfig, families: tuple[str, ...]) -> dict[str, float]:
    """Write scores of all pictures, so that none has to be scored: k of n gets k / n, the families in turn."""
    sha256 = hashlib.sha256((config.run / "best.safetensors").read_bytes()).hexdigest()
    files = sorted(config.folder.iterdir())
    made = {}
    with open_state(config) as state:
        state.use_model(sha256, 0.5, counted=families, families=families, sharpness=1.0)
        scores = []
        for k, file in enumerate(files):
            status, p = file.stat(), (k + 0.5) / len(files)
            chances = {name: p if k % len(families) == i else 0.0 for i, name in enumerate(families)}
            made[file.name] = verdict(chances, families, 1.0)
            said = Prediction(p, p >= 0.5, "", chances, dict.fromkeys(families, Place(1, 1, 0, 0, 9, 9)))
            times = status.st_size, status.st_mtime_ns, status.st_ctime_ns
            scores.append(Score(os.fsencode(file.name), made[file.name], "", *times, write_details(said)))
        state.add_scores(scores)
    return made
