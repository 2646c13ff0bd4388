"""Every artifact and every harmless edit, drawn once on a face of 64 px, looks as it does in the stored sheet.

    pytest -n 0 tests/synthesis/test_sheet.py --redraw

stores the sheet anew, after a change that is meant to show.
"""

from pathlib import Path

import numpy as np
import pytest
from helpers import draw_face
from PIL import Image

from artifact_utils.synthesis import FAMILIES, FAMILY_OF, KINDS, harmless_edit, inject
from artifact_utils.synthesis.harmless import EDITS

SHEET = Path(__file__).with_name("sheet.png")
SIDE, COLUMNS = 64, 14
EDIT_NAMES = tuple(edit.__name__ for edit in EDITS)
NAMES = KINDS + EDIT_NAMES + FAMILIES["gaze"]
"""From left to right and from top to bottom."""
PORTRAIT = draw_face(SIDE, SIDE)

MAX_STEP = 2
"""Grey levels by which other versions of the image libraries may differ."""
MAX_OFF, MAX_SHARE_OFF = 60, 0.001
"""Pixels of a picture, and share of the whole sheet, that may differ by more: rims of masks and of letters."""


def draw(name: str) -> np.ndarray:
    rng = np.random.default_rng(NAMES.index(name))
    if name in FAMILY_OF:
        return inject(PORTRAIT, rng, kind=name, strength=0.8).image
    return harmless_edit(PORTRAIT, rng, kinds=(name,))[0]


def cell(sheet: np.ndarray, name: str) -> np.ndarray:
    row, column = divmod(NAMES.index(name), COLUMNS)
    return sheet[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


def n_off(one: np.ndarray, other: np.ndarray) -> int:
    return int((np.abs(one.astype(int) - other).max(axis=2) > MAX_STEP).sum())


def n_allowed(picture: np.ndarray) -> int:
    """At most a third of what a small artifact changes at all."""
    return min(MAX_OFF, n_off(picture, PORTRAIT) // 3)


@pytest.fixture(scope="module")
def stored(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    if request.config.getoption("--redraw"):
        sheet = np.zeros((-(-len(NAMES) // COLUMNS) * SIDE, COLUMNS * SIDE, 3), np.uint8)
        for name in NAMES:
            cell(sheet, name)[:] = draw(name)
        Image.fromarray(sheet).save(SHEET, optimize=True)
    with Image.open(SHEET) as image:
        sheet = np.asarray(image)
    return {name: cell(sheet, name) for name in NAMES}


def test_everything_looks_as_stored(stored: dict[str, np.ndarray]) -> None:
    off = {name: n_off(draw(name), stored[name]) for name in NAMES}
    assert {name: n for name, n in off.items() if n > n_allowed(stored[name])} == {}
    assert sum(off.values()) <= MAX_SHARE_OFF * len(off) * SIDE**2


@pytest.mark.parametrize("names", [KINDS, EDIT_NAMES], ids=["artifacts", "edits"])
def test_no_two_could_change_places_unnoticed(stored: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    for name in names:
        allowed = n_allowed(stored[name])
        assert [other for other in names if n_off(stored[other], stored[name]) <= allowed] == [name]
