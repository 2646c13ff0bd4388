"""Audit any folder of pictures: a table in the terminal, and everything in one HTML page.

    python -m artifact_utils.audit FOLDER
    python -m artifact_utils.audit FOLDER --out audits/mine --no-labels

Interrupted or killed, the same command goes on from the pictures that its table already holds.
"""

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    from artifact_utils.audit.command import AuditConfig, run_audit

    run_audit(read_arguments(AuditConfig, __doc__))


if __name__ == "__main__":
    run_cli(main, interrupted="interrupted: run the same again to go on")
