"""From a data set to batches: which pictures are trained, validated and tested on, and how they are loaded."""

import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from artifact_utils import distributed
from artifact_utils.config import ResolvedConfig
from artifact_utils.datasets import ArtifactDataset, Draw, Sample
from artifact_utils.images import ImageError
from artifact_utils.labels import ARTIFACT, Portrait
from artifact_utils.portraits import DataError, read_sides, with_made_artifacts
from artifact_utils.sampling import EpochSampler
from artifact_utils.squares import Squares, decode_squares
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
    if len(sides["train"]) < MIN_TRAINING:
        n = len(sides["train"])
        raise DataError(f"{config.data}: {n} training pictures are too few, {MIN_TRAINING} make the smallest batch")
    kinds = {portrait.kind for portrait in sides["train"]} & set(KINDS) or set(KINDS)
    for seed, name in enumerate(("validation", "test")):
        if name in sides and not any(portrait.label == ARTIFACT for portrait in sides[name]):
            sides[name] = with_made_artifacts(sides[name], seed=seed, kinds=_drawable(kinds))
    datasets = _build_datasets(config, sides, _drawable(kinds - set(FAMILIES.get(config.leave_out, ()))))
    _report_broken([error for dataset in datasets.values() for error in dataset.rejected], config.skip_broken)
    for name, dataset in datasets.items():
        if not (dataset.targets != ARTIFACT).any() or (config.needs_labels and not dataset.targets.any()):
            raise DataError(f"{config.data}: no readable picture is left of one class in {name}")
    evaluated = {
        name: evaluation_loader(datasets[name], 2 * config.batch_size)  # twice as many: it keeps no gradients
        for name in ("validation", "test")
        if name in datasets
    }
    return Loaders(_training_loader(config, datasets["train"]), evaluated["validation"], evaluated.get("test"))


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
