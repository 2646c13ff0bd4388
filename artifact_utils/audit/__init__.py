"""What is in a folder of pictures, and what is wrong with it, before a model is trained on it.

A model learns whatever tells the classes apart: if one is brighter, sharper or larger than the other, that is what it
will find. A picture that lies in the test set and, slightly cropped, in the training set too, is a question whose
answer was given away. And a wrong label teaches the wrong thing.

    table = scan("dataset")                # one row a picture, each decoded once
    issues = find_issues(table)            # dark, blurry, odd ...: a score and a flag each
    duplicates = find_duplicates(table)    # groups, also of crops and mirror images
    find_shortcuts(table)                  # can the class be told from what is no artifact?

``python -m artifact_utils.audit FOLDER`` does all of it and writes one HTML page.
"""

from artifact_utils.audit.duplicates import find_duplicates, find_leaks, near_duplicate_groups, united_groups
from artifact_utils.audit.issues import THRESHOLDS, find_issues
from artifact_utils.audit.measuring import outline_pixels
from artifact_utils.audit.scanning import scan
from artifact_utils.audit.shortcuts import Shortcuts, find_shortcuts

__all__ = [
    "THRESHOLDS",
    "Shortcuts",
    "find_duplicates",
    "find_issues",
    "find_leaks",
    "find_shortcuts",
    "near_duplicate_groups",
    "outline_pixels",
    "scan",
    "united_groups",
]
