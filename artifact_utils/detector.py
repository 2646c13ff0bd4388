"""A trained model, ready to use on pictures and on any number of files."""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from PIL import Image
from torch import Tensor

from artifact_utils.checkpoints import ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.config import ConfigError
from artifact_utils.device import amp_dtype, resolve_device
from artifact_utils.exported import READERS, ExportedModel, load_exported
from artifact_utils.files import model_files
from artifact_utils.files.model_files import CheckpointError, checkpoint_file, pretrained_file
from artifact_utils.images import ImageError, load_image, load_with_size
from artifact_utils.models import Answer, ArtifactClassifier, fuse_batch_norm, smooth_maximum
from artifact_utils.predictions import Prediction, counting, find_place, most_probable, verdict
from artifact_utils.squares import ahead
from artifact_utils.transforms.looks import Seen, build_transforms, look_at, see, square_looks

MAX_PRETRAINED_BYTES = 10_000_000


class Detector:
    """Scores portraits: ``Detector.from_pretrained().predict("portrait.png").probability``.

    Args:
        model: on the device that is to be used; it is the detector's from now on, and fused for speed. Or one that was
            exported.
        info: what its checkpoint says of it.
        only, ignore: the families of artifacts that count, see ``predictions.counting``.

    Raises:
        ConfigError: a family that the model does not tell apart.
    """

    def __init__(
        self,
        model: ArtifactClassifier | ExportedModel,
        info: ModelInfo,
        *,
        only: Collection[str] | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        self.info, self.families = info, counting(info.families, only, ignore)
        self.transform = build_transforms(info.mean, info.std)
        self._model = model
        if isinstance(model, ArtifactClassifier):
            fuse_batch_norm(model.eval())
            model.to(memory_format=torch.channels_last)

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        threshold: float | None = None,
        device: str = "auto",
        only: Collection[str] | None = None,
        ignore: Collection[str] = (),
    ) -> "Detector":
        """Load the best model of a run.

        Args:
            run: a run folder, a ``.safetensors`` file from one, or a file that ``artifact_utils.export`` has written.
            threshold: in [0, 1], instead of the one that was chosen on the validation people.
            device: auto, cpu, cuda, cuda:1, mps.
            only, ignore: the families of artifacts that count, see ``predictions.counting``.

        Raises:
            CheckpointError: there is no checkpoint, or it is damaged.
            ConfigError: no such device or family, or the threshold is out of range.
        """
        path = checkpoint_file(run)
        if path.suffix in READERS:
            if device not in ("auto", "cpu"):
                raise ConfigError(f"device {device!r}: {path.name} was exported, and runs on the CPU")
            exported = load_exported(path)
            return cls(exported, _with_threshold(exported.info, threshold), only=only, ignore=ignore)
        model, info = load_checkpoint(path, resolve_device(device))
        return cls(model, _with_threshold(info, threshold), only=only, ignore=ignore)

    @classmethod
    def from_pretrained(
        cls,
        *,
        threshold: float | None = None,
        device: str = "auto",
        only: Collection[str] | None = None,
        ignore: Collection[str] = (),
    ) -> "Detector":
        """Load the detector that comes with the package; arguments and errors are those of ``load``."""
        return cls.load(pretrained_file(), threshold=threshold, device=device, only=only, ignore=ignore)

    @property
    def model(self) -> ArtifactClassifier:
        """PyTorch's model.

        Raises:
            CheckpointError: this is an exported one, which can answer and no more.
        """
        if isinstance(self._model, ExportedModel):
            raise CheckpointError(f"{self._model.path} was exported: this needs the run that it was exported from")
        return self._model

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        if isinstance(self._model, ExportedModel):
            return torch.device("cpu")
        return next(self._model.parameters()).device

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
        return self.judge([self.see(source)])[0]

    def see(self, source: str | Path | Image.Image | np.ndarray) -> Seen:
        """Open a picture and say which squares of it are looked at; ``source`` and errors are those of ``predict``."""
        side = self.info.image_size
        image, size = load_with_size(source, min_side=side)
        return see(image, size, side, self.info.aspect)  # type: ignore[arg-type]

    def locate(self, source: str | Path | Image.Image | np.ndarray, *, family: str | None = None) -> np.ndarray:
        """Say where in a picture the artifact is.

        Args:
            source: whatever ``load_image`` takes.
            family: of artifacts; by default all that count.

        Returns:
            A heat map, float32 (H, W) in [0, 1], of the size of the picture.

        Raises:
            ImageError: it is not a whole picture.
            ValueError: the model was not taught to say where.
            ConfigError: it does not tell that family apart.
        """
        if not self.info.locates:
            raise ValueError(f"this {self.info.arch} was trained without masks: it cannot say where")
        image = load_image(source)
        looks = square_looks(image.size, self.info.aspect)  # type: ignore[arg-type]
        with torch.inference_mode():
            places = self.run(look_at(image, image.size, looks, self.info.image_size)).places
        assert places is not None
        asked = self.families if family is None else counting(self.info.families, (family,))
        counted = [self.info.families.index(name) for name in asked] or [0]
        seen = torch.sigmoid(smooth_maximum(places[:, counted], dim=1)).cpu()
        width, height = image.size
        heat = np.zeros((height, width), np.float32)
        for (left, top, side), part in zip(looks, seen, strict=True):
            x, y, n = round(left), round(top), round(side)
            whole = F.interpolate(part[None, None], size=(n, n), mode="bilinear")[0, 0].numpy()
            inside = heat[max(y, 0) : y + n, max(x, 0) : x + n]
            np.maximum(inside, whole[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]], out=inside)
        return heat

    def predict_files(
        self, paths: Iterable[Path], *, batch_size: int | None = None
    ) -> Iterator[tuple[Path, Prediction | ImageError]]:
        """Score files in order, decoding ahead; neither memory nor start-up grows with their number.

        Args:
            paths: read lazily.
            batch_size: pictures that the network scores at once; by default 8 on a CPU, where more take memory and no
                less time, else 32.

        Yields:
            Each path with its prediction, or with the error that says why it cannot be read.
        """
        if batch_size is None:
            batch_size = 8 if self.device.type == "cpu" else 32
        waiting: list[tuple[Path, Seen | ImageError]] = []
        for item in ahead(self._attempt, paths):
            waiting.append(item)
            n_looks = sum(len(seen.looks) for _, seen in waiting if isinstance(seen, Seen))
            if n_looks >= batch_size or len(waiting) >= 4 * batch_size:  # many may be unreadable
                yield from self._predict_seen(waiting)
                waiting = []
        yield from self._predict_seen(waiting)

    def _attempt(self, path: Path) -> Seen | ImageError:
        try:
            return self.see(path)
        except ImageError as error:
            return error

    def _predict_seen(
        self, items: list[tuple[Path, Seen | ImageError]]
    ) -> Iterator[tuple[Path, Prediction | ImageError]]:
        predictions = iter(self.judge([seen for _, seen in items if isinstance(seen, Seen)]))
        for path, seen in items:
            yield path, seen if isinstance(seen, ImageError) else next(predictions)

    @torch.inference_mode()
    def judge(self, pictures: list[Seen]) -> list[Prediction]:
        """Score pictures that were opened by ``see``, all looks at once.

        What the looks at a picture say together: of every family, the look that shows it most clearly counts.
        """
        n_looks = [len(seen.looks) for seen in pictures]
        if not sum(n_looks):
            return [Prediction(math.nan, flagged=False, too_small=True) for _ in pictures]
        answer = self.run(torch.cat([seen.squares for seen in pictures]))
        families = answer.logits.unsqueeze(1) if answer.families is None else answer.families
        chances = torch.sigmoid(families.cpu().double() / self.info.temperature).numpy()  # (looks, F)
        maps = None if answer.places is None else torch.sigmoid(answer.places).cpu().numpy()
        predictions, first = [], 0
        for seen, n in zip(pictures, n_looks, strict=True):
            if not n:
                predictions.append(Prediction(math.nan, flagged=False, too_small=True))
                continue
            clearest = chances[first : first + n].argmax(axis=0)
            names = self.info.families or ("",)
            values = {
                name: float(chances[first + look, i])
                for i, (name, look) in enumerate(zip(names, clearest, strict=True))
            }
            places = {
                name: find_place(maps[first + look, i], seen.looks[look], seen.size)
                for i, (name, look) in enumerate(zip(names, clearest, strict=True))
                if maps is not None
            }
            first += n
            probability = verdict(values, self.families, self.info.sharpness) if self.families else values[""]
            predictions.append(
                Prediction(
                    probability,
                    probability >= self.threshold,
                    most_probable(values, self.families),
                    values if self.families else {},
                    places,
                )
            )
        return predictions

    @torch.inference_mode()
    def probabilities(self, squares: Tensor) -> Tensor:
        """Run the network.

        Args:
            squares: (N, 3, S, S) uint8, as ``to_square`` makes them.

        Returns:
            (N,) float64 on the CPU: the calibrated probability of an artifact of the families that count, in a
            precision that keeps the order of those that are nearly certain.
        """
        answer = self.run(squares)
        logits = answer.logits.cpu().double()
        if answer.families is not None and self.families != counting(self.info.families):
            counted = [self.info.families.index(name) for name in self.families]
            logits = smooth_maximum(answer.families.cpu().double()[:, counted], dim=1)
        return torch.sigmoid(logits / self.info.temperature)

    def run(self, squares: Tensor) -> Answer:
        """All that the model says of uint8 pictures (N, 3, H, W), float32, on the device of the model.

        Raises:
            CheckpointError: the weights are such that a logit is not finite.
        """
        if isinstance(self._model, ExportedModel):
            answer = self._model(squares)
        else:
            images = self.transform(squares.to(self.device)).contiguous(memory_format=torch.channels_last)
            dtype = amp_dtype(self.device)
            with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
                answer = self._model.locate(images)
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
    file = model_files.PRETRAINED
    file.parent.mkdir(exist_ok=True)
    save_checkpoint(file, model, info, half=True)
    size = file.stat().st_size / 1e6
    print(f"{file}: {info.arch} at {info.image_size} px, threshold {info.threshold:.3f}, {size:.1f} MB")


def _with_threshold(info: ModelInfo, threshold: float | None) -> ModelInfo:
    if threshold is None:
        return info
    if not 0.0 <= threshold <= 1.0:
        raise ConfigError(f"threshold {threshold} is out of range: choose one in [0, 1]")
    return replace(info, threshold=threshold)
