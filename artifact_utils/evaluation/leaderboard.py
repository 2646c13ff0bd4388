"""Print the leaderboard of all experiments, or put it into a Markdown file.

    python -m artifact_utils.evaluation.leaderboard
    python -m artifact_utils.evaluation.leaderboard --write model-training-attempts/README.md
    python -m artifact_utils.evaluation.leaderboard --runs runs/portraits --by-family

The figures are read from the metrics.json of each run.
"""

from dataclasses import dataclass
from pathlib import Path

from artifact_utils.console import read_arguments, run_cli

BEGIN, END = "<!-- leaderboard -->", "<!-- end of leaderboard -->"


@dataclass(frozen=True)
class Arguments:
    runs: Path = Path("runs/experiments")
    """Folder of the experiments."""
    write: Path | None = None
    """Markdown file; what is between its marks for the leaderboard is replaced."""
    by_family: bool = False
    """Take --runs for the folder of one experiment, and print how well each family of artifacts is found."""


def main() -> None:
    arguments = read_arguments(Arguments, __doc__)
    from artifact_utils.evaluation.experiment_tables import family_table, leaderboard

    if arguments.by_family:
        print(family_table(arguments.runs).to_string())
    elif arguments.write is None:
        print(leaderboard(arguments.runs))
    else:
        write_between_marks(arguments.write, leaderboard(arguments.runs))


def write_between_marks(file: Path, table: str) -> None:
    """Replace what is between the lines ``BEGIN`` and ``END`` of a file, whole or not at all.

    Raises:
        ExperimentError: the file has no such lines.
    """
    from artifact_utils.evaluation.experiment_tables import ExperimentError
    from artifact_utils.files.writing import write_bytes

    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ExperimentError(f"{file} has no place for the leaderboard: add the lines {BEGIN} and {END}")
    write_bytes(file, f"{before}{BEGIN}\n{table}\n{END}{after}".encode())


if __name__ == "__main__":
    run_cli(main)
