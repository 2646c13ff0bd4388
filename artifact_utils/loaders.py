"""From a data set to batches: splitting by person, loading."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from torch.utils.data import DataLoader
from tqdm import tqdm

from artifact_utils import distributed
from artifact_utils.audit import find_duplicates, near_duplicate_groups, outline_pixels, united_groups
from artifact_utils.cache import DISK_BYTES, decode_squares
from artifact_utils.datasets import (
    ArtifactDataset,
    DataError,
    Portrait,
    Sample,
    list_portraits,
    with_made_artifacts,
)
from artifact_utils.images import ImageError
from artifact_utils.labels import ARTIFACT
from artifact_utils.sampling import EpochSampler
from artifact_utils.synthesis import FAMILIES, KINDS
from artifact_utils.transforms import RECIPES, Augment, build_augmentation


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
    folds = min(round(1 / validation_fraction), n_groups)
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


@dataclass(frozen=True)
class Loaders:
    """Batches of ``Sample`` with pictures in uint8; ``test`` is None where there is no test folder.

    With several processes each has its part: of every training batch a stretch, of the evaluation batches every so
    many, so that each is the same as in one process.
    """

    train: DataLoader[Sample]
    validation: DataLoader[Sample]
    test: DataLoader[Sample] | None


def build_loaders(
    root: Path,
    *,
    image_size: int,
    eval_size: int | None = None,
    batch_size: int = 32,
    augment: Augment = "heavy",
    augment_in_batches: bool = False,
    artifact_fraction: float | None = 0.5,
    synthetic_fraction: float = 0.0,
    paired: bool = False,
    harmless_fraction: float = 0.0,
    leave_out: str = "",
    label_fraction: float = 1.0,
    with_test: bool = True,
    validation_fraction: float = 0.2,
    split_seed: int = 0,
    seed: int = 0,
    workers: int = 0,
    pin_memory: bool = False,
    skip_broken: bool = False,
    cache: Path | None = None,
    cache_bytes: int = DISK_BYTES,
    part: tuple[int, int] = (0, 1),
) -> Loaders:
    """Read ``root/{train,val,test}`` and batch it; without ``val/``, validation is split off training by person.

    Args:
        root: a folder made by ``organize_dataset.py``.
        image_size: side of the training pictures.
        eval_size: side of the validation and test pictures; by default ``image_size``.
        batch_size: of training, in each process; evaluation takes twice as many, it keeps no gradients.
        augment: of training only.
        augment_in_batches: only draw it; the batches are left to ``augment_batch``, which a GPU does in no time.
        artifact_fraction, synthetic_fraction, paired: of the training draws, see ``EpochSampler``. Made artifacts are
            of the kinds that ``artifacts.csv`` names for the training pictures, of every kind where it names none. With
            a synthetic fraction of 1 no labelled artifact is needed: where a split has none, made ones stand in.
        harmless_fraction: of the clean training draws, see ``ArtifactDataset``.
        validation_fraction: share of the training pictures to validate on, if there is no ``val/``.
        leave_out: a family of artifacts that is made in validation and test only.
        label_fraction: share of the training pictures of each class that is used.
        with_test: whether the test folder is read.
        split_seed: of the split.
        seed: of order and augmentation.
        workers: processes that augment; 0 does it in this one.
        pin_memory: for copies to a GPU.
        skip_broken: go on without the pictures that cannot be read instead of stopping.
        cache, cache_bytes: folder of the decoded pictures and what it may hold, see ``decode_squares``.
        part: number of this process and how many there are.

    Raises:
        DataError: a missing folder, an empty class, groups that cannot be split, or pictures that cannot be read.
    """
    need_artifacts = artifact_fraction is None or synthetic_fraction < 1.0
    portraits = list_portraits(root, "train", need_artifacts=need_artifacts)
    if (root / "val").is_dir():
        sides = {"train": portraits, "validation": list_portraits(root, "val", need_artifacts=need_artifacts)}
    else:
        split = split_by_group(portraits, validation_fraction=validation_fraction, seed=split_seed)
        sides = dict(zip(("train", "validation"), split, strict=True))
    if label_fraction < 1.0:
        sides["train"] = _some_of(sides["train"], label_fraction, np.random.default_rng(seed))
    if with_test and (root / "test").is_dir():
        sides["test"] = list_portraits(root, "test", need_artifacts=need_artifacts)
    known = {portrait.kind for portrait in sides["train"]} & set(KINDS) or set(KINDS)
    kinds = known - set(FAMILIES.get(leave_out, ()))
    for seed_of_side, name in enumerate(("validation", "test")):
        if name in sides and not any(portrait.label == ARTIFACT for portrait in sides[name]):
            sides[name] = with_made_artifacts(sides[name], seed=seed_of_side, kinds=_drawable(known))

    sizes = {name: image_size if name == "train" else eval_size or image_size for name in sides}
    squares = {
        size: decode_squares(
            [portrait.path for name, side in sides.items() if sizes[name] == size for portrait in side],
            size,
            folder=cache,
            max_bytes=cache_bytes,
            progress=f"decode to {size} px" if part[0] == 0 else None,
        )
        for size in dict.fromkeys(sizes.values())
    }
    datasets = {
        name: ArtifactDataset(
            side,
            sizes[name],
            RECIPES[augment]
            if name == "train" and augment_in_batches and augment != "none"
            else build_augmentation(augment if name == "train" else "none"),
            squares=squares[sizes[name]],
            find_faces=synthetic_fraction > 0 if name == "train" else any(p.made is not None for p in side),
            kinds=_drawable(kinds),
            harmless_fraction=harmless_fraction if name == "train" else 0.0,
        )
        for name, side in sides.items()
    }
    _report_broken([error for dataset in datasets.values() for error in dataset.rejected], skip_broken)
    for name, dataset in datasets.items():
        if not (dataset.targets != ARTIFACT).any() or (need_artifacts and not (dataset.targets == ARTIFACT).any()):
            raise DataError(f"{root}: no readable picture is left of one class in {name}")

    options: dict[str, Any] = {
        "pin_memory": pin_memory,
        "generator": torch.Generator(),  # its own, so that going on in mid-epoch finds the global one as it was left
        "worker_init_fn": _set_up_worker,
    }

    validation = evaluation_loader(datasets["validation"], 2 * batch_size)
    test = evaluation_loader(datasets["test"], 2 * batch_size) if "test" in datasets else None

    n_parts = part[1]
    train = datasets["train"]
    batch_size = min(batch_size, len(train) // n_parts)
    sampler = EpochSampler(
        train.targets.numpy(),
        artifact_fraction=artifact_fraction,
        synthetic_fraction=synthetic_fraction,
        paired=paired,
        seed=seed,
        batch_size=batch_size * n_parts,
        part=part,
    )
    if workers:
        options |= {"num_workers": workers, "persistent_workers": True, "prefetch_factor": 4}
    training = DataLoader(train, batch_size, sampler=sampler, **options)
    return Loaders(training, validation, test)


def evaluation_loader(dataset: ArtifactDataset, batch_size: int) -> DataLoader[Sample]:
    """Batches of a data set in its order; several processes take them in turn, the same that one would make.

    Args:
        dataset: whose transform changes nothing at random.
        batch_size: pictures of a batch; the last may be smaller.
    """
    batches = torch.arange(len(dataset)).split(batch_size)
    own = [batch.tolist() for batch in batches[distributed.rank() :: distributed.world_size()]]
    return DataLoader(dataset, batch_sampler=own, pin_memory=torch.cuda.is_available(), generator=torch.Generator())


def _some_of(portraits: Sequence[Portrait], share: float, rng: np.random.Generator) -> list[Portrait]:
    """That share of each class, one picture at least."""
    labels = np.array([portrait.label for portrait in portraits])
    chosen: list[int] = []
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        chosen += places[: max(1, round(share * len(places)))].tolist()
    return [portraits[i] for i in sorted(chosen)]


def _drawable(kinds: set[str]) -> set[str] | None:
    """What ``draw_kind`` takes: all kinds are drawn by family."""
    return None if kinds == set(KINDS) else kinds


def duplicates_across(root: Path, loaders: Loaders) -> pd.DataFrame:
    """The near-duplicates that lie in more than one of training, validation and test, found on the decoded squares.

    Args:
        root: what ``path`` is told from.
        loaders: of ``build_loaders``.

    Returns:
        The table of ``audit.find_duplicates``.
    """
    rows = []
    for name in ("train", "validation", "test"):
        loader = getattr(loaders, name)
        for portrait in [] if loader is None else loader.dataset.portraits:
            if portrait.made is None:
                square = loader.dataset.squares[portrait.path].permute(1, 2, 0).numpy()
                path = portrait.path.relative_to(root).as_posix()
                place = {"path": path.encode(errors="backslashreplace").decode(), "split": name}  # as the scan does
                rows.append(place | {"class_name": portrait.path.parent.name} | outline_pixels(Image.fromarray(square)))
    return find_duplicates(pd.DataFrame(rows), across_splits=True)


def _set_up_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # the cores are taken by the other workers and the network
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _report_broken(errors: list[ImageError], skip_broken: bool) -> None:
    if not errors:
        return
    listing = "\n".join(f"  {error}" for error in errors)
    if not skip_broken:
        raise DataError(
            f"{len(errors)} pictures cannot be read:\n{listing}\nremove them, or go on without them: --skip-broken"
        )
    tqdm.write(f"going on without {len(errors)} pictures that cannot be read:\n{listing}")
