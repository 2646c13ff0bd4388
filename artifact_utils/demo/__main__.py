"""Build the demo set in the raw layout: portraits cut from OpenPeople, one in ten with an injected artifact.

    python -m artifact_utils.demo --out raw
    python -m artifact_utils.demo --out test_data --n-train 45 --n-test 15 --artifact-fraction 0.3333 --suffix .jpg

The same parameters give the same files. Interrupted, the same command goes on.
"""

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    from artifact_utils.demo.dataset import build_demo_dataset

    read_arguments(build_demo_dataset, __doc__)


if __name__ == "__main__":
    run_cli(main, interrupted="interrupted: the same command goes on")
