"""Draw the picture at the top of the README: test portraits, their probabilities and heat maps of a trained run.

    python docs/draw_detections.py --run artifact_utils/pretrained/portraits.safetensors --data dataset

Shown are the found artifact of each family that covers most of its picture, the missed artifacts, and the clean
portraits with the highest probability: eight pictures in all.
"""

from pathlib import Path

from artifact_utils.console import read_arguments, run_cli

N_PICTURES = 8


def draw(run: Path, data: Path, out: Path = Path(__file__).parent / "detections.jpg") -> None:
    """Draw portraits of the test people with the predictions of a run.

    Args:
        run: run folder.
        data: folder made by organize_dataset.py.
        out: picture to write.
    """
    import numpy as np

    from artifact_utils.detector import Detector
    from artifact_utils.evaluation.measuring import measure
    from artifact_utils.evaluation.report import with_slices
    from artifact_utils.explain import heat_map
    from artifact_utils.images import load_image
    from artifact_utils.plots import plot_where
    from artifact_utils.portraits import list_portraits

    detector, portraits = Detector.load(run), list_portraits(data, "test")
    table = with_slices(measure(detector, portraits, root=data, n_bootstrap=0).predictions, portraits)
    artifacts = table[table["target"] == 1].sort_values("area", ascending=False)
    found = artifacts[artifacts["predicted"] == 1].drop_duplicates("family").sort_values("family")
    missed = artifacts[artifacts["predicted"] == 0].head(N_PICTURES - len(found) - 1)
    n_clean = N_PICTURES - len(found) - len(missed)
    clean = table[table["target"] == 0].sort_values("probability", ascending=False).head(n_clean)
    pictures, captions = [], []
    for rows, remark in ((found, ""), (missed, " (missed)"), (clean, " (clean)")):
        for row in rows.itertuples():
            pictures.append(np.asarray(load_image(data / row.path)))
            captions.append(f"{row.probability:.2f}{remark}")
    figure = plot_where(pictures, [heat_map(detector, picture) for picture in pictures], captions, columns=N_PICTURES)
    figure.savefig(out, dpi=130, pil_kwargs={"quality": 88})
    print(f"{out}: pictures from {detector.threshold:.2f} on are flagged")


if __name__ == "__main__":
    run_cli(lambda: read_arguments(draw, __doc__))
