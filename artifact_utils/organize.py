"""Sorting flat folders of labelled portraits into class folders, verified by content and safe to interrupt.

    SOURCE/train/image_00002_1.png   ->   OUTPUT/train/artifacts/image_00002_1.png
    SOURCE/test/image_00007_0.jpg    ->   OUTPUT/test/no_artifacts/image_00007_0.jpg

`plan` reads everything and touches nothing. `apply` first writes OUTPUT/manifest.csv, the record of what is about to
happen, and then places the files it lists. `undo` takes them back. A file is placed under a temporary name, compared
with the hash of its source and then renamed; a file is removed only while another path holds the same content. So
every picture is in at least one place at any moment, and after a kill the next run finishes the job.
"""

import contextlib
import hashlib
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from tqdm import tqdm

from artifact_utils.files import (
    PART,
    FileError,
    Mode,
    file_digest,
    locked,
    place,
    read_csv,
    remove_copy,
    remove_parts,
    sync_folders,
    write_csv,
)
from artifact_utils.images import IMAGE_SUFFIXES, ImageError, decode_image, read_file
from artifact_utils.labels import ARTIFACT, CLASS_NAMES, LabelError, parse_label

T = TypeVar("T")
R = TypeVar("R")

SPLITS = ("train", "test", "val")
SPLIT_FOLDERS = {"train": "train", "test": "test", "test_data": "test", "val": "val"}
"""Folder in SOURCE -> split in OUTPUT."""

MANIFEST, REJECTED = "manifest.csv", "rejected.csv"
COLUMNS = ("path", "split", "label", "class", "source", "sha256", "group")


class OrganizeError(FileError):
    """The job cannot be done as asked. What was begun can be continued by running it again, or undone."""


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
    dry_run: bool = False
    """Only say what would happen; write nothing."""
    undo: bool = False
    """Take everything out of the output folder again; moved files go back where they came from."""


@dataclass(frozen=True)
class Entry:
    """One picture, one row of the manifest."""

    path: str
    """Its place relative to the output folder: ``train/artifacts/image_00002_1.png``."""
    source: str
    """Absolute path it came from."""
    sha256: str
    group: str = ""
    """Person or prompt family, where SOURCE/groups.csv names it."""

    @property
    def split(self) -> str:
        return self.path.split("/")[0]

    @property
    def label(self) -> int:
        return CLASS_NAMES.index(self.path.split("/")[1])

    def row(self) -> tuple[str, ...]:
        return (self.path, self.split, str(self.label), CLASS_NAMES[self.label], self.source, self.sha256, self.group)


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
    source, output = _real(source), _real(output)
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


def apply(plan: Plan) -> None:
    """Carry out a plan: write the manifest, place the files, and for a move remove the sources.

    Raises:
        OrganizeError: the manifest or a source changed since the plan was made, or a link cannot be made.
        OSError: the disk is full, a folder cannot be written, and the like.
    """
    output = plan.output
    folders = [output / split / name for split in SPLITS for name in CLASS_NAMES]
    folders = [folder for folder in folders if any(entry.split == folder.parent.name for entry in plan.entries)]
    for folder in [output, *folders]:
        folder.mkdir(parents=True, exist_ok=True)
    with locked(output):
        if read_manifest(output) != plan.previous:
            raise OrganizeError(f"{str(output / MANIFEST)!r} changed since it was read: run again")
        remove_parts([output, *folders, *_folders_of(plan.found)])
        write_csv(output / MANIFEST, COLUMNS, [entry.row() for entry in plan.entries])
        write_csv(output / REJECTED, ("source", "reason"), plan.rejected)
        for entry in tqdm(plan.todo, "placing", disable=None):
            place(Path(entry.source), output / entry.path, entry.sha256, plan.mode)
        sync_folders(folders)
        if plan.mode == "move":
            for entry in plan.found:
                if not remove_copy(Path(entry.source), output / entry.path, entry.sha256):
                    raise OrganizeError(f"{entry.source!r} changed while it was moved: it is left there, run again")


def undo(output: Path | str) -> list[str]:
    """Take everything in the manifest out of OUTPUT again.

    A placed file is removed while its source holds the same picture; where the source is gone (it was moved, or deleted
    since) the file goes back there, never over another file. Nothing that is not in the manifest is touched.

    Returns:
        One sentence for each file that had to be left; the manifest keeps those that could not be put back.

    Raises:
        OrganizeError, OSError: as `apply`.
    """
    output = _real(output)
    folders = [output / split / name for split in SPLITS for name in CLASS_NAMES]
    left: list[str] = []
    if not output.is_dir():
        return left
    with locked(output):
        entries = read_manifest(output)
        remove_parts([output, *folders, *_folders_of(entries)])
        kept = []
        for entry in tqdm(entries, "putting back", disable=None):
            source, placed = Path(entry.source), output / entry.path
            if file_digest(source) == entry.sha256:
                continue
            content = file_digest(placed)
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
            write_csv(output / MANIFEST, COLUMNS, [entry.row() for entry in kept])
        else:
            (output / MANIFEST).unlink(missing_ok=True)
        for folder in [*folders, *(output / split for split in SPLITS), output]:
            with contextlib.suppress(OSError):  # not empty, or never made
                folder.rmdir()
    return left


def run(config: OrganizeConfig) -> int:
    """Do what the command line asks and report it; returns the exit code.

    0: every file was placed or listed; 1: an undo had to leave files, each is named; 2: an error, it says what to do.
    """
    try:
        if config.undo and config.dry_run:
            raise OrganizeError("--undo and --dry-run do not go together: leave one out")
        if config.undo:
            left = undo(config.output)
            print("\n".join(left) or f"undone: {str(config.output)!r} holds no organised picture")
            return 1 if left else 0
        if config.source is None:
            raise OrganizeError("--source is missing: the folder that holds train and test")
        todo = plan(config.source, config.output, artifact_label=config.artifact_label, mode=config.mode)
        if not config.dry_run:
            apply(todo)
    except FileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}\nNo picture is lost: set that right and run the same again.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same again to finish, or --undo", file=sys.stderr)
        return 130
    _report(todo, config)
    return 0


def read_manifest(output: Path | str) -> tuple[Entry, ...]:
    """The pictures that OUTPUT/manifest.csv lists; none if there is no such file.

    Raises:
        OrganizeError: it is damaged, or names a place outside the class folders.
    """
    manifest = Path(output) / MANIFEST
    entries = []
    for row in read_csv(manifest, COLUMNS):
        entry = Entry(row["path"], row["source"], row["sha256"], row["group"])
        try:
            parse_label(entry.path)
            sound = entry.split in SPLITS and entry.path.count("/") == 2 and entry.row() == tuple(row.values())
        except (ValueError, IndexError):
            sound = False
        if not sound:
            raise OrganizeError(f"{str(manifest)!r} is damaged: it cannot say {','.join(row.values())!r}")
        entries.append(entry)
    return tuple(entries)


def _real(path: Path | str) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError on a loop of links


def _split_folders(source: Path, output: Path) -> list[tuple[Path, str]]:
    folders = [(source / name, split) for name, split in SPLIT_FOLDERS.items() if (source / name).is_dir()]
    if not source.is_dir():
        raise OrganizeError(f"no folder {str(source)!r}: --source is the folder that holds train and test")
    if not folders:
        raise OrganizeError(f"{str(source)!r} has no folder train, test, test_data or val")
    if output.exists() and not output.is_dir():
        raise OrganizeError(f"{str(output)!r} is not a folder: choose another --output")
    real = [_real(folder) for folder, _ in folders]
    if len(set(real)) < len(real):
        raise OrganizeError(f"two of the folders in {str(source)!r} are the same one, by a link: remove the link")
    for target in (_real(output / split / name) for split in SPLITS for name in CLASS_NAMES):
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
            elif item.name == PART:
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
        return list(tqdm(pool.map(function, items), description, total=len(items), disable=None))


def _folders_of(entries: Iterable[Entry]) -> list[Path]:
    return sorted({Path(entry.source).parent for entry in entries})


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
        print(f"WARNING: {artifacts:,} of {clean + artifacts:,} pictures are labelled as artifacts: probably inverted.")
        print(f"If so, run again with --undo, and then with --artifact-label {1 - config.artifact_label}.")
