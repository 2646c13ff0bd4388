"""Make a run the detector that comes with the package, in half precision: pretrained/portraits.safetensors.

    python -m artifact_utils.pretrained runs/efficientnet_lite0
    python -m artifact_utils.pretrained runs/efficientnet_lite0 --threshold 0.6

The weights there are replaced. The threshold is the run's own unless --threshold names another.
"""

from dataclasses import dataclass
from pathlib import Path

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    from tyro.conf import Positional

    @dataclass(frozen=True)
    class Arguments:
        run: Positional[Path]
        """Run folder, or a .safetensors file from one."""
        threshold: float | None = None
        """In [0, 1], instead of the one that was chosen on the validation people."""

    arguments = read_arguments(Arguments, __doc__)
    from artifact_utils.detector import package

    package(arguments.run, arguments.threshold)


if __name__ == "__main__":
    run_cli(main)
