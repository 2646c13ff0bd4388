import subprocess
import sys

import pytest

from artifact_utils import evaluation, metrics, plots

HEAVY = ("torch", "sklearn", "scipy", "pandas", "matplotlib", "seaborn", "IPython", "ipywidgets")


@pytest.mark.parametrize(
    "statement",
    [
        "from artifact_utils.metrics import ThresholdRule; ThresholdRule.parse('recall=0.9')",
        "import artifact_utils.plots.web_page",
        "import artifact_utils.evaluation.leaderboard",
        "import sys; sys.argv[1:] = ['--help']; from artifact_utils.metrics.__main__ import main; main()",
    ],
)
def test_what_needs_no_arrays_or_figures_loads_none(statement):
    code = f"import atexit, sys; atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules])); {statement}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("package", [evaluation, metrics, plots])
def test_every_name_of_a_package_can_be_had(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
