"""What learning from a person's labels gains, on natural artifacts: learn from some, measure on the rest.

    python benchmarks/learning.py portraits --run runs/clip_vit_b16 --source StableDiffusion-CheatSheet
    python benchmarks/learning.py portraits --run runs/clip_vit_b16 --source SFHQ-T2I --no-fault text,signature,logo

The folder holds labels.csv with the columns file, label (artifact or clean), source, group, note and held_out. Clean
portraits that are not held out may have been in training and stand in for the rest of the folder: artifacts are made on
some of them. Near-duplicates are not looked for: groups are the pictures themselves, or --by-group those of the table.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from artifact_utils.console import read_arguments, run_cli
from artifact_utils.detector import Detector, pretrained_file
from artifact_utils.filtering.lesson_views import Seer
from artifact_utils.filtering.lessons import Labels, Lesson, cross_validate, joined, scores, teach, untaught
from artifact_utils.labels import ARTIFACT, CLEAN
from artifact_utils.metrics.bootstrap import percentile_interval


@dataclass(frozen=True)
class Arguments:
    folder: tyro.conf.Positional[Path]
    run: Path | None = None
    source: str = "StableDiffusion-CheatSheet"
    clean_source: str = ""
    """Of the clean portraits, where it is another one; then all of them count, held out or not."""
    no_fault: str = ""
    """Words, with commas between them: artifacts whose note has one of them are none to this person."""
    n_labels: tuple[int, ...] = (40, 80, 160)
    seeds: int = 10
    beside: int = 50
    by_group: bool = False
    """Whether the groups of the table are kept on one side."""
    validate: bool = False
    """Whether what cross-validation among the labels says is measured, too: takes far longer."""
    kept: Path | None = None
    """File that what the model makes of the pictures is kept in."""


def main(arguments: Arguments) -> None:
    torch.set_num_threads(1)
    rows = read_rows(arguments)
    file = arguments.run / "best.safetensors" if arguments.run else pretrained_file()
    detector = Detector.load(file)
    views, clean, made = see(arguments, rows, detector)
    words = [word for word in arguments.no_fault.split(",") if word]
    labels = [row["label"] == "artifact" and not any(word in row["note"] for word in words) for row in rows]
    targets = np.array(labels, dtype=np.int64)
    groups = np.unique([row["group"] for row in rows], return_inverse=True)[1]
    groups = groups if arguments.by_group else np.arange(len(rows))
    plain = untaught(views, detector.info.temperature, detector.threshold)
    print(f"{len(rows)} pictures, {targets.sum()} with an artifact; as it is: AUC {auc(views, plain, targets):.3f}")
    print(
        "labels   AUC before     after    change    found before  after    false alarms before  after    [95% of seeds]"
    )
    half = len(clean) // 2
    halves = np.repeat([CLEAN, ARTIFACT], [half, half])
    for n in arguments.n_labels:
        results = []
        for seed in range(arguments.seeds):
            rng = np.random.default_rng(seed)
            learned = choose(groups, n, rng)
            rest = np.flatnonzero(~learned)
            learned = np.flatnonzero(learned)
            if min(np.bincount(targets[learned], minlength=2)) < 5 or min(np.bincount(targets[rest], minlength=2)) < 5:
                continue
            beside = joined(clean[slice(0, half)], made[slice(0, half)])
            given = Labels(views[learned], targets[learned], groups[learned], beside, halves)
            lesson = teach(given, detector.info.temperature)
            results.append(
                measure(views[rest], plain, targets[rest])
                | {f"{k} after": v for k, v in measure(views[rest], lesson, targets[rest]).items()}
                | {
                    "made": auc(
                        joined(clean[half:], made[half:]), lesson, np.repeat([CLEAN, ARTIFACT], len(clean) - half)
                    )
                }
            )
            if arguments.validate:
                said, _ = cross_validate(given, detector.info.temperature)
                before = roc_auc_score(given.targets, scores(given.views, plain))
                results[-1]["estimate"] = roc_auc_score(given.targets, said) - before
        show(n, results)
    untouched = auc(joined(clean[half:], made[half:]), plain, np.repeat([CLEAN, ARTIFACT], len(clean) - half))
    print(f"made artifacts on other clean portraits: AUC as it is {untouched:.3f}")


def read_rows(arguments: Arguments) -> list[dict[str, str]]:
    """The pictures that are labelled and measured on."""
    with (arguments.folder / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    other = arguments.clean_source
    return [
        row
        for row in rows
        if (row["label"] == "artifact" and row["source"] == arguments.source)
        or (row["label"] == "clean" and row["source"] == (other or arguments.source) and (other or row["held_out"]))
    ]


def see(arguments: Arguments, rows: list[dict[str, str]], detector: Detector) -> Any:
    """What the model makes of the pictures, and of others of the source, clean and with a made artifact."""
    if arguments.kept and arguments.kept.exists():
        return torch.load(arguments.kept, weights_only=False)
    with (arguments.folder / "labels.csv").open(newline="") as table:
        known = {row["file"] for row in rows}
        others = [
            row["file"]
            for row in csv.DictReader(table)
            if row["label"] == "clean" and row["source"] == arguments.source and row["file"] not in known
        ]
    rng = np.random.default_rng(0)
    others = [others[i] for i in rng.permutation(len(others))[: 2 * arguments.beside]]
    with Seer(detector, len(rows) + 2 * len(others), None) as seer:
        kept, views = seer.see(arguments.folder / row["file"] for row in rows)
        assert len(kept) == len(rows)
        _, clean, made = seer.see_with_made([arguments.folder / name for name in others], rng)
    if arguments.kept:
        torch.save((views, clean, made), arguments.kept)
    return views, clean, made


def choose(groups: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """About n pictures in whole groups."""
    chosen = np.zeros(len(groups), dtype=bool)
    for group in rng.permutation(np.unique(groups)):
        if chosen.sum() + (groups == group).sum() <= 1.1 * n:
            chosen |= groups == group
        if chosen.sum() >= n:
            break
    return chosen


def auc(views: Any, lesson: Lesson, targets: np.ndarray) -> float:
    return float(roc_auc_score(targets, scores(views, lesson)))


def measure(views: Any, lesson: Lesson, targets: np.ndarray) -> dict[str, float]:
    flagged = (scores(views, lesson) >= float(logit(np.clip(lesson.threshold, 1e-9, 1 - 1e-9)))).numpy()
    return {
        "AUC": auc(views, lesson, targets),
        "found": float(flagged[targets == ARTIFACT].mean()),
        "alarms": float(flagged[targets == CLEAN].mean()),
    }


def show(n: int, results: list[dict[str, float]]) -> None:
    """A line: means over the seeds, and of the change in AUC the interval that holds 95% of them."""
    if not results:
        print(f"{n:<9}too few of a class")
        return
    mean = {name: np.mean([row[name] for row in results]) for name in results[0]}
    changes = np.array([row["AUC after"] - row["AUC"] for row in results])
    low, high = percentile_interval(changes) or (np.nan, np.nan)
    estimate = f"   cross-validated change {mean['estimate']:+.3f}" if "estimate" in mean else ""
    print(
        f"{n:<9}{mean['AUC']:.3f}          {mean['AUC after']:.3f}     {changes.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        f"   {mean['found']:.2f}   {mean['found after']:.2f}        {mean['alarms']:.2f}   {mean['alarms after']:.2f}"
        f"   made {mean['made']:.3f}{estimate}",
        flush=True,
    )


if __name__ == "__main__":
    run_cli(lambda: main(read_arguments(Arguments, __doc__)))
