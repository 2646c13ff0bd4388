"""Checkpoints: the weights of a model in one safetensors file, with all that is needed to use them on pictures."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from artifact_utils.backbones import NETWORKS, ArchError, check_arch, comes_packaged, load_imagenet, normalisation
from artifact_utils.backbones.parameter_names import rename
from artifact_utils.config import Aspect, ResolvedConfig
from artifact_utils.files.model_files import CheckpointError, initial_file
from artifact_utils.files.writing import write_bytes
from artifact_utils.labels import CLASS_NAMES, FAMILY_NAMES
from artifact_utils.models import SHARPNESS, ArtifactClassifier, build_model

TEMPERATURES = 1e-3, 1e3
"""The range that a temperature may lie in."""


@dataclass(frozen=True)
class ModelInfo:
    """What a checkpoint says beside its weights: all that is needed to use them on pictures."""

    arch: str
    image_size: int
    threshold: float
    also_at: tuple[int, ...] = ()
    locates: bool = False
    families: tuple[str, ...] = ()
    """That it tells apart; none: any artifact is one to it."""
    aspect: str = "padded"
    """How a picture that is not square is seen, see ``config.Aspect``."""
    pooled: bool = True
    taught: bool = False
    """Whether a person's labels have taught it, see ``filtering.learning``."""
    temperature: float = 1.0
    """The probability is ``sigmoid(logit / temperature)``; the threshold is one of these probabilities."""
    calibrated: bool = False
    """Whether the temperature was fitted, on the validation people."""
    backbone: str = ""
    """SHA-256 of the file of this package that holds the weights of a frozen backbone; empty where the checkpoint has
    them itself."""
    class_names: tuple[str, ...] = CLASS_NAMES
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def sharpness(self) -> float:
        """Of the smooth maximum that calibrated logits of families make."""
        return SHARPNESS * self.temperature

    @property
    def mean(self) -> tuple[float, ...]:
        return normalisation(self.arch)[0]

    @property
    def std(self) -> tuple[float, ...]:
        return normalisation(self.arch)[1]


def save_checkpoint(path: Path, model: ArtifactClassifier, info: ModelInfo, *, half: bool = False) -> None:
    """Write weights and ``info`` as one safetensors file, whole or not at all.

    Of a frozen backbone whose weights come with this package only their SHA-256 is written.

    Args:
        half: store weights in 16 bits, for half the size; the statistics of batch norms, and what is too large for
            16 bits, keep 32.
    """
    # copies, since layers that share their weights cannot be stored as they are
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        state = {name: tensor.half() if _fits_half(name, tensor) else tensor for name, tensor in state.items()}
    info = replace(info, backbone=model.backbone.packaged)
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
        WeightsError: its backbone is one that comes with this package, and is missing or damaged there.
    """
    info = read_info(path)
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in file.keys()}  # noqa: SIM118 (no mapping)
        with torch.device("meta"):
            _fit(path, _empty_model(path, info), shapes)  # whatever the header says, no memory is taken yet
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _not_safetensors(path, error) from error
    if not all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point()):
        raise CheckpointError(f"{path} holds weights that are not finite: train again or copy it anew")
    model = _empty_model(path, info)
    if info.backbone:
        load_imagenet(model.backbone)
    model.load_state_dict(_fit(path, model, state))
    return model.to(device).eval(), info


def initial_model(config: ResolvedConfig, *, restored: bool = False) -> ArtifactClassifier:
    """The model that training starts from: with ImageNet weights or those of ``config.init``, and part of it frozen.

    Args:
        config: of the run.
        restored: whether a state will be loaded, which brings all weights but those that come with this package. They
            are left out, then, unless features are made with them, and need not be on this machine any more.

    Raises:
        CheckpointError: there is no model of the name ``config.init``, or it is damaged.
        WeightsError: the pretrained weights cannot be had.
    """
    left_out = restored and not config.draws and not comes_packaged(config.arch)
    torch.manual_seed(config.seed)
    start = load_checkpoint(initial_file(config.init))[0] if config.init and not left_out else None
    model = build_model(
        config.arch,
        weights="none" if left_out else config.weights,
        start=start,
        image_size=config.eval_size,
        also_at=config.also_at,
        locates=config.locates,
        families=config.told_apart,
        pooled=config.pooled,
        dropout=config.dropout,
    )
    model.freeze(config.frozen)
    return model


def read_info(path: Path) -> ModelInfo:
    """What a checkpoint says of its model; the weights are not read.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of this project.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: name a run folder or a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return parse_info(path, (file.metadata() or {}).get("artifact_utils"))
    except (SafetensorError, OSError) as error:
        raise _not_safetensors(path, error) from error


def _not_safetensors(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is not a safetensors file ({error}): train again or copy it anew")


def _empty_model(path: Path, info: ModelInfo) -> ArtifactClassifier:
    try:
        model = ArtifactClassifier(
            info.arch,
            info.image_size,
            also_at=info.also_at,
            locates=info.locates,
            families=info.families,
            pooled=info.pooled,
            taught=info.taught,
        )
        model.backbone.requires_grad_(not info.backbone)
        model.backbone.loaded_from = info.backbone
        return model
    except (ArchError, ValueError) as error:  # the header may name any sizes
        raise CheckpointError(f"{path} does not hold a model that can be built: {error}") from error


def _fit(path: Path, model: ArtifactClassifier, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state under the names of today, and the model with position embeddings as the state has them.

    Raises:
        CheckpointError: names or shapes are not those of the model.
    """
    prefix = "backbone."
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if inside and not any(name.startswith("network.") for name in inside):  # from before timm ran the backbones
        renamed = rename(model.arch, model.backbone.network, inside)
        inside = {f"network.{name}": tensor for name, tensor in renamed.items()}
        state = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
        state |= {prefix + name: tensor for name, tensor in inside.items()}
    positions = inside.get("network.pos_embed")
    if positions is not None and positions.ndim == 3:
        model.backbone.resize_positions(positions.shape[1])
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys())
    wrong += [name for name in own if name in state and own[name].shape != state[name].shape]
    if wrong:
        raise CheckpointError(
            f"{path} does not hold a whole {model.arch} at {model.image_size} px: "
            f"{wrong[0]} and {len(wrong) - 1} more entries are missing, unknown or of another shape"
        )
    return state


def parse_info(path: Path, text: str | None) -> ModelInfo:
    """What a file says of the model in it, from JSON that a stranger may have written.

    Raises:
        CheckpointError: it is none, or says what no model of this project is.
    """
    try:
        fields = json.loads(text or "")
        lists = {"class_names": tuple(fields["class_names"]), "also_at": tuple(fields.get("also_at", ()))}
        lists["families"] = tuple(fields.get("families", ()))
        info = ModelInfo(**({"calibrated": True} | fields | lists))
        sides = (info.image_size, *info.also_at)
        good = {
            "arch": isinstance(info.arch, str),
            "class_names": info.class_names == CLASS_NAMES,
            "image_size": type(info.image_size) is int,
            "also_at": len(sides) <= 8 and all(type(side) is int and 32 <= side <= 1024 for side in sides),
            "locates": isinstance(info.locates, bool),
            "families": len(set(info.families)) == len(info.families) and set(info.families) <= set(FAMILY_NAMES),
            "aspect": info.aspect in get_args(Aspect),
            "pooled": isinstance(info.pooled, bool),
            "taught": isinstance(info.taught, bool),
            "calibrated": isinstance(info.calibrated, bool),
            "threshold": _lies_in(info.threshold, 0.0, 1.0),
            "temperature": _lies_in(info.temperature, *TEMPERATURES),
            "backbone": isinstance(info.backbone, str),
            "metrics": isinstance(info.metrics, dict),
        }
        wrong = [f"{name}={str(getattr(info, name))[:60]}" for name, is_good in good.items() if not is_good]
        if wrong:
            raise ValueError(", ".join(wrong))
        check_arch(info.arch)
        packaged = NETWORKS[info.arch].sha256 if info.arch in NETWORKS else ""
        if info.backbone not in ("", packaged):
            raise ValueError(f"it needs another version of this package, whose {info.arch} is {info.backbone[:8]}...")
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError, ArchError) as error:  # a stranger's JSON
        raise CheckpointError(f"{path} was not written by this project, or its header is damaged: {error}") from error
    return info


def _lies_in(number: object, low: float, high: float) -> bool:
    return type(number) in (int, float) and low <= number <= high  # type: ignore[operator]
