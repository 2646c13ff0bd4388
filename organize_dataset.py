"""Sort flat folders of labelled portraits into class folders, verified by content hash.

    python organize_dataset.py --source portraits                       # copies into dataset/
    python organize_dataset.py --source portraits --dry-run             # only says what would happen
    python organize_dataset.py --source portraits --mode move           # or link
    python organize_dataset.py --source portraits --artifact-label 0    # names in which _0 means "artifact"
    python organize_dataset.py --source portraits --coco masks.json --categories families.csv   # or portraits/masks/
    python organize_dataset.py --undo                                   # everything back as it was

Interrupted or killed, the same command finishes the job. dataset/manifest.csv says where every file came from,
dataset/rejected.csv what was left where it is, and why.
"""

from artifact_utils.console import read_arguments, run_cli


def main() -> int:
    from artifact_utils.organize.command import OrganizeConfig, run

    return run(read_arguments(OrganizeConfig, __doc__))


if __name__ == "__main__":
    run_cli(main, interrupted="interrupted: run the same again to finish, or --undo")
