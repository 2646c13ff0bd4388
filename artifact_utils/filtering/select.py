"""Look into the scores of ``filter_images.py --engine ray``: counts, folders, the worst, and lists of paths.

    python -m artifact_utils.filtering.select scores                            # at the threshold of the scoring
    python -m artifact_utils.filtering.select s3://bucket/scores --threshold 0.8
    python -m artifact_utils.filtering.select scores --review 0.02              # the threshold that flags 2%

Nothing is scored again: DuckDB reads the Parquet files, in seconds for ten million pictures.
"""

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    from artifact_utils.filtering.selection import SelectConfig

    config = read_arguments(SelectConfig, __doc__)
    from artifact_utils.filtering.selection import select

    print(select(config))


if __name__ == "__main__":
    run_cli(main)
