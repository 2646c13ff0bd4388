"""Reading the flat folders and what is in place already, and deciding what goes where. Nothing is written."""

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from artifact_utils.console import progress_bar
from artifact_utils.files.budgets import reserve_file
from artifact_utils.files.copies import Mode
from artifact_utils.files.tables import read_csv
from artifact_utils.files.writing import file_digest, is_part, real_path
from artifact_utils.images import IMAGE_SUFFIXES, ImageError, decode_image, read_file
from artifact_utils.labels import ARTIFACT, CLASS_NAMES, LabelError, parse_label
from artifact_utils.organize.manifest import Entry, OrganizeError, class_folders, read_manifest

T = TypeVar("T")
R = TypeVar("R")

EMPTY = hashlib.sha256().hexdigest()
SPLIT_FOLDERS = {"train": "train", "test": "test", "test_data": "test", "val": "val"}
"""Folder in SOURCE -> split in OUTPUT."""


@dataclass(frozen=True)
class Plan:
    """What `apply` is going to do."""

    output: Path
    mode: Mode
    entries: tuple[Entry, ...]
    """The manifest as it will be, sorted by path. Entries of earlier runs stay."""
    found: tuple[Entry, ...]
    """The entries whose source was found; a move removes it once the picture is placed."""
    todo: tuple[Entry, ...]
    """Those of them that are not in place yet."""
    gone: tuple[Entry, ...]
    """Entries of earlier runs that are neither in place nor at their source."""
    rejected: tuple[tuple[str, str], ...]
    """Source and reason of every file that stays where it is."""
    previous: tuple[Entry, ...]
    """The manifest that the plan started from."""


def plan(source: Path | str, output: Path | str, *, artifact_label: int = ARTIFACT, mode: Mode = "copy") -> Plan:
    """Read SOURCE and what OUTPUT holds already, and decide what goes where. Nothing is written.

    Args:
        source: folder with ``train``, ``test`` (or ``test_data``) and ``val``, at least one of them, and optionally
            ``groups.csv`` with the columns ``file,group`` (``train/image_00001_0.png,person 3``).
        output: folder to organise into; files placed there by earlier runs are verified.
        artifact_label: the digit that means "artifact" in the names.
        mode: how files are placed.

    Raises:
        OrganizeError: no such source, overlapping folders, an output organised with the other label, or different
            pictures for the same place (all of them are named).
        OSError: a folder cannot be read.
    """
    source, output = real_path(source), real_path(output)
    folders = _split_folders(source, output)
    previous = read_manifest(output)
    for entry in previous:
        if parse_label(entry.path, artifact_label) != entry.label:
            other = 1 - artifact_label
            raise OrganizeError(f"{str(output)!r} was made with --artifact-label {other}: --undo first, or keep to it")
    groups = {source / row["file"]: row["group"] for row in read_csv(source / "groups.csv", ("file", "group"))}
    pictures, rejected = _scan(folders, artifact_label, mode, known={entry.sha256 for entry in previous})

    before = {entry.path: entry for entry in previous}
    paths = sorted({*before, *(picture.path for picture in pictures)})
    in_place = dict(zip(paths, _parallel(file_digest, [output / path for path in paths], "verifying"), strict=True))
    in_place |= {path: None for path in before if in_place[path] == EMPTY}  # a kill came before its name was its own
    found: dict[str, Entry] = {}
    clashes: dict[str, str] = {}
    for picture in pictures:
        path, present = picture.path, in_place[picture.path]
        holder = found.get(path) or (before.get(path) if present else None)
        if picture.sha256 != (present or (holder or picture).sha256):
            rival = str(output / path) if present or not holder else holder.source
            clashes[path] = f"{picture.source!r} and {rival!r} are different pictures for the same place"
        elif holder and holder.source != picture.source:
            rejected.append((picture.source, f"same picture as {holder.source!r}, which is placed as {path!r}"))
        else:
            group = groups.get(Path(picture.source), before[path].group if path in before else "")
            found[path] = Entry(path, picture.source, picture.sha256, group)
    gone = tuple(entry for path, entry in before.items() if path not in found and in_place[path] is None)
    rejected += [(entry.source, f"was placed as {entry.path!r} before, and is gone from there") for entry in gone]
    for path, entry in before.items():
        if path not in found and in_place[path] not in (None, entry.sha256):
            clashes.setdefault(path, f"{str(output / path)!r} is not what was placed there from {entry.source!r}")
    if clashes:
        named = [*list(clashes.values())[:10], *([f"and {len(clashes) - 10} more"] if len(clashes) > 10 else [])]
        raise OrganizeError("\n  ".join(["nothing was touched: rename or remove one of", *named]))

    entries = tuple(sorted((before | found).values(), key=lambda entry: entry.path))
    todo = tuple(entry for entry in found.values() if in_place[entry.path] is None)
    return Plan(output, mode, entries, tuple(found.values()), todo, gone, tuple(sorted(rejected)), previous)


def _split_folders(source: Path, output: Path) -> list[tuple[Path, str]]:
    folders = [(source / name, split) for name, split in SPLIT_FOLDERS.items() if (source / name).is_dir()]
    if not source.is_dir():
        raise OrganizeError(f"no folder {str(source)!r}: --source is the folder that holds train and test")
    if not folders:
        raise OrganizeError(f"{str(source)!r} has no folder train, test, test_data or val")
    if output.exists() and not output.is_dir():
        raise OrganizeError(f"{str(output)!r} is not a folder: choose another --output")
    real = [real_path(folder) for folder, _ in folders]
    if len(set(real)) < len(real):
        raise OrganizeError(f"two of the folders in {str(source)!r} are the same one, by a link: remove the link")
    for target in map(real_path, class_folders(output)):
        for folder in real:
            if target.is_relative_to(folder) or folder.is_relative_to(target):
                raise OrganizeError(f"{str(folder)!r} and {str(target)!r} overlap: choose another --output")
    return folders


def _scan(
    folders: list[tuple[Path, str]], artifact_label: int, mode: Mode, known: set[str]
) -> tuple[list[Entry], list[tuple[str, str]]]:
    """The pictures to place, and every other file with the reason why it is left where it is."""
    candidates: list[tuple[Path, str]] = []
    rejected: list[tuple[str, str]] = []
    for folder, split in folders:
        for item in sorted(folder.iterdir()):
            reason = ""
            if not item.is_symlink() and item.is_dir():
                nested = sorted(Path(root, name) for root, _, names in os.walk(item) for name in names)
                rejected += [(str(path), "in a subfolder: a split is one flat folder") for path in nested or [item]]
            elif is_part(item.name):
                continue
            elif item.name.startswith("."):
                reason = "hidden file"
            elif mode == "move" and item.is_symlink():  # it would point nowhere, or its target may be moved too
                reason = f"symbolic link to {str(item.readlink())!r}: not moved, use --mode copy"
            elif item.suffix.lower() not in IMAGE_SUFFIXES:
                reason = f"not a picture: expected a name ending in {', '.join(IMAGE_SUFFIXES)}"
            else:
                try:
                    label = parse_label(item, artifact_label)
                    candidates.append((item, f"{split}/{CLASS_NAMES[label]}/{item.name}"))
                except LabelError as error:
                    reason = str(error)
            if reason:
                rejected.append((str(item), reason))

    def check(candidate: tuple[Path, str]) -> Entry | ImageError:
        item, path = candidate
        try:
            with reserve_file(item):
                data = read_file(item)
                sha256 = hashlib.sha256(data).hexdigest()
                if sha256 not in known:  # what was placed before has been decoded before
                    decode_image(data, item.name, min_side=1)
            return Entry(path, str(item), sha256)
        except ImageError as error:
            return ImageError(str(item), error.reason)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about odd metadata
        checked = _parallel(check, candidates, "reading")
    rejected += [(error.name, error.reason) for error in checked if isinstance(error, ImageError)]
    return [entry for entry in checked if isinstance(entry, Entry)], rejected


def _parallel(function: Callable[[T], R], items: Sequence[T], description: str) -> list[R]:
    """Map over threads: reading, hashing and decoding all release the interpreter lock."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(progress_bar(pool.map(function, items), description, total=len(items), only_in_terminal=True))
