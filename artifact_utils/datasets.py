"""Labelled portraits as tensors: reading the folders, splitting by person, balancing the classes, batching."""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2
from tqdm.auto import tqdm

from artifact_utils.faces import find_shares
from artifact_utils.files import read_csv
from artifact_utils.images import IMAGE_SUFFIXES, ImageError, load_image
from artifact_utils.labels import ARTIFACT, CLASS_NAMES
from artifact_utils.losses import UNKNOWN
from artifact_utils.synthesis import FACE_COLUMNS, Face, inject
from artifact_utils.transforms import Augment, build_transforms, to_square

CACHE_BYTES = 2 * 1024**3  # decoded pictures kept in memory; a larger set is decoded again every epoch
QUEUE_LENGTH = 64  # pictures decoded ahead of the consumer


class DataError(ValueError):
    """A data set that cannot be trained or evaluated on."""


@dataclass(frozen=True)
class Portrait:
    """One labelled file.

    ``group`` is the person (or the prompt family) it shows, empty where nobody said; ``face`` holds the points of
    ``synthesis.Face`` as ten numbers, x and y as shares of the width and the height, empty where nobody said.
    """

    path: Path
    label: int
    group: str = ""
    face: tuple[float, ...] = ()


def list_portraits(root: Path, split: str) -> list[Portrait]:
    """List ``root/split/{artifacts,no_artifacts}/*`` in the order of the names.

    The label comes from the folder's name, never from its place in the alphabet. Groups come from
    ``root/manifest.csv``, which ``organize_dataset.py`` writes, and the place of the face from ``root/faces.csv``, if
    there is one: it tells made artifacts where to sit.

    Raises:
        DataError: a folder is missing, or a class is empty.
    """
    groups = {row["path"]: row["group"] for row in read_csv(root / "manifest.csv", ("path", "group"))}
    faces = read_faces(root / "faces.csv")
    portraits = []
    for label, class_name in enumerate(CLASS_NAMES):
        folder = root / split / class_name
        if not folder.is_dir():
            raise DataError(f"no folder {folder}: make it with python organize_dataset.py --source YOUR_FILES")
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"no pictures in {folder}: both classes are needed to train and to evaluate")
        for file in files:
            name = file.relative_to(root).as_posix()
            portraits.append(Portrait(file, label, groups.get(name, ""), faces.get(name, ())))
    return portraits


def read_faces(file: Path) -> dict[str, tuple[float, ...]]:
    """The five points of each face by path; none if there is no such file.

    Raises:
        DataError: a row holds something else than numbers.
    """
    try:
        rows = read_csv(file, ("path", *FACE_COLUMNS))
        return {row["path"]: tuple(float(row[column]) for column in FACE_COLUMNS) for row in rows}
    except ValueError as error:
        raise DataError(f"{file} cannot be read ({error}): correct it, or remove it") from error


def split_by_group(
    portraits: Sequence[Portrait], *, validation_fraction: float = 0.2, seed: int = 0
) -> tuple[list[Portrait], list[Portrait]]:
    """Split into training and validation so that no group is on both sides and both have both classes.

    Pictures without a group are grouped by near-duplicate perceptual hashes first. The share of artifacts is kept
    as even as the groups allow (scikit-learn's StratifiedGroupKFold). Do this before any oversampling.

    Args:
        portraits: at least two groups in each class.
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
        if all(len(np.unique(labels[side])) == 2 for side in (training, validation)):
            return [portraits[i] for i in training], [portraits[i] for i in validation]
    raise DataError(
        f"{n_groups} groups are too few to have both classes on both sides: "
        f"add pictures, or put a validation set into the folder val/"
    )


def _group_names(portraits: Sequence[Portrait]) -> np.ndarray:
    names = np.array([portrait.group for portrait in portraits], dtype=object)
    unknown = [i for i, name in enumerate(names) if not name]
    if unknown:
        from artifact_utils.audit import near_duplicate_groups

        found = near_duplicate_groups([portraits[i].path for i in unknown])
        names[unknown] = [f"near-duplicates {group}" for group in found]
    return names.astype(str)


@dataclass(frozen=True)
class Draw:
    """What a sampler hands to ``ArtifactDataset``: which picture, the seed of all that is random about it, and whether
    it is to be given an artifact first."""

    index: int
    seed: int
    inject: bool = False


class Sample(NamedTuple):
    """A portrait as the model sees it; in a batch everything has one dimension more.

    ``image`` is float32 (3, S, S), ``target`` int64, 1 for artifact, ``mask`` uint8 (1, S, S): 1 where the artifact is,
    0 where none is, all ``losses.UNKNOWN`` for an artifact that somebody labelled without saying where it is.
    """

    image: Tensor
    target: Tensor
    mask: Tensor


class ArtifactDataset(Dataset[Sample]):
    """Portraits, their labels and masks: artifact is 1 whatever the folders are called or sorted like.

    Every file is decoded once, when the data set is made. Broken ones are set aside in ``rejected``; the others are
    kept in memory as uint8 as long as the whole set fits into ``CACHE_BYTES``.

    Args:
        portraits: what ``list_portraits`` or ``split_by_group`` gave.
        image_size: side of the square tensors in pixels.
        transform: from uint8 (3, image_size, image_size) to the float tensor that the model reads.
        progress: label of the progress bar, None for no bar.
        find_faces: look for the face, once, where nobody said where it is: made artifacts then sit on it.
    """

    def __init__(
        self,
        portraits: Sequence[Portrait],
        image_size: int,
        transform: v2.Transform,
        *,
        progress: str | None = None,
        find_faces: bool = False,
    ) -> None:
        self.image_size, self.transform = image_size, transform
        self.portraits: list[Portrait] = []
        self.rejected: list[ImageError] = []
        shape = (len(portraits), 3, image_size, image_size)
        pixels = torch.empty(shape, dtype=torch.uint8) if np.prod(shape) <= CACHE_BYTES else None
        decoded = decode_stream((portrait.path for portrait in portraits), image_size)
        bar = decoded if progress is None else tqdm(decoded, progress, len(portraits), unit="img")
        for portrait, (_, tensor) in zip(portraits, bar, strict=True):
            if isinstance(tensor, ImageError):
                self.rejected.append(tensor)
                continue
            if pixels is not None:
                pixels[len(self.portraits)] = tensor
            if find_faces and not portrait.face:
                portrait = replace(portrait, face=find_shares(tensor.permute(1, 2, 0).numpy()))
            self.portraits.append(portrait)
        self.pixels = None if pixels is None else pixels[: len(self.portraits)]
        self.targets = torch.tensor([portrait.label for portrait in self.portraits], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.portraits)

    def __getitem__(self, draw: Draw | int) -> Sample:
        """The picture, its label and its mask; what a ``Draw`` gives is the same whichever process asks for it."""
        if isinstance(draw, int):
            return self._sample(self._square(draw), self.targets[draw], None)
        square, target, mask = self._square(draw.index), self.targets[draw.index], None
        if draw.inject:
            points = np.reshape(self.portraits[draw.index].face, (-1, 2)) * self.image_size
            face = Face(*((float(x), float(y)) for x, y in points)) if len(points) else None
            rng = np.random.default_rng(draw.seed)
            injected = inject(square.permute(1, 2, 0).numpy(), rng, face=face)
            square, target = torch.from_numpy(injected.image).permute(2, 0, 1), torch.tensor(ARTIFACT)
            mask = torch.from_numpy(injected.mask.astype(np.uint8)).unsqueeze(0)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw.seed)
            return self._sample(square, target, mask)

    def _sample(self, square: Tensor, target: Tensor, mask: Tensor | None) -> Sample:
        if mask is not None:
            image, moved = self.transform(tv_tensors.Image(square), tv_tensors.Mask(mask))
            return Sample(image.as_subclass(Tensor), target, moved.as_subclass(Tensor))
        shape, value = (1, self.image_size, self.image_size), UNKNOWN if target == ARTIFACT else 0
        return Sample(self.transform(square), target, torch.full(shape, value, dtype=torch.uint8))

    def _square(self, index: int) -> Tensor:
        return self.pixels[index] if self.pixels is not None else decode(self.portraits[index].path, self.image_size)


def decode(path: Path, image_size: int) -> Tensor:
    """Open a picture as a square uint8 tensor (3, image_size, image_size).

    Raises:
        ImageError: the file is not a whole picture; the message names it.
    """
    return to_square(load_image(path, min_side=image_size), image_size)


def decode_stream(
    paths: Iterable[Path], image_size: int, *, workers: int | None = None
) -> Iterator[tuple[Path, Tensor | ImageError]]:
    """Decode files ahead of the consumer, in order; memory does not grow with the number of files.

    Args:
        paths: any number of files, read lazily.
        image_size: side of the squares in pixels.
        workers: threads, by default one a core: PIL decodes and resizes outside the interpreter lock.

    Yields:
        Each path with its uint8 tensor (3, image_size, image_size), or with the error that says what is wrong with it.
    """

    def attempt(path: Path) -> Tensor | ImageError:
        try:
            return decode(path, image_size)
        except ImageError as error:
            return error

    pending: deque[tuple[Path, Future[Tensor | ImageError]]] = deque()
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for path in paths:
            pending.append((path, pool.submit(attempt, path)))
            if len(pending) == QUEUE_LENGTH:
                path, future = pending.popleft()
                yield path, future.result()
        for path, future in pending:
            yield path, future.result()


class EpochSampler(Sampler[Draw]):
    """The draws of one epoch, a pure function of the seed and the epoch: an interrupted epoch can be gone on with.

    Args:
        targets: (N,) class numbers.
        artifact_fraction: share of artifacts among the draws; the rare class is repeated, each time with another
            augmentation, and the common one drawn without repetition. None: every picture once.
        synthetic_fraction: share of those artifacts that is not repeated but made on the spot, on clean pictures.
        seed: of the order, the augmentations and the artifacts that are made.
    """

    def __init__(
        self,
        targets: np.ndarray,
        *,
        artifact_fraction: float | None = 0.5,
        synthetic_fraction: float = 0.0,
        seed: int = 0,
    ) -> None:
        if artifact_fraction is not None and not 0.0 < artifact_fraction < 1.0:
            raise ValueError(f"artifact fraction {artifact_fraction} is out of range: choose one in (0, 1), or None")
        if not 0.0 <= synthetic_fraction <= 1.0:
            raise ValueError(f"synthetic fraction {synthetic_fraction} is out of range: choose one in [0, 1]")
        if artifact_fraction is not None and len(np.unique(targets)) < 2:
            raise ValueError("cannot balance one class: the targets hold only the other")
        self.targets, self.seed = np.asarray(targets), seed
        self.artifact_fraction, self.synthetic_fraction = artifact_fraction, synthetic_fraction
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and how many of its draws are already done."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return len(self.targets) - self.start

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        draws = self._choose(rng)
        seeds = rng.integers(2**63, size=len(draws))
        for (index, injected), seed in list(zip(draws, seeds, strict=True))[self.start :]:
            yield Draw(int(index), int(seed), bool(injected))

    def _choose(self, rng: np.random.Generator) -> np.ndarray:
        """The pictures of the epoch in order, and which of them are given an artifact: (N, 2)."""
        n = len(self.targets)
        if self.artifact_fraction is None:
            return np.column_stack([rng.permutation(n), np.zeros(n, dtype=int)])
        n_artifacts = round(n * self.artifact_fraction)
        n_made = round(n_artifacts * self.synthetic_fraction)
        artifacts, clean = np.flatnonzero(self.targets == ARTIFACT), np.flatnonzero(self.targets != ARTIFACT)
        found = _cycle(artifacts, n_artifacts - n_made, rng)
        indices = np.concatenate([found, _cycle(clean, n - n_artifacts, rng), _cycle(clean, n_made, rng)])
        return rng.permutation(np.column_stack([indices, np.arange(n) >= n - n_made]))


def _cycle(indices: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n of them in shuffled rounds, so that none is drawn twice more often than another."""
    rounds = [rng.permutation(indices) for _ in range(-(-n // len(indices)))]
    return np.concatenate(rounds)[:n] if rounds else indices[:0]


@dataclass(frozen=True)
class Loaders:
    """Batches of ``Sample``; ``test`` is None where there is no test folder."""

    train: DataLoader[Sample]
    validation: DataLoader[Sample]
    test: DataLoader[Sample] | None


def build_loaders(
    root: Path,
    *,
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = 32,
    augment: Augment = "heavy",
    artifact_fraction: float | None = 0.5,
    synthetic_fraction: float = 0.0,
    validation_fraction: float = 0.2,
    seed: int = 0,
    workers: int = 0,
    pin_memory: bool = False,
    skip_broken: bool = False,
) -> Loaders:
    """Read ``root/{train,val,test}`` and batch it; without ``val/``, validation is split off training by person.

    Args:
        root: a folder made by ``organize_dataset.py``.
        image_size, mean, std: what the model reads.
        batch_size: of training; evaluation takes twice as many, it keeps no gradients.
        augment: of training only.
        artifact_fraction, synthetic_fraction: of the training draws, see ``EpochSampler``.
        validation_fraction: share of the training pictures to validate on, if there is no ``val/``.
        seed: of split, order and augmentation.
        workers: processes that augment; 0 does it in this one.
        pin_memory: for copies to a GPU.
        skip_broken: go on without the pictures that cannot be read instead of stopping.

    Raises:
        DataError: a missing folder, an empty class, groups that cannot be split, or pictures that cannot be read.
    """
    portraits = list_portraits(root, "train")
    if (root / "val").is_dir():
        sides = {"train": portraits, "validation": list_portraits(root, "val")}
    else:
        split = split_by_group(portraits, validation_fraction=validation_fraction, seed=seed)
        sides = dict(zip(("train", "validation"), split, strict=True))
    if (root / "test").is_dir():
        sides["test"] = list_portraits(root, "test")

    plain = build_transforms(mean, std)
    augmented = build_transforms(mean, std, augment=augment)
    datasets = {
        name: ArtifactDataset(side, image_size, augmented if name == "train" else plain, progress=f"decode {name}")
        for name, side in sides.items()
    }
    _report_broken([error for dataset in datasets.values() for error in dataset.rejected], skip_broken)
    for name, dataset in datasets.items():
        if len(dataset.targets.unique()) < 2:
            raise DataError(f"{root}: no readable picture is left of one class in {name}")

    def loader(name: str) -> DataLoader[Sample]:
        dataset, train = datasets[name], name == "train"
        sampler = EpochSampler(
            dataset.targets.numpy(),
            artifact_fraction=artifact_fraction,
            synthetic_fraction=synthetic_fraction,
            seed=seed,
        )
        return DataLoader(
            dataset,
            batch_size=min(batch_size, len(dataset)) if train else 2 * batch_size,
            sampler=sampler if train else None,
            drop_last=train,  # batch norm cannot learn from a last batch of one
            num_workers=workers if train else 0,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # its own, so that going on in mid-epoch finds the global one as it was left
            worker_init_fn=_set_up_worker,
        )

    return Loaders(loader("train"), loader("validation"), loader("test") if "test" in datasets else None)


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
