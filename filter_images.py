"""Score a folder of portraits and list, or move away, the ones with visible artifacts.

    python filter_images.py portraits                                 # scores.csv, and the worst in scores.jpg
    python filter_images.py portraits --threshold 0.7                 # be stricter or laxer; known scores are kept
    python filter_images.py portraits --move-flagged rejected         # move the flagged ones away
    python filter_images.py portraits --move-flagged rejected --undo  # put them back
    python filter_images.py portraits --run runs/efficientnet_lite0   # with a model of your own

Interrupted or killed, the same command goes on from the pictures that the table already holds.
"""

import sys

import tyro

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.config import ConfigError
from artifact_utils.files import FileError
from artifact_utils.filtering.scoring import FilterConfig, move_flagged, score_folder, undo_move


def main() -> int:
    config = tyro.cli(FilterConfig, description=__doc__)
    try:
        if config.undo:
            print(f"{undo_move(config)} pictures put back from {config.move_flagged}")
            return 0
        print(score_folder(config).describe(config))
        if config.move_flagged is not None:
            print(f"{move_flagged(config)} flagged pictures moved to {config.move_flagged}; --undo puts them back")
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from what {config.scores} already holds", file=sys.stderr)
        return 130
    except (FileError, CheckpointError, ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
