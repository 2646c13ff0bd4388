"""Labelled portraits: reading the folders and their tables, and which are trained, validated and tested on."""

import logging
import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from artifact_utils.audit import near_duplicate_groups, united_groups
from artifact_utils.config import ResolvedConfig
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.faces import FACE_COLUMNS
from artifact_utils.files.tables import read_csv
from artifact_utils.files.writing import is_utf8
from artifact_utils.images import IMAGE_SUFFIXES
from artifact_utils.labels import ARTIFACT, CLASS_NAMES, FAMILY_NAMES, Portrait
from artifact_utils.synthesis import draw_kind

logger = logging.getLogger(__name__)


class DataError(ArtifactUtilsError):
    """A data set that cannot be trained or evaluated on."""


def list_portraits(root: Path, split: str, *, need_artifacts: bool = True, skip_broken: bool = False) -> list[Portrait]:
    """List ``root/split/{artifacts,no_artifacts}/*`` in the order of the names.

    The label comes from the folder's name, never from its place in the alphabet. Groups come from
    ``root/manifest.csv``, which ``organize_dataset.py`` writes. Where somebody said more, the place of the face comes
    from ``root/faces.csv`` and the kind of the artifact from ``root/artifacts.csv`` (``path,kind``), so that made ones
    can be alike; its columns ``strength`` and ``mask`` (a path below ``root``) may say more, and ``unlabelled`` (with
    spaces between them) which families nobody looked for in a picture.

    Args:
        root: a folder made by ``organize_dataset.py``.
        split: train, val or test.
        need_artifacts: whether their absence is an error.
        skip_broken: leave out files whose names are not valid UTF-8, which no table can hold, instead of stopping.

    Raises:
        DataError: a folder is missing, a class is empty, a name is not valid UTF-8, or a table cannot be read.
    """
    said = read_tables(root)
    portraits = []
    for label, class_name in enumerate(CLASS_NAMES):
        folder = root / split / class_name
        needed = label != ARTIFACT or need_artifacts
        if not folder.is_dir():
            if not needed:
                continue
            raise DataError(f"no folder {folder}: make it with python organize_dataset.py --source YOUR_FILES")
        visible = (file for file in folder.iterdir() if not file.name.startswith("."))
        files = sorted(file for file in visible if file.suffix.lower() in IMAGE_SUFFIXES)
        if needed and not files:
            raise DataError(
                f"no pictures in {folder}: both classes are needed to train and to evaluate"
                + (", or --synthetic-fraction 1, which makes the artifacts itself" if label == ARTIFACT else "")
            )
        for file in files:
            name = file.relative_to(root).as_posix()
            if not is_utf8(name):
                if not skip_broken:
                    raise DataError(f"{str(file)!r}: its name is not valid UTF-8: rename it, or use --skip-broken")
                logger.warning("left out %r: its name is not valid UTF-8", str(file))
                continue
            portraits.append(Portrait(file, label, **said.get(name, {})))
    return portraits


def read_tables(root: Path) -> dict[str, dict[str, Any]]:
    """What the tables in ``root`` say of each picture, by its path: fields of ``Portrait``.

    Raises:
        DataError: a number is none, or a mask lies outside ``root``.
    """
    said: dict[str, dict[str, Any]] = {}
    for name, columns, optional in TABLES:
        try:
            for row in read_csv(root / name, ("path", *columns), optional):
                said.setdefault(row.pop("path"), {}).update(_fields(root, row))
        except ValueError as error:  # int() and float() of what a table holds
            raise DataError(f"{root / name} cannot be read ({error}): correct it, or remove it") from error
    return said


TABLES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("manifest.csv", ("group",), ()),
    ("faces.csv", FACE_COLUMNS, ()),
    ("artifacts.csv", ("kind",), ("strength", "mask", "unlabelled")),
)
"""Tables beside the class folders, their columns beside ``path``, and those that they may lack."""


def _fields(root: Path, row: dict[str, str]) -> dict[str, Any]:
    """A row of one of ``TABLES`` as fields of ``Portrait``."""
    if FACE_COLUMNS[0] in row:
        return {"face": tuple(float(row[column]) for column in FACE_COLUMNS)}
    if "kind" not in row:
        return dict(row)
    mask = root / row["mask"] if row["mask"] else None
    if mask is not None and not mask.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"the mask {row['mask']} lies outside {root}")
    unlabelled = tuple(row["unlabelled"].split())
    if unknown := [name for name in unlabelled if name not in FAMILY_NAMES]:
        raise ValueError(f"unlabelled: no family {unknown[0]!r} among {', '.join(FAMILY_NAMES)}")
    strength = float(row["strength"]) if row["strength"] else None
    return {"kind": row["kind"], "strength": strength, "mask": mask, "unlabelled": unlabelled}


def with_made_artifacts(
    portraits: Sequence[Portrait], *, seed: int = 0, kinds: Collection[str] | None = None
) -> list[Portrait]:
    """Clean portraits, and each of them once more with an artifact that is made when it is opened, always the same.

    Args:
        portraits: clean ones.
        seed: of the artifacts.
        kinds: of artifact, by default all.
    """
    made = []
    for portrait in portraits:  # its artifact is the same whatever others there are
        rng = np.random.default_rng([seed, zlib.crc32(portrait.path.name.encode())])
        kind = draw_kind(rng, kinds)
        made.append(replace(portrait, label=ARTIFACT, kind=kind, made=int(rng.integers(2**31))))
    return [*portraits, *made]


def read_sides(config: ResolvedConfig) -> dict[str, list[Portrait]]:
    """Which pictures are trained (``train``), validated (``validation``) and tested (``test``) on.

    Raises:
        DataError: a missing folder, an empty class, or groups that cannot be split.
    """
    options = {"need_artifacts": config.needs_labels, "skip_broken": config.skip_broken}
    folders = {"train": "train", "validation": "val"} | ({"test": "test"} if config.test else {})
    sides = {
        name: list_portraits(config.data, folder, **options)
        for name, folder in folders.items()
        if name == "train" or (config.data / folder).is_dir()
    }
    if "validation" not in sides:
        sides["train"], sides["validation"] = _split(config, sides["train"])
    elif config.without_generator:
        for name in ("train", "validation"):
            sides[name] = without_generator(sides[name], config.without_generator)
    if config.label_fraction < 1.0:
        sides["train"] = _some_of(sides["train"], config.label_fraction, np.random.default_rng(config.seed))
    return sides


def _split(config: ResolvedConfig, portraits: list[Portrait]) -> tuple[list[Portrait], list[Portrait]]:
    """Training and validation; without a generator the other portraits stay on their sides, if that can be."""

    def split(portraits: list[Portrait]) -> tuple[list[Portrait], list[Portrait]]:
        return split_by_group(portraits, validation_fraction=config.validation_fraction, seed=config.split_seed)

    if not config.without_generator:
        return split(portraits)
    others = without_generator(portraits, config.without_generator)
    training, validation = (
        [portrait for portrait in side if portrait.generator != config.without_generator] for side in split(portraits)
    )
    classes = {portrait.label for portrait in others}
    whole = all({portrait.label for portrait in side} == classes for side in (training, validation))
    return (training, validation) if whole else split(others)


def without_generator(portraits: Sequence[Portrait], generator: str) -> list[Portrait]:
    """The portraits that other generators made.

    Raises:
        DataError: there are none.
    """
    others = [portrait for portrait in portraits if portrait.generator != generator]
    if not others:
        raise DataError(f"all {len(portraits)} portraits are of {generator}: nothing is left to learn from without it")
    return others


def split_by_group(
    portraits: Sequence[Portrait], *, validation_fraction: float = 0.2, seed: int = 0
) -> tuple[list[Portrait], list[Portrait]]:
    """Split into training and validation so that no group is on both sides and both have the classes there are.

    Where some pictures have no group, near-duplicates are found and kept together, whatever group they are of. The
    share of artifacts is kept as even as the groups allow (scikit-learn's StratifiedGroupKFold). Do this before any
    oversampling.

    Args:
        portraits: at least two groups in each class that there is.
        validation_fraction: share of pictures wanted for validation, in (0, 0.5].
        seed: of the shuffle; the same seed gives the same split.

    Raises:
        DataError: the groups are too few to give both sides both classes.
        ValueError: the fraction is out of range.
    """
    if not 0.0 < validation_fraction <= 0.5:
        raise ValueError(f"validation fraction {validation_fraction} is out of range: choose one in (0, 0.5]")
    labels = np.array([portrait.label for portrait in portraits])
    groups = _group_names(portraits)
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise DataError("fewer than two groups of pictures: a validation set of other people cannot be split off")
    # scikit-learn wants as many pictures as folds in one class at least
    folds = min(round(1 / validation_fraction), n_groups, np.bincount(labels).max())
    if folds < 2:
        raise DataError("one picture of each class is too few: a validation set cannot be split off")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for training, validation in splitter.split(labels, labels, groups):
        if all(set(labels[side]) == set(labels) for side in (training, validation)):
            return [portraits[i] for i in training], [portraits[i] for i in validation]
    raise DataError(
        f"{n_groups} groups are too few to have both classes on both sides: "
        f"add pictures, or put a validation set into the folder val/"
    )


def _group_names(portraits: Sequence[Portrait]) -> np.ndarray:
    names = [portrait.group for portrait in portraits]
    if all(names):
        return np.array(names)
    return united_groups(names, near_duplicate_groups([portrait.path for portrait in portraits]).to_numpy())


def _some_of(portraits: Sequence[Portrait], share: float, rng: np.random.Generator) -> list[Portrait]:
    """That share of each class, one picture at least."""
    labels = np.array([portrait.label for portrait in portraits])
    chosen: list[int] = []
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        chosen += places[: max(1, round(share * len(places)))].tolist()
    return [portraits[i] for i in sorted(chosen)]
