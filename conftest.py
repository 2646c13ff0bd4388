"""How the tests and the notebooks share the cores, whichever of them pytest is asked to run."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for all that pytest starts: its processes share the cores among them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process takes the notebooks, which share what they download and train; the others a file of tests each."""
    for item in items:
        group = "notebooks" if item.path.suffix == ".ipynb" else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
