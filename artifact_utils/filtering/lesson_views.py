"""What a detector makes of the pictures that are learned from: each is seen once, what it says is kept in memory."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artifact_utils.console import progress_bar
from artifact_utils.detector import Detector
from artifact_utils.device import amp_dtype
from artifact_utils.faces import Face, find_shares
from artifact_utils.filtering.lessons import NO_LOOK, Views
from artifact_utils.filtering.options import FilterError
from artifact_utils.images import ImageError
from artifact_utils.squares import ahead
from artifact_utils.synthesis import inject

logger = logging.getLogger(__name__)

OnProgress = Callable[[int, int], None]
"""Called with the number of pictures done and of all."""


class Seer:
    """Sees pictures with a detector, and says how far it is.

    Args:
        detector: with a locator.
        total: pictures, made ones too.
        on_progress: called after each.

    Raises:
        FilterError: the model has no locator.
    """

    def __init__(self, detector: Detector, total: int, on_progress: OnProgress | None) -> None:
        info = detector.info
        if detector.model.locator is None:
            raise FilterError(f"this {info.arch} does not say where artifacts are: learning needs a model that does")
        self.detector, self.total, self.on_progress, self.done = detector, total, on_progress, 0
        self.counted = [info.families.index(name) for name in detector.families] or [0]
        self.bar = progress_bar(None, "see", total=total, unit="img")

    def __enter__(self) -> "Seer":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def see(self, files: Iterable[Path]) -> tuple[list[int], Views]:
        """The places of those files that can be judged, and what is seen in them."""
        kept: list[int] = []
        families: list[Tensor] = []
        averages: list[Tensor] = []
        for place, squares in self._open(files):
            kept.append(place)
            for found, part in zip((families, averages), self._consider(squares), strict=True):
                found.append(part)
            self._step()
        return kept, self._views(families, averages)

    def see_with_made(self, files: Iterable[Path], rng: np.random.Generator) -> tuple[list[int], Views, Views]:
        """The places of those files that can be judged, what is seen in them, and what once each has a made artifact.

        The artifact lies in one of the looks.
        """
        kept: list[int] = []
        families: list[Tensor] = []
        averages: list[Tensor] = []
        for place, squares in self._open(files):
            look, changed = len(squares) // 2, squares.clone()
            picture = squares[look].permute(1, 2, 0).numpy()
            points = np.reshape(find_shares(picture), (-1, 2)) * (picture.shape[1], picture.shape[0])
            face = Face(*((float(x), float(y)) for x, y in points)) if len(points) else None
            made = inject(np.ascontiguousarray(picture), rng, face=face).image
            changed[look] = torch.from_numpy(made).permute(2, 0, 1)
            kept.append(place)
            for version in (squares, changed):
                for found, part in zip((families, averages), self._consider(version), strict=True):
                    found.append(part)
                self._step()
        clean, made_ones = (self._views(families[first::2], averages[first::2]) for first in (0, 1))
        return kept, clean, made_ones

    def _open(self, files: Iterable[Path]) -> Iterator[tuple[int, Tensor]]:
        """Place and squares of those that can be read and are large enough; a line says how many cannot."""
        left = 0
        for (place, _), squares in ahead(self._attempt, enumerate(files)):
            if squares is None:
                left += 1
            else:
                yield place, squares
        if left:
            logger.warning("%d pictures are unreadable or too small: nothing is learned from them", left)

    def _attempt(self, item: tuple[int, Path]) -> Tensor | None:
        try:
            seen = self.detector.see(item[1])
        except ImageError:
            return None
        return seen.squares if seen.looks else None

    @torch.inference_mode()
    def _consider(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (L, K) of the families that count, and averages (L, C) of the maps, in the looks at a picture."""
        model = self.detector.model
        device = next(model.parameters()).device
        images = self.detector.transform(squares.to(device)).contiguous(memory_format=torch.channels_last)
        dtype = amp_dtype(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            families, averages = model.consider(images)
        return families[:, self.counted].float().cpu(), averages.float().cpu()

    def _views(self, families: list[Tensor], averages: list[Tensor]) -> Views:
        looks = max((len(part) for part in families), default=1)
        model = self.detector.model
        n_channels = sum(model.backbone.n_channels)
        shapes = (len(families), looks, len(self.counted)), (len(families), looks, n_channels)
        all_families, all_averages = torch.full(shapes[0], NO_LOOK), torch.zeros(shapes[1])
        for row, (logits, means) in enumerate(zip(families, averages, strict=True)):
            all_families[row, : len(logits)], all_averages[row, : len(means)] = logits, means
        return Views(all_families, all_averages, has_gains=model.head is None)

    def _step(self) -> None:
        self.done += 1
        self.bar.update(1)
        if self.on_progress is not None:
            self.on_progress(self.done, self.total)
