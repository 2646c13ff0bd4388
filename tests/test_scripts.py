import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("script", ["organize_dataset.py", "model_training.py", "filter_images.py"])
def test_help_shows_the_example_commands_one_to_a_line(script):
    examples = [line for line in (ROOT / script).read_text().splitlines() if line.startswith("    python ")]
    shown = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True)
    assert len(examples) >= 4
    assert set(examples) <= set(shown.stdout.splitlines())
