"""Evaluate a run on a data set: ``python -m artifact_utils.metrics RUN DATA``."""

import sys
from pathlib import Path

import tyro

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.config import ConfigError
from artifact_utils.datasets import DataError
from artifact_utils.evaluation.report import report, summary
from artifact_utils.files import FileError
from artifact_utils.images import ImageError


def evaluate(
    run: tyro.conf.Positional[Path],
    data: tyro.conf.Positional[Path],
    out: Path | None = None,
    split: str = "test",
    threshold_for: str | None = None,
    robust: bool = True,
    device: str = "auto",
) -> None:
    """Evaluate a trained model on labelled pictures: metrics.json, tables, figures and one HTML page.

    Args:
        run: run folder, or a .safetensors file from one.
        data: folder made by organize_dataset.py.
        out: where the results go. Default: RUN/evaluation.
        split: train, val or test.
        threshold_for: choose another threshold on the run's validation people: macro_f1, cost=5 (a missed artifact
            costs five false alarms), recall=0.95 (at least) or false_alarms=0.01 (at most).
        robust: measure on compressed, blurred, noisy, small, dark and bright pictures, too.
        device: auto, cpu, cuda, cuda:1, mps.
    """
    result = report(run, data, out=out, split=split, threshold_for=threshold_for, robust=robust, device=device)
    print(f"{summary(result.metrics)}\n\neverything is in {result.out}: open {result.out / 'index.html'}")


def main() -> int:
    try:
        tyro.cli(evaluate)
    except (CheckpointError, ConfigError, DataError, FileError, ImageError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
