"""Checkpoints: the weights of a model in one safetensors file, with all that is needed to use them on pictures."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from artifact_utils.backbones import BACKBONES
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.files import write_bytes
from artifact_utils.labels import CLASS_NAMES
from artifact_utils.models import ArtifactClassifier


class CheckpointError(ArtifactUtilsError):
    """A file that is not a checkpoint of this project, or a damaged one."""


@dataclass(frozen=True)
class ModelInfo:
    """What a checkpoint says beside its weights: all that is needed to use them on pictures."""

    arch: str
    image_size: int
    threshold: float
    also_at: tuple[int, ...] = ()
    locates: bool = False
    pooled: bool = True
    temperature: float = 1.0
    """The probability is ``sigmoid(logit / temperature)``; the threshold is one of these probabilities."""
    calibrated: bool = False
    """Whether the temperature was fitted on a validation set."""
    class_names: tuple[str, ...] = CLASS_NAMES
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> tuple[float, float, float]:
        return BACKBONES[self.arch].mean

    @property
    def std(self) -> tuple[float, float, float]:
        return BACKBONES[self.arch].std


def save_checkpoint(path: Path, model: ArtifactClassifier, info: ModelInfo, *, half: bool = False) -> None:
    """Write weights and ``info`` as one safetensors file, whole or not at all.

    Args:
        half: store weights in 16 bits, for half the size; the statistics of batch norms, and what is too large for
            16 bits, keep 32.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        state = {name: tensor.half() if _fits_half(name, tensor) else tensor for name, tensor in state.items()}
    write_bytes(path, serialize(state, metadata={"artifact_utils": json.dumps(asdict(info))}))


def _fits_half(name: str, tensor: Tensor) -> bool:
    is_weight = tensor.is_floating_point() and not name.endswith(("running_mean", "running_var"))
    return is_weight and bool((tensor.abs() <= torch.finfo(torch.float16).max).all())


def load_checkpoint(path: Path, device: str | torch.device = "cpu") -> tuple[ArtifactClassifier, ModelInfo]:
    """Read a model and its ``ModelInfo``; nothing in the file is ever executed.

    Returns:
        The model on ``device``, in evaluation mode and in 32 bits however it was stored, and what the checkpoint says
        of it.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of this project.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: name a run folder or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("artifact_utils")
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error}): train again or copy it anew") from error
    info = _parse_info(path, text)
    try:
        model = ArtifactClassifier(
            info.arch, info.image_size, also_at=info.also_at, locates=info.locates, pooled=info.pooled
        )
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a whole {info.arch} at {info.image_size} px: {error}") from error
    if not all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point()):
        raise CheckpointError(f"{path} holds weights that are not finite: train again or copy it anew")
    return model.to(device).eval(), info


def _parse_info(path: Path, text: str | None) -> ModelInfo:
    try:
        fields = json.loads(text or "")
        lists = {"class_names": tuple(fields["class_names"]), "also_at": tuple(fields.get("also_at", ()))}
        info = ModelInfo(**({"calibrated": True} | fields | lists))  # earlier versions stored no others
        known = info.arch in BACKBONES and info.class_names == CLASS_NAMES
        sides = (info.image_size, *info.also_at)
        sizes = len(sides) <= 8 and all(isinstance(side, int) and 32 <= side <= 1024 for side in sides)
        parts = isinstance(info.locates, bool) and isinstance(info.pooled, bool) and isinstance(info.calibrated, bool)
        numbers = math.isfinite(info.threshold) and math.isfinite(info.temperature) and info.temperature > 0
        if not (known and sizes and parts and numbers and isinstance(info.metrics, dict)):
            raise ValueError(
                f"arch={info.arch!r}, image_size={info.image_size!r}, also_at={info.also_at!r}, "
                f"threshold={info.threshold!r}, temperature={info.temperature!r}"
            )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} was not written by this project, or its header is damaged: {error}") from error
    return info
