"""A detector on artifacts that generators made themselves, against clean portraits that it was not trained on.

    python benchmarks/natural_artifacts.py portraits [--run runs/clip_vit_b16] [--threshold 0.6]
    python benchmarks/natural_artifacts.py portraits --run runs/without_sd3 --unseen "faker-js person portraits"

The folder holds labels.csv with the columns file, label (artifact, clean or hand), source, note, held_out and hand.
Clean portraits count where they are held out, or of a source that --unseen says the run was trained without. The
intervals are over pictures: bootstrap of the AUC, Wilson's of the shares.
"""

import csv
from pathlib import Path

import numpy as np
import tyro

from artifact_utils.console import read_arguments, run_cli
from artifact_utils.detector import Detector
from artifact_utils.images import ImageError
from artifact_utils.metrics import evaluate
from artifact_utils.metrics.bootstrap import share_interval

PAINTED = ("StableDiffusion-CheatSheet", "Easy Diffusion style thumbnails", "Midjourney-DND-Reference")
KINDS = {
    "signature or watermark": ("signature", "watermark"),
    "text": ("text", "logo", "letter", "print"),
    "hand": ("hand", "finger"),
    "mouth, teeth, tongue": ("mouth", "teeth", "tongue", "lip"),
    "eyes, ears, other parts of the face": ("eye", "ear ", "nose", "brow", "cheek", "forehead"),
}
"""Words of the note that tell a kind, the first that is met; all others are objects and glitches."""


def main(
    folder: tyro.conf.Positional[Path],
    run: Path | None = None,
    threshold: float | None = None,
    unseen: tuple[str, ...] = (),
) -> None:
    """Print the tables."""
    detector = Detector.load(run, threshold=threshold) if run else Detector.from_pretrained(threshold=threshold)
    with (folder / "labels.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if counts(row, unseen)]
    found = dict(detector.predict_files([folder / row["file"] for row in rows]))
    for row in rows:
        prediction = found[folder / row["file"]]
        if isinstance(prediction, ImageError):
            raise prediction
        row["probability"], row["family"] = str(prediction.probability), prediction.family
    artifacts, clean = [[row for row in rows if (row["label"] == "artifact") is side] for side in (True, False)]
    print(f"threshold {detector.threshold:.3f}\n\nAUC of natural artifacts against clean portraits")
    for style in ("photographic", "painted"):
        of_style = [row for row in artifacts if style_of(row) == style]
        for source in sorted({row["source"] for row in clean if style_of(row) == style}):
            show_auc(
                f"{style}, against {source}", of_style, [row for row in clean if row["source"] == source], detector
            )
    show_auc("all", artifacts, clean, detector)
    print("\nnatural artifacts found")
    for style in ("photographic", "painted"):
        show_share(style, [row for row in artifacts if style_of(row) == style], detector)
    for kind in sorted({kind_of(row) for row in artifacts}):
        show_share(f"  {kind}", [row for row in artifacts if kind_of(row) == kind], detector)
    print("\nclean portraits flagged")
    for source in sorted({row["source"] for row in clean}):
        show_share(source, [row for row in clean if row["source"] == source], detector)


def counts(row: dict[str, str], unseen: tuple[str, ...]) -> bool:
    """Whether a row is measured on; hands at the face are not, since people disagree on them."""
    if row["label"] == "artifact":
        return True
    return row["hand"] != "at_face" and bool(row["held_out"] or row["source"] in unseen)


def style_of(row: dict[str, str]) -> str:
    return "painted" if row["source"] in PAINTED else "photographic"


def kind_of(row: dict[str, str]) -> str:
    note = f"{row['note'].lower()} "
    return next((kind for kind, words in KINDS.items() if any(word in note for word in words)), "objects, glitches")


def show_auc(name: str, artifacts: list[dict[str, str]], clean: list[dict[str, str]], detector: Detector) -> None:
    scores = np.array([float(row["probability"]) for row in [*artifacts, *clean]])
    targets = np.repeat([1, 0], [len(artifacts), len(clean)])
    measured = evaluate(scores, targets, detector.threshold, n_bootstrap=2000)
    low, high = measured["intervals"]["roc_auc"]
    print(f"{name:60} {measured['roc_auc']:.3f} [{low:.3f}, {high:.3f}]  {len(artifacts)} against {len(clean)}")


def show_share(name: str, rows: list[dict[str, str]], detector: Detector) -> None:
    n = sum(float(row["probability"]) >= detector.threshold for row in rows)
    low, high = share_interval(n, len(rows))
    print(f"{name:60} {n / len(rows):5.1%} [{low:.1%}, {high:.1%}]  {n} of {len(rows)}")


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
