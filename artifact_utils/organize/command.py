"""The options of ``organize_dataset.py``, what it does with them, and how it reports that."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from artifact_utils.console import os_error_text
from artifact_utils.files.copies import Mode
from artifact_utils.files.writing import real_path
from artifact_utils.labels import CLASS_NAMES
from artifact_utils.organize.manifest import REJECTED, SPLITS, OrganizeError
from artifact_utils.organize.people_masks import place_masks, read_families, remove_masks
from artifact_utils.organize.placing import apply, undo
from artifact_utils.organize.planning import Plan, plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OrganizeConfig:
    """The command line of ``organize_dataset.py``."""

    source: Path | None = None
    """Folder with train, test (or test_data) and val: flat files whose names end in _0 or _1."""
    output: Path = Path("dataset")
    """Folder that gets {train,test,val}/{artifacts,no_artifacts}, manifest.csv and rejected.csv."""
    mode: Mode = "copy"
    """copy; move; or link: hard links, no extra space, but a file edited in one place is edited in both."""
    artifact_label: Literal[0, 1] = 1
    """The digit that means "artifact" in the file names."""
    masks: Path | None = None
    """Folder of masks that say where the artifacts are, white on black, with the stems of their pictures, perhaps in
    folders train, test and val, or called like a category. Default: masks in the source, where there is one."""
    coco: Path | None = None
    """File of COCO annotations that say where the artifacts are: polygons, run lengths or boxes."""
    categories: Path | None = None
    """Table with the columns category,family: which categories of the masks are hands, face, text, objects, glitch or
    gaze. One that is not in it, and not called like a family, teaches where without what."""
    dry_run: bool = False
    """Only say what would happen; write nothing."""
    undo: bool = False
    """Take everything out of the output folder again; moved files go back where they came from. For a folder that an
    earlier version or somebody else has organised, --source confirms where that is."""


def organize(config: OrganizeConfig) -> Plan:
    """Organize the folder that the config names, or only plan it for a dry run, and return the plan.

    Raises:
        OrganizeError, OSError: as `plan`, `apply` and `place_masks`; what was begun is finished by the same call, or
            undone.
    """
    if config.source is None:
        raise OrganizeError("--source is missing: the folder that holds train and test")
    todo = plan(config.source, config.output, artifact_label=config.artifact_label, mode=config.mode)
    families = read_families(config.categories)
    if not config.dry_run:
        apply(todo)
        beside = config.source / "masks"
        folder = config.masks or (beside if beside.is_dir() else None)
        place_masks(todo.entries, todo.output, folder=folder, coco=config.coco, families=families)
    return todo


def run(config: OrganizeConfig) -> int:
    """Do what the command line asks and print the result; returns the exit code.

    0: every file was placed or listed; 1: an undo had to leave files, each is named.

    Raises:
        OrganizeError: the job cannot be done as asked, or not now.
    """
    if config.undo and config.dry_run:
        raise OrganizeError("--undo and --dry-run do not go together: leave one out")
    try:
        if config.undo:
            remove_masks(real_path(config.output))
        done = undo(config.output, config.source) if config.undo else organize(config)
    except OSError as error:
        reason = os_error_text(error)
        raise OrganizeError(f"{reason}. No picture is lost: set that right and run the same again") from error
    if isinstance(done, Plan):
        _report(done, config)
        return 0
    print("\n".join(done) or f"undone: {str(config.output)!r} holds no organised picture")
    return 1 if done else 0


def _report(plan: Plan, config: OrganizeConfig) -> None:
    counts = Counter((entry.split, entry.label) for entry in set(plan.entries) - set(plan.gone))
    lines = [(split, counts[split, 0], counts[split, 1]) for split in SPLITS]
    lines.append(("all", sum(line[1] for line in lines), sum(line[2] for line in lines)))
    print(f"{'':8}{CLASS_NAMES[0]:>14}{CLASS_NAMES[1]:>14}{'total':>10}")
    for split, clean, artifacts in lines:
        print(f"{split:8}{clean:>14,}{artifacts:>14,}{clean + artifacts:>10,}")
    done = {"copy": "copied", "move": "moved", "link": "linked"}[plan.mode]
    verb = f"would be {done}" if config.dry_run else done
    there = sum(counts.values()) - len(plan.todo)
    print(f"{len(plan.todo):,} {verb} to {str(config.output)!r}, {there:,} were in place, ", end="")
    print(f"{len(plan.rejected):,} left where they are{'' if config.dry_run else f' (see {REJECTED})'}")
    if config.dry_run:
        for source, reason in plan.rejected:
            print(f"  {source!r}: {reason}")
    _, clean, artifacts = lines[-1]
    if artifacts > clean:
        logger.warning(
            "%s of %s pictures are labelled as artifacts: probably inverted; if so, run again with --undo, then with "
            "--artifact-label %d",
            f"{artifacts:,}",
            f"{clean + artifacts:,}",
            1 - config.artifact_label,
        )
