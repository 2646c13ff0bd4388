"""Evaluate a run on a data set, with everything written down as files and one HTML page.

    python -m artifact_utils.metrics runs/efficientnet_lite0 dataset
    python -m artifact_utils.metrics runs/efficientnet_lite0 dataset --threshold-for recall=0.95 --no-robust

The results go to RUN/evaluation, or to the folder that --out names.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    from tyro.conf import Positional

    @dataclass(frozen=True)
    class Arguments:
        run: Positional[Path]
        """Run folder, or a .safetensors file from one."""
        data: Positional[Path]
        """Folder made by organize_dataset.py."""
        out: Path | None = None
        """Where the results go. Default: RUN/evaluation."""
        split: str = "test"
        """train, val or test."""
        threshold_for: str | None = None
        """Choose another threshold on the run's validation people: macro_f1, cost=5 (a missed artifact costs five false
        alarms), recall=0.95 (at least) or false_alarms=0.01 (at most)."""
        robust: bool = True
        """Measure on compressed, blurred, noisy, small, dark and bright pictures, too."""
        device: str = "auto"
        """auto, cpu, cuda, cuda:1, mps."""

    arguments = read_arguments(Arguments, __doc__)
    from artifact_utils.evaluation.report import format_report, write_report

    report = write_report(**asdict(arguments))
    print(f"{format_report(report.metrics)}\n\neverything is in {report.out}: open {report.out / 'index.html'}")


if __name__ == "__main__":
    run_cli(main)
