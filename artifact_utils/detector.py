"""A trained model, ready to use on pictures and on any number of files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from artifact_utils.config import ConfigError, resolve_device
from artifact_utils.datasets import decode_stream
from artifact_utils.images import ImageError, load_image
from artifact_utils.models import ArtifactClassifier, ModelInfo, fuse_batch_norm, load_checkpoint
from artifact_utils.training import amp_dtype
from artifact_utils.transforms import build_transforms, to_square


@dataclass(frozen=True)
class Prediction:
    """What the detector says of one picture."""

    probability: float
    """Of an artifact, in [0, 1]."""
    flagged: bool
    """Whether it reaches the threshold."""


class Detector:
    """Scores portraits: ``Detector.load("runs/efficientnet_lite0").predict("portrait.png").probability``.

    Args:
        model: on the device that is to be used; it is the detector's from now on, and fused for speed.
        info: what its checkpoint says of it.
    """

    def __init__(self, model: ArtifactClassifier, info: ModelInfo) -> None:
        self.model, self.info = model.eval(), info
        fuse_batch_norm(self.model)
        self.model.to(memory_format=torch.channels_last)
        self.transform = build_transforms(info.mean, info.std)

    @classmethod
    def load(cls, run: str | Path, *, threshold: float | None = None, device: str = "auto") -> "Detector":
        """Load the best model of a run.

        Args:
            run: a run folder, or a ``.safetensors`` file from one.
            threshold: in [0, 1], instead of the one that was chosen on the validation people.
            device: auto, cpu, cuda, cuda:1, mps.

        Raises:
            CheckpointError: there is no checkpoint, or it is damaged.
            ConfigError: no such device, or the threshold is out of range.
        """
        path = Path(run)
        model, info = load_checkpoint(path / "best.safetensors" if path.is_dir() else path, resolve_device(device))
        if threshold is not None:
            if not 0.0 <= threshold <= 1.0:
                raise ConfigError(f"threshold {threshold} is out of range: choose one in [0, 1]")
            info = replace(info, threshold=threshold)
        return cls(model, info)

    @property
    def threshold(self) -> float:
        """The probability from which on a picture is flagged."""
        return self.info.threshold

    def predict(self, source: str | Path | Image.Image | np.ndarray) -> Prediction:
        """Score one picture.

        Args:
            source: whatever ``load_image`` takes: a file, a PIL image, an array (H, W, 3) uint8.

        Raises:
            ImageError: it is not a whole picture.
        """
        image = load_image(source, min_side=self.info.image_size)
        probability = float(self.probabilities(to_square(image, self.info.image_size).unsqueeze(0))[0])
        return Prediction(probability, probability >= self.threshold)

    def predict_files(
        self, paths: Iterable[Path], *, batch_size: int = 32
    ) -> Iterator[tuple[Path, Prediction | ImageError]]:
        """Score files in order, decoding ahead; neither memory nor start-up grows with their number.

        Yields:
            Each path with its prediction, or with the error that says why it cannot be read.
        """
        waiting: list[tuple[Path, Tensor | ImageError]] = []
        for item in decode_stream(paths, self.info.image_size):
            waiting.append(item)
            if len(waiting) == batch_size:
                yield from self._predict_decoded(waiting)
                waiting = []
        yield from self._predict_decoded(waiting)

    def _predict_decoded(
        self, items: list[tuple[Path, Tensor | ImageError]]
    ) -> Iterator[tuple[Path, Prediction | ImageError]]:
        squares = [square for _, square in items if isinstance(square, Tensor)]
        probabilities = iter(self.probabilities(torch.stack(squares)).tolist() if squares else [])
        for path, square in items:
            if isinstance(square, ImageError):
                yield path, square
            else:
                probability = next(probabilities)
                yield path, Prediction(probability, probability >= self.threshold)

    @torch.inference_mode()
    def probabilities(self, squares: Tensor) -> Tensor:
        """Run the network.

        Args:
            squares: (N, 3, S, S) uint8, as ``to_square`` makes them.

        Returns:
            (N,) float32 on the CPU: the probability of an artifact.
        """
        device = next(self.model.parameters()).device
        images = self.transform(squares.to(device)).contiguous(memory_format=torch.channels_last)
        dtype = amp_dtype(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            return torch.sigmoid(self.model(images).float()).cpu()
