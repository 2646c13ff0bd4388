"""What training on clean portraits of one generator gains there: as the start is, from scratch, and from the start.

    python benchmarks/new_generator.py portraits --source SFHQ-T2I --start "runs/without SFHQ" [--n 250]

The folder holds labels.csv with the columns file, label, source and hand. ``n`` clean portraits of the source are
trained on, its other ones are measured on, against its natural artifacts. --start
names a run that has seen nothing of the source. Every portrait trained on is clean: all artifacts are made.
"""

import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro

from artifact_utils.config import TrainConfig
from artifact_utils.console import read_arguments, run_cli
from artifact_utils.detector import Detector
from artifact_utils.images import ImageError
from artifact_utils.metrics import evaluate
from artifact_utils.metrics.bootstrap import share_interval
from artifact_utils.training import train


def main(
    folder: tyro.conf.Positional[Path],
    start: Path,
    source: str = "SFHQ-T2I",
    n: int = 250,
    seed: int = 0,
    threshold_for: str = "macro_f1",
    out: Path | None = None,
) -> None:
    """Print the table."""
    with (folder / "labels.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["source"] == source and row["hand"] != "at_face"]
    clean = [row for row in rows if row["label"] != "artifact"]
    chosen = set(np.random.default_rng(seed).choice(len(clean), n, replace=False).tolist())
    measured = [row for i, row in enumerate(clean) if i not in chosen] + [r for r in rows if r["label"] == "artifact"]
    with tempfile.TemporaryDirectory() as home:
        data, runs = Path(home) / "data", out or Path(home)
        for i in sorted(chosen):
            file = folder / clean[i]["file"]
            place = data / "train" / "no_artifacts" / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())
        recipe = {
            "data": data, "arch": "clip_vit_b16", "synthetic_fraction": 1.0, "threshold_for": threshold_for,
            "test": False, "device": "cpu", "seed": seed,
        }  # fmt: skip
        show("as it is", start, folder, measured)
        for name, options in (("from scratch", {}), ("from the start", {"init": str(start)})):
            began = time.perf_counter()
            run = train(TrainConfig(out=runs / f"{name.replace(' ', '_')}-{seed}", **recipe, **options))  # type: ignore[arg-type]
            show(f"{name}, {time.perf_counter() - began:.0f} s", run, folder, measured)


def show(name: str, run: Path, folder: Path, rows: list[dict[str, str]]) -> None:
    """A row: AUC, natural artifacts found and clean portraits flagged at the run's threshold."""
    detector = Detector.load(run)
    found = dict(detector.predict_files([folder / row["file"] for row in rows]))
    scores = []
    for row in rows:
        prediction = found[folder / row["file"]]
        if isinstance(prediction, ImageError):
            raise prediction
        scores.append(prediction.probability)
    targets = np.array([row["label"] == "artifact" for row in rows], dtype=np.int64)
    flagged = np.array(scores) >= detector.threshold
    result = evaluate(np.array(scores), targets, detector.threshold, n_bootstrap=2000)
    low, high = result["intervals"]["roc_auc"]
    line = f"{name:24} AUC {result['roc_auc']:.3f} [{low:.3f}, {high:.3f}]"
    for what, label in (("found", 1), ("clean flagged", 0)):
        k, of = int(flagged[targets == label].sum()), int((targets == label).sum())
        low, high = share_interval(k, of)
        line += f"  {what} {k / of:.1%} [{low:.1%}, {high:.1%}]"
    print(f"{line}  {of} clean, threshold {detector.threshold:.3f}", flush=True)


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
