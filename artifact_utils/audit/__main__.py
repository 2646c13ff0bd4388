"""Audit any folder of pictures: a table in the terminal, and everything in one HTML page.

python -m artifact_utils.audit FOLDER
python -m artifact_utils.audit FOLDER --out audits/mine --no-labels
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from artifact_utils.audit.findings import audit
from artifact_utils.audit.report import write_page
from artifact_utils.files import FileError, write_bytes


@dataclass(frozen=True)
class AuditConfig:
    """The command line of ``python -m artifact_utils.audit``."""

    folder: tyro.conf.Positional[Path]
    """Folder of pictures, with or without train, test and labels."""
    out: Path = Path("audit")
    """Folder that gets table.parquet, issues.csv, duplicates.csv, label_errors.csv and report.html."""
    at_most: int | None = None
    """Look at no more pictures than this, evenly spread over the folder: for a first look at a large one."""
    labels: bool = True
    """Look for wrong labels, too: every picture goes through a network, which takes longest."""


def run(config: AuditConfig) -> int:
    """Audit and report; returns the exit code: 0 done, 2 an error that says what to do, 130 interrupted."""
    try:
        findings = audit(
            config.folder, table=config.out / "table.parquet", at_most=config.at_most, labels=config.labels
        )
        config.out.mkdir(parents=True, exist_ok=True)
        tables = {"issues": findings.issues, "duplicates": findings.duplicates, "label_errors": findings.label_errors}
        for name, frame in tables.items():
            if frame is not None:
                text = frame.to_csv(index=False).encode("utf-8", "surrogateescape")
                write_bytes(config.out / f"{name}.csv", text)
        page = write_page(config.folder, findings)
        write_bytes(config.out / "report.html", page.encode())
    except (FileError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same again to go on", file=sys.stderr)
        return 130
    print(findings.balance().to_string(index=False))
    print()
    print(findings.summary().to_string(index=False))
    if findings.shortcuts is not None:
        print(f"\n{findings.shortcuts}")
    print("\nwhat to fix:")
    lines = [line.encode("utf-8", "replace").decode() for line in findings.to_fix()]
    print("\n".join(f"- {line}" for line in lines) or "nothing")
    print(f"\neverything in pictures: {config.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(run(tyro.cli(AuditConfig, description=__doc__)))
