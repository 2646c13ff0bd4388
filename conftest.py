"""How the processes that pytest starts share the cores, whichever tests or notebooks it is asked to run."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two with two threads each would wait for each other


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redraw", action="store_true", help="store the sheet of tests/synthesis/test_sheet.py anew")
