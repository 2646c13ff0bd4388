"""Labelled portraits as tensors: one sample of image, label and mask."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from artifact_utils.faces import Face, find_shares
from artifact_utils.images import ImageError
from artifact_utils.labels import ANY_FAMILY, ARTIFACT, CLEAN, FAMILY_NAMES, Portrait, mask_number
from artifact_utils.losses import ABSENT, PRESENT, UNKNOWN, UNLABELLED
from artifact_utils.masks import read_numbers, square_mask
from artifact_utils.squares import Squares, decode_squares
from artifact_utils.synthesis import FAMILY_OF, TWINS, harmless_edit, inject
from artifact_utils.transforms.augmentation import Recipe, draw_change, encode_change, jpeg_round_trip
from artifact_utils.transforms.framing import Frame, close_up, draw_frame, finish

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draw:
    """What a sampler hands to ``ArtifactDataset``: which picture, the seed of all that is random about it, and whether
    it is to be given an artifact first."""

    index: int
    seed: int
    inject: bool = False


class Sample(NamedTuple):
    """A portrait as the model sees it; in a batch everything has one dimension more.

    ``image`` is (3, S, S) as the transform leaves it, ``target`` int64, 1 for artifact, ``mask`` uint8 (1, S, S): 0
    where no artifact is, ``labels.mask_number`` of the family where one is, all ``losses.UNKNOWN`` for an artifact that
    somebody labelled without saying where it is. ``families`` is int8 (len(FAMILY_NAMES),): of each whether it is in
    the picture, ``losses.PRESENT``, ``ABSENT`` or ``UNLABELLED``. ``change`` is what ``augment_batch`` is still to do
    to it, empty where that is nothing.
    """

    image: Tensor
    target: Tensor
    mask: Tensor
    families: Tensor
    change: Tensor = torch.empty(0)


class ArtifactDataset(Dataset[Sample]):
    """Portraits, their labels and masks: artifact is 1 whatever the folders are called or sorted like.

    Every file is decoded once, see ``decode_squares``. Broken ones are set aside in ``rejected``.

    Args:
        portraits: what ``list_portraits``, ``split_by_group`` or ``with_made_artifacts`` gave.
        image_size: side of the square tensors in pixels.
        transform: of uint8 (3, image_size, image_size), and of a mask with it. A ``Recipe`` instead is only drawn from
            here, for ``augment_batch``.
        squares: the pictures, decoded already; None decodes them now, into memory.
        find_faces: look for the face, once, where nobody said where it is: made artifacts then sit on it.
        kinds: of the artifacts that are made, by default all.
        harmless_fraction: share of the clean draws that are edited without a fault, so that "edited" teaches nothing.
        gaze: share of the artifacts made for a ``Draw`` that are of that family, whatever ``kinds`` are.
        twins: share of the clean draws that get a harmless twin of an artifact, of ``synthesis.TWINS``.
        frames: share of the draws that are framed anew, see ``transforms.framing``.
    """

    def __init__(
        self,
        portraits: Sequence[Portrait],
        image_size: int,
        transform: v2.Transform | Recipe,
        *,
        squares: Squares | None = None,
        find_faces: bool = False,
        kinds: Collection[str] | None = None,
        harmless_fraction: float = 0.0,
        gaze: float = 0.0,
        twins: float = 0.0,
        frames: float = 0.0,
    ) -> None:
        self.image_size, self.transform = image_size, transform
        self.kinds, self.harmless_fraction, self.gaze = kinds, harmless_fraction, gaze
        self.twins, self.frames = twins, frames
        self._broken_masks: set[Path] = set()
        self.squares = squares or decode_squares([portrait.path for portrait in portraits], image_size)
        self.portraits: list[Portrait] = []
        self.rejected: list[ImageError] = []
        for portrait in portraits:
            if portrait.path in self.squares.errors:
                self.rejected.append(self.squares.errors[portrait.path])
                continue
            if find_faces and not portrait.face:
                portrait = replace(portrait, face=find_shares(self.squares[portrait.path].permute(1, 2, 0).numpy()))
            self.portraits.append(portrait)
        self.targets = torch.tensor([portrait.label for portrait in self.portraits], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.portraits)

    def __getitem__(self, draw: Draw | int) -> Sample:
        """The picture, its label and its mask; what a ``Draw`` gives is the same whichever process asks for it."""
        if isinstance(draw, int):
            return self._sample(self._open(draw, self.portraits[draw].made))
        made = draw.seed if draw.inject else self.portraits[draw.index].made
        frame = self._frame(draw, made)
        opened = self._open(draw.index, made, frame)
        if opened.label == CLEAN:
            opened = self._edited(opened, draw.seed)
        square, mask = finish(frame, opened.square, opened.mask)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw.seed)
            return self._sample(replace(opened, square=square, mask=mask))

    def _frame(self, draw: Draw, made: int | None) -> Frame:
        """How a draw is framed; an artifact that somebody labelled is never cut off."""
        if not self.frames or (rng := np.random.default_rng([draw.seed, 3])).random() >= self.frames:
            return Frame()
        frame = draw_frame(rng, self._face(draw.index), self.image_size)
        labelled = made is None and self.portraits[draw.index].label == ARTIFACT
        return Frame(resolution=frame.resolution) if labelled else frame

    def _edited(self, opened: "_Opened", seed: int) -> "_Opened":
        """A clean picture with the harmless edits that its seed draws."""
        square = opened.square
        if self.harmless_fraction and (rng := np.random.default_rng([seed, 1])).random() < self.harmless_fraction:
            square, _ = harmless_edit(square, rng, face=opened.face)
        if self.twins and (rng := np.random.default_rng([seed, 4])).random() < self.twins:
            square, _ = harmless_edit(square, rng, face=opened.face, kinds=[twin.__name__ for twin in TWINS])
        return replace(opened, square=square)

    def _open(self, index: int, made: int | None, frame: Frame = Frame()) -> "_Opened":  # noqa: B008 (it is frozen)
        """A square picture and what is known of it, with an artifact made by the seed ``made`` if there is one."""
        portrait = self.portraits[index]
        square, face = close_up(frame, self.squares[portrait.path].permute(1, 2, 0).numpy(), self._face(index))
        if made is None:
            mask = self._drawn(portrait)  # a frame never cuts off what is labelled
            return _Opened(square, portrait.label, family_of(portrait), mask, portrait.unlabelled, face)
        rng = np.random.default_rng(made)
        kind = None if portrait.made is None else portrait.kind  # which was drawn when it was planned
        if kind is None and self.gaze and np.random.default_rng([made, 2]).random() < self.gaze:
            kind = "gaze"
        injected = inject(square, rng, kind=kind, kinds=self.kinds, face=face)
        family = FAMILY_OF[injected.kind]
        mask = injected.mask * np.uint8(mask_number(family))
        return _Opened(injected.image, ARTIFACT, family, mask, portrait.unlabelled, face)

    def _drawn(self, portrait: Portrait) -> np.ndarray | None:
        """Where somebody has drawn the artifact of a portrait, uint8 (S, S) as in ``Sample``; None where nobody has."""
        if portrait.mask is None or portrait.label != ARTIFACT:
            return None
        try:
            mask = square_mask(read_numbers(portrait.mask, family_of(portrait)), self.image_size)
        except ImageError as error:
            if portrait.mask not in self._broken_masks:
                logger.warning("going on without a mask that cannot be read: %s", error)
                self._broken_masks.add(portrait.mask)
            return None
        return mask if mask.any() else None

    def _face(self, index: int) -> Face | None:
        points = np.reshape(self.portraits[index].face, (-1, 2)) * self.image_size
        return Face(*((float(x), float(y)) for x, y in points)) if len(points) else None

    def _sample(self, opened: "_Opened") -> Sample:
        target, said = torch.tensor(opened.label), opened.said()
        square, mask = torch.from_numpy(opened.square).permute(2, 0, 1), opened.mask
        shape, value = (1, self.image_size, self.image_size), UNKNOWN if opened.label == ARTIFACT else 0
        plain_mask = torch.full(shape, value, dtype=torch.uint8) if mask is None else torch.from_numpy(mask)[None]
        if isinstance(self.transform, Recipe):
            change = draw_change(self.transform, self.image_size)
            if change.quality is not None:
                square = torch.from_numpy(jpeg_round_trip(opened.square, change.quality)).permute(2, 0, 1)
            return Sample(square, target, plain_mask, said, encode_change(change, self.image_size))
        if mask is None:
            return Sample(self.transform(square), target, plain_mask, said)
        image, moved = self.transform(tv_tensors.Image(square), tv_tensors.Mask(plain_mask))
        return Sample(image.as_subclass(Tensor), target, moved.as_subclass(Tensor), said)


def unchanged(portraits: Sequence[Portrait], image_size: int, *, squares: Squares | None = None) -> ArtifactDataset:
    """Portraits as they are, to be evaluated: nothing at random, and made artifacts where the face is.

    Raises:
        ImageError: one of them cannot be read.
    """
    find_faces = any(portrait.made is not None for portrait in portraits)
    dataset = ArtifactDataset(portraits, image_size, v2.Identity(), squares=squares, find_faces=find_faces)
    for error in dataset.rejected:
        raise error
    return dataset


@dataclass(frozen=True)
class _Opened:
    """A square picture, uint8 (S, S, 3), its label, the family of its artifact (empty where nobody knows) and where
    that is: uint8 (S, S) as in ``Sample``, None where nobody knows. Nobody knows of the families ``unlabelled``.
    ``face`` is where the face is in it, if that is known."""

    square: np.ndarray
    label: int
    family: str
    mask: np.ndarray | None
    unlabelled: tuple[str, ...]
    face: Face | None

    def said(self) -> Tensor:
        """``Sample.families``. A labelled artifact may have others beside it."""
        found = set() if self.mask is None else set(np.unique(self.mask).tolist()) - {0}
        told = self.label == CLEAN or (found and ANY_FAMILY not in found)  # all that is wrong has its family
        rest = ABSENT if told else UNLABELLED
        said = {name: UNLABELLED if name in self.unlabelled else rest for name in FAMILY_NAMES}
        if self.label == ARTIFACT and self.family:
            said[self.family] = PRESENT
        said |= {name: PRESENT for name in FAMILY_NAMES if mask_number(name) in found}
        return torch.tensor(list(said.values()), dtype=torch.int8)


def family_of(portrait: Portrait) -> str:
    """The family of a portrait's artifact, whose ``kind`` may be a family; empty where nobody said."""
    return FAMILY_OF.get(portrait.kind, portrait.kind if portrait.kind in FAMILY_NAMES else "")
