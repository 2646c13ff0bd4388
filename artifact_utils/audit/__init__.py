"""What is in a folder of pictures, and what is wrong with it, before a model is trained on it.

A model learns whatever tells the classes apart: if one is brighter, sharper or larger than the other, that is what it
will find. A picture that lies in the test set and, slightly cropped, in the training set too, is a question whose
answer was given away. And a wrong label teaches the wrong thing.

    findings = audit_folder("dataset")     # all of it
    print(findings.to_fix())

or step by step:

    table = scan("dataset")                # one row a picture, each decoded once
    duplicates = find_duplicates(table)    # groups, also of crops and mirror images
    issues = find_issues(table)            # dark, blurry, odd ...: a score and a flag each
    find_shortcuts(table)                  # can the class be told from what is no artifact?

For very many pictures ``scan_parts`` leaves the table on the disk, and ``find_duplicates`` takes it from there.

``python -m artifact_utils.audit FOLDER`` writes one HTML page. Names are loaded when they are first used: the duplicate
search, which training needs, loads no scikit-learn, cleanlab, matplotlib or PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifact_utils.audit.duplicates import find_duplicates, find_leaks, near_duplicate_groups, united_groups
    from artifact_utils.audit.findings import Findings, audit_folder
    from artifact_utils.audit.issues import THRESHOLDS, find_issues
    from artifact_utils.audit.label_errors import embed, find_label_errors
    from artifact_utils.audit.picture_statistics import outline_pixels
    from artifact_utils.audit.scanning import AuditError, scan
    from artifact_utils.audit.shortcuts import Shortcuts, find_shortcuts
    from artifact_utils.audit.table_parts import scan_parts

_MODULES = {
    "AuditError": "scanning",
    "Findings": "findings",
    "Shortcuts": "shortcuts",
    "THRESHOLDS": "issues",
    "audit_folder": "findings",
    "embed": "label_errors",
    "find_duplicates": "duplicates",
    "find_issues": "issues",
    "find_label_errors": "label_errors",
    "find_leaks": "duplicates",
    "find_shortcuts": "shortcuts",
    "near_duplicate_groups": "duplicates",
    "outline_pixels": "picture_statistics",
    "scan": "scanning",
    "scan_parts": "table_parts",
    "united_groups": "duplicates",
}

__all__ = [
    "THRESHOLDS",
    "AuditError",
    "Findings",
    "Shortcuts",
    "audit_folder",
    "embed",
    "find_duplicates",
    "find_issues",
    "find_label_errors",
    "find_leaks",
    "find_shortcuts",
    "near_duplicate_groups",
    "outline_pixels",
    "scan",
    "scan_parts",
    "united_groups",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
