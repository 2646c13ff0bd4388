"""A trained model, ready to use on pictures and on any number of files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from PIL import Image
from torch import Tensor

from artifact_utils.cache import decode_stream
from artifact_utils.checkpoints import CheckpointError, ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.config import ConfigError
from artifact_utils.device import amp_dtype, resolve_device
from artifact_utils.images import ImageError, load_image
from artifact_utils.models import Answer, ArtifactClassifier, fuse_batch_norm, smooth_maximum
from artifact_utils.transforms import build_transforms, to_square

PRETRAINED = Path(__file__).parent / "pretrained" / "portraits.safetensors"
"""The detector that comes with the package."""
MAX_PRETRAINED_BYTES = 10_000_000


@dataclass(frozen=True)
class Prediction:
    """What the detector says of one picture."""

    probability: float
    """Of an artifact, in [0, 1]."""
    flagged: bool
    """Whether it reaches the threshold."""


class Detector:
    """Scores portraits: ``Detector.from_pretrained().predict("portrait.png").probability``.

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
        model, info = load_checkpoint(checkpoint_file(run), resolve_device(device))
        return cls(model, _with_threshold(info, threshold))

    @classmethod
    def from_pretrained(cls, *, threshold: float | None = None, device: str = "auto") -> "Detector":
        """Load the detector that comes with the package; arguments and errors are those of ``load``."""
        return cls.load(pretrained_file(), threshold=threshold, device=device)

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

    def locate(self, source: str | Path | Image.Image | np.ndarray) -> np.ndarray:
        """Say where in a picture the artifact is.

        Args:
            source: whatever ``load_image`` takes.

        Returns:
            A heat map, float32 (H, W) in [0, 1], of the size of the picture.

        Raises:
            ImageError: it is not a whole picture.
            ValueError: the model was not taught to say where.
        """
        if self.model.locator is None:
            raise ValueError(f"this {self.info.arch} was trained without masks: it cannot say where")
        image = load_image(source)
        square = to_square(image, self.info.image_size).unsqueeze(0)
        with torch.inference_mode():
            places = self.run(square).places
        assert places is not None
        return unsquare(torch.sigmoid(smooth_maximum(places, dim=1)), image.size)

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
            (N,) float64 on the CPU: the calibrated probability of an artifact, in a precision that keeps the order of
            those that are nearly certain.
        """
        return torch.sigmoid(self.run(squares).logits.cpu().double() / self.info.temperature)

    def run(self, squares: Tensor) -> Answer:
        """All that the model says of uint8 pictures (N, 3, H, W), float32, on the device of the model.

        Raises:
            CheckpointError: the weights are such that a logit is not finite.
        """
        device = next(self.model.parameters()).device
        images = self.transform(squares.to(device)).contiguous(memory_format=torch.channels_last)
        dtype = amp_dtype(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            answer = self.model.locate(images)
        if not torch.isfinite(answer.logits).all():
            raise CheckpointError(f"this {self.info.arch} answers with numbers that are not finite: train it again")
        return Answer(*(None if tensor is None else tensor.float() for tensor in answer))  # type: ignore[arg-type]


def unsquare(heat: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Bring a heat map of what ``to_square`` made back to the picture: (1, h, w) of any size -> (height, width).

    Args:
        heat: float, over the padded square.
        size: width and height of the picture in pixels, as PIL has it.
    """
    side, (width, height) = max(size), size
    whole = F.interpolate(heat.unsqueeze(1).float(), size=(side, side), mode="bilinear")[0, 0].cpu().numpy()
    left, top = (side - width) // 2, (side - height) // 2  # the padding of to_square
    return whole[top : top + height, left : left + width]


def checkpoint_file(run: str | Path) -> Path:
    """The checkpoint that a run folder, or the path of one, stands for."""
    path = Path(run)
    return path / "best.safetensors" if path.is_dir() else path


def pretrained_file() -> Path:
    """Where the detector that comes with the package lies.

    Raises:
        CheckpointError: it is not there.
    """
    if not PRETRAINED.is_file():
        raise CheckpointError(
            f"no pretrained detector at {PRETRAINED}: train one with python model_training.py, then name its run "
            f"(filter_images.py --run RUN, Detector.load), or put it there with python -m artifact_utils.pretrained RUN"
        )
    return PRETRAINED


def package(run: Path, threshold: float | None = None) -> None:
    """Make the best model of a run the detector that comes with the package, its weights in 16 bits.

    Args:
        run: run folder, or a .safetensors file from one.
        threshold: in [0, 1], instead of the one that was chosen on the validation people.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or it is too large to come with a package.
        ConfigError: the threshold is out of range.
    """
    model, info = load_checkpoint(checkpoint_file(run))
    info = _with_threshold(info, threshold)
    n_bytes = 2 * sum(tensor.numel() for tensor in model.state_dict().values())
    if n_bytes > MAX_PRETRAINED_BYTES:
        raise CheckpointError(
            f"{info.arch} takes {n_bytes / 1e6:.0f} MB, {MAX_PRETRAINED_BYTES / 1e6:.0f} are allowed: "
            "train a smaller one, such as --arch efficientnet_lite0"
        )
    PRETRAINED.parent.mkdir(exist_ok=True)
    save_checkpoint(PRETRAINED, model, info, half=True)
    size = PRETRAINED.stat().st_size / 1e6
    print(f"{PRETRAINED}: {info.arch} at {info.image_size} px, threshold {info.threshold:.3f}, {size:.1f} MB")


def _with_threshold(info: ModelInfo, threshold: float | None) -> ModelInfo:
    if threshold is None:
        return info
    if not 0.0 <= threshold <= 1.0:
        raise ConfigError(f"threshold {threshold} is out of range: choose one in [0, 1]")
    return replace(info, threshold=threshold)
