"""Carrying out a plan and taking it back, so that every picture is in at least one place at any moment."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from artifact_utils.console import progress_bar
from artifact_utils.files.copies import place, remove_copy, remove_empty, remove_temporary, sync_folders
from artifact_utils.files.locks import output_lock
from artifact_utils.files.tables import write_csv
from artifact_utils.files.writing import file_digest, part_of, real_path
from artifact_utils.organize.manifest import (
    MANIFEST,
    REJECTED,
    SPLITS,
    Entry,
    OrganizeError,
    class_folders,
    read_manifest,
    remove_manifest,
    unconfirmed,
    write_manifest,
)
from artifact_utils.organize.planning import Plan


def apply(plan: Plan) -> None:
    """Carry out a plan: write the manifest, place the files, and for a move remove the sources.

    Raises:
        OrganizeError: the manifest or a source changed since the plan was made, or a link cannot be made.
        OSError: the disk is full, a folder cannot be written, and the like.
    """
    output = plan.output
    splits = {entry.split for entry in plan.entries}
    folders = [folder for folder in class_folders(output) if folder.parent.name in splits]
    for folder in [output, *folders]:
        folder.mkdir(parents=True, exist_ok=True)
    with output_lock(output, output / ".lock"):
        if read_manifest(output) != plan.previous:
            raise OrganizeError(f"{str(output / MANIFEST)!r} changed since it was read: run again")
        known = set(plan.previous) - set(unconfirmed(output))  # a killed undo may have begun to put them back
        _remove_leftovers(output, {*plan.found, *known})
        write_manifest(output, plan.entries, plan.found)
        write_csv(output / REJECTED, ("source", "reason"), plan.rejected)
        for entry in progress_bar(plan.todo, "placing", only_in_terminal=True):
            place(Path(entry.source), output / entry.path, entry.sha256, plan.mode)
        sync_folders(folders)
        if plan.mode == "move":
            for entry in plan.found:
                if not remove_copy(Path(entry.source), output / entry.path, entry.sha256):
                    raise OrganizeError(f"{entry.source!r} changed while it was moved: it is left there, run again")


def undo(output: Path | str, source: Path | str | None = None) -> list[str]:
    """Take everything in the manifest out of OUTPUT again.

    A placed file is removed while its source holds the same picture; where the source is gone (it was moved, or deleted
    since) the file goes back there, never over another file. Nothing that is not in the manifest is touched.

    Args:
        output: the organised folder.
        source: where the pictures came from; needed only where no run on this machine has recorded that, because an
            earlier version or somebody else has organised the folder.

    Returns:
        One sentence for each file that had to be left; the manifest keeps those that could not be put back.

    Raises:
        OrganizeError, OSError: as `apply`; or a source has to be confirmed.
    """
    output = real_path(output)
    folders = class_folders(output)
    left: list[str] = []
    if not output.is_dir():
        return left
    with output_lock(output, output / ".lock"):
        entries = read_manifest(output)
        _check_sources(output, source)
        _remove_leftovers(output, entries)
        kept = []
        for entry in progress_bar(entries, "putting back", only_in_terminal=True):
            source, placed = Path(entry.source), output / entry.path
            if file_digest(source) == entry.sha256:
                continue
            content = file_digest(placed)
            if content == entry.sha256:
                remove_empty(source)
            if content == entry.sha256 and not os.path.lexists(source):
                source.parent.mkdir(parents=True, exist_ok=True)
                place(placed, source, entry.sha256, "move")
                continue
            kept.append(entry)
            if content is None:
                left.append(f"{str(placed)!r} is gone, and {entry.source!r} does not hold it either")
            elif content != entry.sha256:
                left.append(f"{str(placed)!r} has changed and {entry.source!r} does not hold the original")
            else:
                left.append(f"{str(placed)!r} cannot go back: there is another file at {entry.source!r}")
        sync_folders(_folders_of(entries))
        for entry in entries:
            placed = output / entry.path
            if (
                entry not in kept
                and os.path.lexists(placed)
                and not remove_copy(placed, Path(entry.source), entry.sha256)
            ):
                left.append(f"{str(placed)!r} has changed; the original is at {entry.source!r}")
        (output / REJECTED).unlink(missing_ok=True)
        if kept:
            write_manifest(output, kept)
        else:
            remove_manifest(output)
            for file in (output / ".cache").glob("squares-*"):  # what training decoded from the pictures
                file.unlink()
    for folder in [*folders, *(output / split for split in SPLITS), output / ".cache", output]:
        with contextlib.suppress(OSError):  # not empty, or never made
            folder.rmdir()
    return left


def _remove_leftovers(output: Path, entries: Iterable[Entry]) -> None:
    """Remove what a killed run has left under temporary names."""
    remove_temporary([output, *class_folders(output), *_folders_of(entries)])
    for entry in entries:
        remove_empty(output / entry.path)
    for name in (MANIFEST, REJECTED):
        part_of(output / name).unlink(missing_ok=True)


def _check_sources(output: Path, source: Path | str | None) -> None:
    """Refuse to touch places that only a table of unknown origin names."""
    for entry in unconfirmed(output):
        folder = real_path(Path(entry.source).parent)
        if source is None or not folder.is_relative_to(real_path(source)) or ".." in Path(entry.source).parts:
            raise OrganizeError(
                f"{str(output)!r} was organised by an earlier version or elsewhere, and says that {entry.path!r} came "
                f"from {entry.source!r}: confirm that with --source, the folder that it came from"
            )


def _folders_of(entries: Iterable[Entry]) -> list[Path]:
    return sorted({Path(entry.source).parent for entry in entries})
