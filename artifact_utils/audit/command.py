"""The work of ``python -m artifact_utils.audit``: audit, write the tables and the page, print what to fix."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import tyro

from artifact_utils.files.locks import output_lock
from artifact_utils.files.tables import write_frame
from artifact_utils.files.writing import write_bytes


@dataclass(frozen=True)
class AuditConfig:
    """The command line of ``python -m artifact_utils.audit``."""

    folder: tyro.conf.Positional[Path]
    """Folder of pictures, with or without train, test and labels."""
    out: Path = Path("audit")
    """Folder that gets table.parquet, issues.csv, duplicates.csv, label_errors.csv and report.html."""
    parts_from: int = 200_000
    """From so many pictures on, of which memory does not hold all that is measured, the table is a folder of Parquet
    files, table/, and only what cannot be read and duplicates are looked for, not issues, shortcuts and labels."""
    at_most: int | None = None
    """Look at no more pictures than this, evenly spread over the folder: for a first look at a large one."""
    labels: bool = True
    """Look for wrong labels, too: every picture goes through a network, which takes longest."""


def run_audit(config: AuditConfig) -> None:
    """Audit a folder, write what was found to ``config.out`` and print the summary.

    Raises:
        AuditError, FileError: see ``audit_folder``; or another audit is writing there.
        OSError: the results cannot be written.
    """
    with ExitStack() as held:
        if config.folder.is_dir():  # else nothing is to be made before the audit says so
            config.out.mkdir(parents=True, exist_ok=True)
            held.enter_context(output_lock(config.out, config.out / ".lock"))
        _audit(config)


def _audit(config: AuditConfig) -> None:
    from artifact_utils.audit.scanning import pictures

    n = sum(1 for _ in pictures(config.folder))
    if min(n, n if config.at_most is None else config.at_most) < config.parts_from:
        _audit_all(config)
    else:
        _audit_parts(config)


def _audit_parts(config: AuditConfig) -> None:
    """What can be found out about very many pictures."""
    from artifact_utils.audit.duplicates import find_duplicates, find_leaks
    from artifact_utils.audit.table_parts import read_columns, scan_parts

    parts = config.out / "table"
    scan_parts(config.folder, parts, at_most=config.at_most)
    readable = read_columns(parts, ["readable"])["readable"]
    print(f"{len(readable):,} pictures, measured in {parts}; {(~readable).sum():,} cannot be read")
    duplicates = find_duplicates(parts)
    write_frame(config.out / "duplicates.csv", duplicates)
    print(
        f"{duplicates['group'].nunique():,} groups of near-duplicates, {len(duplicates):,} pictures, in duplicates.csv"
    )
    leaks = find_leaks(duplicates)
    if len(leaks):
        first = f"first {leaks['path'].iloc[0]} = {leaks['other'].iloc[0]}"
        print(f"{len(leaks):,} pictures of one split lie in another, too: keep each on one side, {first}")
    print(
        f"left out, since these are {config.parts_from:,} pictures or more (--parts-from): "
        "issues, shortcuts, wrong labels and the page"
    )


def _audit_all(config: AuditConfig) -> None:
    from artifact_utils.audit.findings import audit_folder  # PyTorch and scikit-learn: --help does not wait for them
    from artifact_utils.audit.html_page import render_html

    table = config.out / "table.parquet"
    findings = audit_folder(config.folder, table=table, at_most=config.at_most, labels=config.labels)
    tables = {"issues": findings.issues, "duplicates": findings.duplicates, "label_errors": findings.label_errors}
    for name, frame in tables.items():
        if frame is not None:
            write_frame(config.out / f"{name}.csv", frame)
    write_bytes(config.out / "report.html", render_html(config.folder, findings).encode())
    print(findings.balance().to_string(index=False))
    print()
    print(findings.summary().to_string(index=False))
    if findings.shortcuts is not None:
        print(f"\n{findings.shortcuts}")
    print("\nwhat to fix:")
    print("\n".join(f"- {line}" for line in findings.to_fix()) or "nothing")
    print(f"\neverything in pictures: {config.out / 'report.html'}")
