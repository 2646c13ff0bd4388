"""From a data set to batches: which pictures are trained, validated and tested on, and how they are loaded."""

import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch.utils.data import DataLoader

from artifact_utils import distributed
from artifact_utils.audit import near_duplicate_groups, united_groups
from artifact_utils.cache.squares import Squares, decode_squares
from artifact_utils.config import ResolvedConfig
from artifact_utils.datasets import ArtifactDataset, DataError, Draw, Sample, list_portraits, with_made_artifacts
from artifact_utils.images import ImageError
from artifact_utils.labels import ARTIFACT, Portrait
from artifact_utils.sampling import EpochSampler
from artifact_utils.synthesis import FAMILIES, KINDS
from artifact_utils.transforms.augmentation import RECIPES, build_augmentation

logger = logging.getLogger(__name__)

MIN_TRAINING = 2
"""Pictures of the smallest training set, for each process: batch norm cannot learn from one."""


@dataclass(frozen=True)
class Loaders:
    """Batches of ``Sample`` with pictures in uint8; ``test`` is None where there is no test folder.

    With several processes each has its share: of every training batch a stretch, of the evaluation batches every so
    many, so that each is the same as in one process.
    """

    train: DataLoader[Sample]
    validation: DataLoader[Sample]
    test: DataLoader[Sample] | None


def build_loaders(config: ResolvedConfig) -> Loaders:
    """Read ``config.data/{train,val,test}`` and batch it; without ``val/``, validation is split off training by person.

    Made artifacts are of the kinds that ``artifacts.csv`` names for the training pictures, of every kind where it names
    none; ``config.leave_out`` is left out of training alone. With a synthetic fraction of 1 no labelled artifact is
    needed: where validation or test has none, made ones stand in.

    Raises:
        DataError: a missing folder, an empty class, groups that cannot be split, or pictures that cannot be read.
    """
    sides = read_sides(config)
    kinds = {portrait.kind for portrait in sides["train"]} & set(KINDS) or set(KINDS)
    for seed, name in enumerate(("validation", "test")):
        if name in sides and not any(portrait.label == ARTIFACT for portrait in sides[name]):
            sides[name] = with_made_artifacts(sides[name], seed=seed, kinds=_drawable(kinds))
    datasets = _build_datasets(config, sides, _drawable(kinds - set(FAMILIES.get(config.leave_out, ()))))
    _report_broken([error for dataset in datasets.values() for error in dataset.rejected], config.skip_broken)
    for name, dataset in datasets.items():
        if not (dataset.targets != ARTIFACT).any() or (_needs_labels(config) and not dataset.targets.any()):
            raise DataError(f"{config.data}: no readable picture is left of one class in {name}")
    evaluated = {
        name: evaluation_loader(datasets[name], 2 * config.batch_size)  # twice as many: it keeps no gradients
        for name in ("validation", "test")
        if name in datasets
    }
    return Loaders(_training_loader(config, datasets["train"]), evaluated["validation"], evaluated.get("test"))


def read_sides(config: ResolvedConfig) -> dict[str, list[Portrait]]:
    """Which pictures are trained (``train``), validated (``validation``) and tested (``test``) on.

    Raises:
        DataError: a missing folder, an empty class, or groups that cannot be split.
    """
    options = {"need_artifacts": _needs_labels(config), "skip_broken": config.skip_broken}
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
    if len(sides["train"]) < MIN_TRAINING:
        n = len(sides["train"])
        raise DataError(f"{config.data}: {n} training pictures are too few, {MIN_TRAINING} make the smallest batch")
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


def _needs_labels(config: ResolvedConfig) -> bool:
    return config.artifact_fraction is None or config.synthetic_fraction < 1.0


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


def _drawable(kinds: set[str]) -> set[str] | None:
    """What ``draw_kind`` takes: all kinds are drawn by family."""
    return None if kinds == set(KINDS) else kinds


def _build_datasets(
    config: ResolvedConfig, sides: dict[str, list[Portrait]], kinds: set[str] | None
) -> dict[str, ArtifactDataset]:
    sizes = {name: config.image_size if name == "train" else config.eval_size for name in sides}
    squares = {size: _decode(config, sides, sizes, size) for size in dict.fromkeys(sizes.values())}
    if config.augment != "none" and config.device.startswith("cuda"):
        augmentation: Any = RECIPES[config.augment]  # only drawn: the GPU changes whole batches
    else:
        augmentation = build_augmentation(config.augment)
    datasets = {}
    for name, portraits in sides.items():
        is_train = name == "train"
        datasets[name] = ArtifactDataset(
            portraits,
            sizes[name],
            augmentation if is_train else build_augmentation("none"),
            squares=squares[sizes[name]],
            find_faces=config.synthetic_fraction > 0 if is_train else any(p.made is not None for p in portraits),
            kinds=kinds,
            harmless_fraction=config.harmless_fraction if is_train else 0.0,
            gaze=config.gaze if is_train else 0.0,
            twins=config.twins if is_train else 0.0,
            frames=config.frames if is_train else 0.0,
        )
    return datasets


def _decode(config: ResolvedConfig, sides: dict[str, list[Portrait]], sizes: dict[str, int], size: int) -> Squares:
    return decode_squares(
        [portrait.path for name, portraits in sides.items() if sizes[name] == size for portrait in portraits],
        size,
        folder=config.cache,
        max_bytes=round(config.cache_gb * 1e9),
        progress=f"decode to {size} px" if distributed.rank() == 0 else None,
    )


def _training_loader(config: ResolvedConfig, dataset: ArtifactDataset) -> DataLoader[Sample]:
    n_processes = distributed.world_size()
    batch_size = min(config.batch_size, len(dataset) // n_processes)
    if batch_size < MIN_TRAINING:
        raise DataError(f"{config.data}: {len(dataset)} training pictures are too few for {n_processes} processes")
    sampler = EpochSampler(
        dataset.targets.numpy(),
        artifact_fraction=config.artifact_fraction,
        synthetic_fraction=config.synthetic_fraction,
        paired=config.paired,
        seed=config.seed,
        batch_size=batch_size * n_processes,
        rank=distributed.rank(),
        world_size=n_processes,
        names=[portrait.path.name for portrait in dataset.portraits] if config.draws else (),
    )
    return DataLoader(dataset, batch_size, sampler=sampler, **_loading(config.workers))


def evaluation_loader(dataset: ArtifactDataset, batch_size: int) -> DataLoader[Sample]:
    """Batches of a data set in its order; several processes take them in turn, the same that one would make.

    Args:
        dataset: whose transform changes nothing at random.
        batch_size: pictures of a batch; the last may be smaller.
    """
    batches = torch.arange(len(dataset)).split(batch_size)
    own = [batch.tolist() for batch in batches[distributed.rank() :: distributed.world_size()]]
    return loader_of(dataset, own)


def loader_of(
    dataset: ArtifactDataset, batches: Sequence[Sequence[Draw | int]], *, workers: int = 0
) -> DataLoader[Sample]:
    """These batches of a data set, loaded by so many processes."""
    return DataLoader(dataset, batch_sampler=batches, **_loading(workers))  # type: ignore[arg-type]


def _loading(workers: int = 0) -> dict[str, Any]:
    """What all loaders share. Each has a generator of its own, so that none draws from the global one."""
    pinned = torch.cuda.is_available()
    options = {"pin_memory": pinned, "generator": torch.Generator(), "worker_init_fn": _set_up_worker}
    return options | ({"num_workers": workers, "persistent_workers": True, "prefetch_factor": 4} if workers else {})


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
    logger.warning("going on without %d pictures that cannot be read:\n%s", len(errors), listing)
