"""The record of an organised folder: one row a picture, written before the first picture is placed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from artifact_utils.files import FileError, read_csv, write_csv
from artifact_utils.labels import CLASS_NAMES, LabelError, parse_label

SPLITS = ("train", "test", "val")
MANIFEST, REJECTED = "manifest.csv", "rejected.csv"
MANIFEST_COLUMNS = ("path", "split", "label", "class", "source", "sha256", "group")


class OrganizeError(FileError):
    """The job cannot be done as asked. What was begun can be continued by running it again, or undone."""


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


def read_manifest(output: Path | str) -> tuple[Entry, ...]:
    """The pictures that OUTPUT/manifest.csv lists; none if there is no such file.

    Raises:
        OrganizeError: it is damaged, or names a place outside the class folders.
    """
    manifest = Path(output) / MANIFEST
    entries = []
    for row in read_csv(manifest, MANIFEST_COLUMNS):
        entry = Entry(row["path"], row["source"], row["sha256"], row["group"])
        if not (_is_class_path(entry.path) and entry.row() == tuple(row.values())):
            raise OrganizeError(f"{str(manifest)!r} is damaged: it cannot say {','.join(row.values())!r}")
        entries.append(entry)
    return tuple(entries)


def _is_class_path(path: str) -> bool:
    """Whether it reads SPLIT/CLASS/NAME, with a label in the name."""
    folder, _, name = path.rpartition("/")
    if folder not in {f"{split}/{class_name}" for split in SPLITS for class_name in CLASS_NAMES}:
        return False
    try:
        parse_label(name)
    except LabelError:
        return False
    return True


def write_manifest(output: Path, entries: Iterable[Entry]) -> None:
    """Write OUTPUT/manifest.csv whole or not at all."""
    write_csv(output / MANIFEST, MANIFEST_COLUMNS, [entry.row() for entry in entries])


def class_folders(output: Path) -> list[Path]:
    """Every folder that may hold placed pictures, whether it is there or not."""
    return [output / split / name for split in SPLITS for name in CLASS_NAMES]
