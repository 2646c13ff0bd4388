"""Score a folder of portraits and list, or move away, the ones with visible artifacts.

    python filter_images.py portraits                                 # portraits.scores.csv, the worst in .scores.jpg
    python filter_images.py portraits --threshold 0.7                 # be stricter or laxer; known scores are kept
    python filter_images.py portraits --ignore text                   # or --only hands,face; known scores are kept
    python filter_images.py portraits --move-flagged rejected         # move the flagged ones away
    python filter_images.py portraits --move-flagged rejected --undo  # put them back
    python filter_images.py portraits --run runs/efficientnet_lite0   # with a model of your own
    python filter_images.py portraits --labels labels.csv             # label pictures by a table (file, label)
    python filter_images.py portraits --export-labels labelled        # what you have labelled, as a data set
    python filter_images.py portraits --learn                         # or learn from it: a new run, and what it changes
    python filter_images.py portraits --rescore --run portraits.learned
    python filter_images.py s3://bucket/portraits --engine ray --scores s3://bucket/scores   # see docs/scale.md

Interrupted or killed, the same command goes on from the pictures that portraits.scores.sqlite already holds.
"""

import sys

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    if "--engine=ray" in sys.argv or ("--engine", "ray") in zip(sys.argv, sys.argv[1:], strict=False):
        from artifact_utils.scale import ScaleConfig

        options = read_arguments(ScaleConfig, __doc__)
        from artifact_utils.scale import score_urls  # PyTorch takes seconds to load: --help does not wait for it

        print(score_urls(options))
        return
    from artifact_utils.filtering import FilterConfig, move_flagged, undo

    config = read_arguments(FilterConfig, __doc__)
    if config.undo:
        print(f"{undo(config)} pictures put back from {config.move_flagged}")
        return
    if config.labels is not None:
        from artifact_utils.filtering import import_labels

        print(import_labels(config))
        if not (config.export_labels or config.learn or config.fit_generator):
            return
    if config.export_labels is not None:
        from artifact_utils.filtering import export_labels

        print(export_labels(config))
        return
    if config.learn or config.fit_generator:
        from artifact_utils.filtering import fit_generator, learn

        print(learn(config) if config.learn else fit_generator(config))
        return
    from artifact_utils.filtering import score_folder  # PyTorch takes seconds to load: --help does not wait for it

    print(score_folder(config))
    if config.move_flagged is not None:
        print(f"{move_flagged(config)} flagged pictures moved to {config.move_flagged}; --undo puts them back")


if __name__ == "__main__":
    run_cli(
        main,
        interrupted="stopped: the same command goes on from what is scored already",
        out_of_memory="choose a smaller --batch-size",
    )
