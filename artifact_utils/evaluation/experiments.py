"""Comparisons of several variants over several seeds, and the leaderboard of all of them.

    python -m artifact_utils.evaluation.experiments                       # the table of all runs below runs/experiments
    python -m artifact_utils.evaluation.experiments --write model-training-attempts/README.md
    python -m artifact_utils.evaluation.experiments --runs runs/portraits --by-family

A comparison is a folder with a run for every variant and seed, ``runs/experiments/05_augmentation/heavy-0``. What is
finished is kept and what was stopped is continued, so a comparison can be interrupted at any time.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from scipy import stats

from artifact_utils.config import TrainConfig, resolve
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.files import write_bytes, write_json
from artifact_utils.metrics import by_slice
from artifact_utils.runs import OF_THE_MACHINE, STATES
from artifact_utils.synthesis import FAMILY_OF
from artifact_utils.training import train

SEEDS = (0, 1, 2)
BEGIN, END = "<!-- leaderboard -->", "<!-- end of leaderboard -->"
MEASURES = {
    "macro F1": ("macro_f1",),
    "artifact recall": ("classes", "artifacts", "recall"),
    "AUC": ("roc_auc",),
}
"""What is compared, on validation, and where it is in ``metrics.json``."""


class ExperimentError(ArtifactUtilsError):
    """There is nothing to compare, or a file to write it into is not prepared for it."""


def compare(folder: Path, variants: Mapping[str, TrainConfig], *, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Train every variant with every seed, unless that is done, and measure them.

    Several comparisons have a variant in common; what one of them has trained, the others beside it take over.

    Args:
        folder: of the comparison, beside those of other comparisons.
        variants: by name; ``out``, ``seed`` and ``resume`` are filled in.
        seeds: of weights, order and augmentation. The split stays the same.

    Returns:
        The table of ``summarise``, in the order of the variants.

    Raises:
        ExperimentError: a finished run of the name was trained by another recipe.
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
    """Raise where a finished run was trained by another recipe, as far as its version had the options."""
    wanted = _recipe(_as_stored(config))
    stored = _recipe(json.loads((run / "config.json").read_text()))
    if other := [name for name in wanted.keys() & stored.keys() if wanted[name] != stored[name]]:
        raise ExperimentError(f"{run} was trained with another {', '.join(sorted(other))}: remove it to train anew")


def _take_over(config: TrainConfig, run: Path) -> bool:
    """Copy a finished run of the same recipe from a comparison beside this one, if there is any."""
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


def summarise(folder: Path) -> pd.DataFrame:
    """Mean and interval of every variant of a comparison.

    Args:
        folder: with the runs ``VARIANT-SEED``; unfinished ones are left out.

    Returns:
        One row a variant, sorted by the mean macro F1: ``seeds``, ``parameters`` (millions), ``seconds`` (of training,
        mean), and of each of ``MEASURES`` the mean and, with ``low`` and ``high`` added to the name, the 95% interval
        of the mean over the seeds (Student's t, missing with one seed). The pictures are the same for all: how results
        vary with them is not in it.

    Raises:
        ExperimentError: there is no finished run.
    """
    rows = []
    for file in sorted(folder.glob("*/metrics.json")):
        metrics = json.loads(file.read_text())
        row = {"variant": file.parent.name.rpartition("-")[0], "parameters": metrics["parameters"] / 1e6}
        row["seconds"] = metrics["train_seconds"]
        for measure, path in MEASURES.items():
            value = metrics["validation"]
            for key in path:
                value = value[key]
            row[measure] = value
        rows.append(row)
    if not rows:
        raise ExperimentError(f"no finished run in {folder}: run the notebook of that number")
    groups = pd.DataFrame(rows).groupby("variant")
    table = groups.mean()
    table.insert(0, "seeds", groups.size())
    for measure in MEASURES:
        intervals = {name: mean_interval(values) for name, values in groups[measure]}
        for place, end in ((1, "low"), (2, "high")):
            table[f"{measure} {end}"] = [intervals[name][place] for name in table.index]
    return table.sort_values("macro F1", ascending=False)


def family_table(folder: Path) -> pd.DataFrame:
    """How well each variant of a comparison finds each family of artifacts.

    Args:
        folder: with the runs ``VARIANT-SEED``; of each, ``validation.csv`` says what it answered.

    Returns:
        One row a variant, in the order of the names; of each family the mean AUC against the clean pictures and the
        mean recall over the seeds, each with its 95% interval, as text.

    Raises:
        ExperimentError: there is no finished run.
    """
    parts = []
    for file in sorted(folder.glob("*/validation.csv")):
        answers = pd.read_csv(file, keep_default_na=False)
        answers["family"] = answers["kind"].map(FAMILY_OF).fillna("")
        slices = by_slice(answers, ["family"]).assign(variant=file.parent.name.rpartition("-")[0])
        parts.append(slices)
    if not parts:
        raise ExperimentError(f"no finished run in {folder}")
    groups = pd.concat(parts).groupby(["variant", "value"])
    cells = {
        name: groups[column].agg(lambda values: _cell(*mean_interval(values)))
        for name, column in (("AUC", "roc_auc"), ("recall", "recall"))
    }
    return pd.concat({name: cell.unstack() for name, cell in cells.items()}, axis=1)  # noqa: PD010 (text, nothing to aggregate)


def mean_interval(values: pd.Series) -> tuple[float, float, float]:
    """Mean and 95% interval of the mean (Student's t; missing of a single value), of numbers up to 1."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    return values.mean(), values.mean() - half, min(values.mean() + half, 1.0)


def _cell(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f}" if np.isnan(low) else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def leaderboard(root: Path) -> str:
    """The comparisons below a folder as Markdown, a table each, the best variant first.

    Raises:
        ExperimentError: there is no finished run.
    """
    parts = []
    for folder in sorted(path for path in root.glob("*") if any(path.glob("*/metrics.json"))):
        table = summarise(folder)
        rows = [[folder.name, *MEASURES, "parameters", "seconds", "seeds"]]
        for name, row in table.iterrows():
            cells = [_cell(row[m], row[f"{m} low"], row[f"{m} high"]) for m in MEASURES]
            cells += [f"{row['parameters']:.1f} M", f"{row['seconds']:.0f}", f"{row['seeds']:.0f}"]
            rows.append([str(name), *cells])
        rows.insert(1, ["---"] * len(rows[0]))
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    if not parts:
        raise ExperimentError(f"no finished comparison in {root}: run a notebook of model-training-attempts")
    return "\n\n".join(parts)


def main(runs: Path = Path("runs/experiments"), write: Path | None = None, by_family: bool = False) -> None:
    """Print the leaderboard, or put it into a Markdown file.

    Args:
        runs: folder of the comparisons.
        by_family: take it for the folder of one comparison, and print how well each family of artifacts is found.
        write: file with the marks of the leaderboard; what is between them is replaced.

    Raises:
        ExperimentError: there is no finished run, or the file has no marks.
    """
    if by_family:
        print(family_table(runs).to_string())
        return
    table = leaderboard(runs)
    if write is None:
        print(table)
        return
    before, begin, rest = write.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ExperimentError(f"{write} has no place for the leaderboard: add the lines {BEGIN} and {END}")
    write_bytes(write, f"{before}{BEGIN}\n{table}\n{END}{after}".encode())


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except (ExperimentError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
