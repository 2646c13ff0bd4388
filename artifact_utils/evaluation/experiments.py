"""Experiments: several variants of a config trained over several seeds.

An experiment is a folder with a run for every variant and seed, ``runs/experiments/05_augmentation/heavy-0``. Finished
runs are kept and stopped ones continued, so an experiment can be interrupted at any time. Its tables are made by
``evaluation.experiment_tables``.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from artifact_utils.config import TrainConfig, resolve
from artifact_utils.evaluation.experiment_tables import ExperimentError, summarise
from artifact_utils.files.writing import write_json
from artifact_utils.runs import OF_THE_MACHINE, STATES
from artifact_utils.training import train

SEEDS = (0, 1, 2)


def train_variants(folder: Path, variants: Mapping[str, TrainConfig], *, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Train every variant with every seed, unless that is done already.

    A run that another experiment beside this one has trained with the same config is copied.

    Args:
        folder: of the experiment, beside those of other experiments.
        variants: by name; ``out``, ``seed`` and ``resume`` are filled in.
        seeds: of weights, order and augmentation. The split stays the same.

    Returns:
        The table of ``summarise``, in the order of the variants.

    Raises:
        ExperimentError: a finished run of the name was trained with another config.
        And what ``train`` raises.
    """
    for name, config in variants.items():
        for seed in seeds:
            run, seeded = folder / f"{name}-{seed}", replace(config, seed=seed)
            if (run / "metrics.json").exists():
                _check_recipe(seeded, run)
                continue
            started = (run / "config.json").exists()
            if started or not _take_over(seeded, run):
                train(replace(seeded, out=run, resume=started))
            for state in STATES:  # a finished run is not continued, and those of large networks fill a disk
                (run / state).unlink(missing_ok=True)
    table = summarise(folder)
    return table.loc[[name for name in variants if name in table.index]]


def _check_recipe(config: TrainConfig, run: Path) -> None:
    """Raise if a finished run was trained with another config, as far as its version had the options."""
    wanted = _recipe(_as_stored(config))
    stored = _recipe(json.loads((run / "config.json").read_text()))
    if other := [name for name in wanted.keys() & stored.keys() if wanted[name] != stored[name]]:
        raise ExperimentError(f"{run} was trained with another {', '.join(sorted(other))}: remove it to train anew")


def _take_over(config: TrainConfig, run: Path) -> bool:
    """Copy a finished run of the same config from an experiment beside this one, if there is any."""
    wanted = _recipe(_as_stored(config))
    for file in sorted(run.parent.parent.glob("*/*/config.json")):
        stored = json.loads(file.read_text())
        if _recipe(stored) == wanted and (file.parent / "metrics.json").exists():
            partial = run.parent / ".partial"  # one level deeper, nobody takes it for a run
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(file.parent, partial / run.name, ignore=shutil.ignore_patterns(*STATES))
            write_json(partial / run.name / "config.json", stored | {"out": str(run)})
            (partial / run.name).replace(run)
            partial.rmdir()
            return True
    return False


def _as_stored(config: TrainConfig) -> dict[str, Any]:
    """What ``config.json`` of its run holds."""
    stored: dict[str, Any] = json.loads(json.dumps(asdict(resolve(config)), default=str))
    return stored


def _recipe(config: dict[str, Any]) -> dict[str, Any]:
    """What of a config the weights depend on."""
    return {name: value for name, value in config.items() if name not in ("out", "resume", *OF_THE_MACHINE)}
