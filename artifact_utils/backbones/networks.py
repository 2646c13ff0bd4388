"""The backbones of a classifier: any timm network without its classifier, all run in one way.

Presets have short names and weights of torchvision, of a pip package or of this one (``NETWORKS``); every other name is
timm's own.
"""

import difflib
import functools
import logging
import math
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import timm
import torch
from timm.models import group_parameters
from timm.models._manipulate import MATCH_PREV_GROUP
from torch import Tensor, nn

from artifact_utils.backbones.int8_engine import Int8Engine, int8_is_faster
from artifact_utils.backbones.plans import NetworkPlan, plan_network, run_network
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.device import cpu_has_bf16

logger = logging.getLogger(__name__)

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 32, 1024


class ArchError(ArtifactUtilsError):
    """A network that there is not, or that cannot be used here."""


@dataclass(frozen=True)
class Preset:
    """A network with a short name, started from torchvision's ImageNet weights or from those of a package."""

    timm_name: str
    weights: str | None
    """Name of torchvision's weights, as ``torchvision.models.get_weight`` takes it, or of a file in ``pretrained/``;
    None: they are in a pip package."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of timm's network, where torchvision's differs."""
    indices: tuple[int, ...] | None = None
    """Of the maps, as timm numbers them. None: the last of each of the two coarsest scales."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    sha256: str = ""
    """Of the file in ``pretrained/``."""
    in_low_precision: bool = False
    """Whether CPUs that multiply in 8 bits or in bf16 do so in use: in 8 bits as long as it is the packaged one."""


def _lite(number: int) -> Preset:
    return Preset(f"tf_efficientnet_lite{number}", None, mean=(0.498,) * 3, std=(0.502,) * 3)


NETWORKS: dict[str, Preset] = {
    "vgg19": Preset("vgg19", "VGG19_Weights.IMAGENET1K_V1", indices=(4,)),  # the coarser map is only pooled from this
    "efficientnet_lite0": _lite(0),
    "efficientnet_lite1": _lite(1),
    "efficientnet_lite2": _lite(2),
    "mobilenet_v2": Preset("mobilenetv2_100", "MobileNet_V2_Weights.IMAGENET1K_V1"),
    "resnet18": Preset("resnet18", "ResNet18_Weights.IMAGENET1K_V1"),
    "resnet50": Preset("resnet50", "ResNet50_Weights.IMAGENET1K_V2"),
    "efficientnet_b0": Preset("efficientnet_b0", "EfficientNet_B0_Weights.IMAGENET1K_V1", {"drop_path_rate": 0.2}),
    "convnext_tiny": Preset("convnext_tiny", "ConvNeXt_Tiny_Weights.IMAGENET1K_V1", options={"drop_path_rate": 0.1}),
    "vit_b_16": Preset("vit_base_patch16_224", "ViT_B_16_Weights.IMAGENET1K_V1"),
    "clip_vit_b16": Preset(  # the first eight blocks: what comes behind them sees people and scenes rather than faults
        "vit_base_patch16_clip_quickgelu_224",
        "clip_vit_b16.safetensors",
        {"depth": 8, "final_norm": False},
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        sha256="71aa720d83e999dea954fef1a68ea9f57e1f79a4add53a625af170c316d40343",
        in_low_precision=True,
    ),
}
"""By their short names. ``name.tag``, such as ``resnet18.a1_in1k``, is timm's own even where the name is a preset's."""


def comes_packaged(arch: str) -> bool:
    """Whether the weights of a network come with this package."""
    return arch in NETWORKS and bool(NETWORKS[arch].sha256)


def check_arch(arch: str) -> None:
    """Make sure that there is a network of this name, without building it.

    Raises:
        ArchError: there is none; the message has the names that are most like it.
    """
    if arch in NETWORKS:
        return
    name, _, tag = arch.partition(".")
    if ":" in arch or not timm.is_model(name):
        near = difflib.get_close_matches(name, {*NETWORKS, *timm.list_models()}, n=4)
        known = f"did you mean {', '.join(near)}?" if near else f"choose one of {', '.join(NETWORKS)}, or any of timm's"
        raise ArchError(f"unknown architecture {arch!r}: {known}")
    tagged = timm.list_pretrained(f"{name}.*")
    if tag and arch not in tagged:
        known = f"choose one of {', '.join(tagged)}" if tagged else f"say {name}"
        raise ArchError(f"unknown weights {tag!r} of {name}: {known}")


def normalisation(arch: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of the three channels in [0, 1], that the pictures of a network are normalised with.

    Raises:
        ArchError: there is no such network.
    """
    check_arch(arch)
    if arch in NETWORKS:
        return NETWORKS[arch].mean, NETWORKS[arch].std
    config = timm.get_pretrained_cfg(arch)
    return (
        (NETWORKS["vgg19"].mean, NETWORKS["vgg19"].std) if config is None else (tuple(config.mean), tuple(config.std))
    )


class Backbone(nn.Module):
    """A timm network without its classifier.

    Args:
        arch: a preset's name, or any that timm has, with or without the tag of its weights.
        image_size: side of the square pictures in pixels. Most networks take others, too (``check_sizes``).

    Attributes:
        network: timm's module.
        n_channels: of the maps, finest first.
        n_features: of the pooled features.
        mean, std: what pictures are normalised with.
        is_dense: whether it spends its time on multiplications, so that bf16 pays on a CPU with units for it.
        explained: the module whose output heat maps are drawn from; ``to_map`` brings that output into a map's shape.
        loaded_from: SHA-256 of the file of this package that all its weights are from; empty where they are not.
        allows_int8: whether CPUs that multiply in 8 bits may do so; set it to False for PyTorch's answers.

    Raises:
        ArchError: there is no such network, or it cannot be used: it has no maps, or cannot take pictures of this size.
    """

    def __init__(self, arch: str, image_size: int = 224) -> None:
        super().__init__()
        plan = _plan(arch, image_size)
        self.arch, self.image_size, self.options = arch, image_size, plan.options
        self.mean, self.std = normalisation(arch)
        self.n_channels, self.n_features, self.is_dense = plan.n_channels, plan.n_features, plan.is_dense
        self.network: Any = create_network(arch, plan.options)
        self._plan = plan
        self.loaded_from = ""
        self.allows_int8 = True
        self._int8_engine: Int8Engine | None = None
        self.register_load_state_dict_post_hook(_miss_nothing_packaged)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps (N, C, h, w), finest first, and pooled features (N, n_features) of normalised pictures (N, 3, H, W)."""
        arithmetic = self.arithmetic(images.device)
        if arithmetic == "int8" and images.shape[2:] == (self.image_size, self.image_size):
            engine = self._engine()
            if engine is not None:
                return engine(images)
        if arithmetic == "fp32":
            return run_network(self.network, images, self._plan.indices)
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
            maps, features = run_network(self.network, images, self._plan.indices)
        return [fmap.float() for fmap in maps], features.float()

    def arithmetic(self, device: torch.device) -> Literal["int8", "bf16", "fp32"]:
        """What a pass is computed in whatever the caller computes in: less than 32 bits only in use on a CPU, where no
        gradients are wanted. Pictures of another size than ``image_size`` are seen in bf16 rather than in 8 bits."""
        preset = NETWORKS.get(self.arch)
        in_use = not torch.is_grad_enabled() and not torch.compiler.is_exporting() and not torch.jit.is_tracing()
        if preset is None or not preset.in_low_precision or not in_use or device.type != "cpu":
            return "fp32"
        if self.allows_int8 and self.packaged and int8_is_faster():
            return "int8"
        return "bf16" if cpu_has_bf16() else "fp32"

    def _engine(self) -> Int8Engine | None:
        """The engine for 8 bits, built when it is first needed; None where it cannot be, which a line says."""
        if self._int8_engine is None:
            try:
                self._int8_engine = Int8Engine(self.network, self.image_size)
            except RuntimeError as error:  # of OpenVINO, on a CPU that it does not know
                reason = str(error).strip().splitlines()[-1]
                logger.warning("OpenVINO cannot run %s in 8 bits (%s): PyTorch goes on", self.arch, reason)
                self.allows_int8 = False
        return self._int8_engine

    @property
    def packaged(self) -> str:
        """SHA-256 of the file of this package that the weights are from, as long as none is trained; else empty.

        Such weights are in no ``state_dict``: a checkpoint names the file.
        """
        return "" if any(parameter.requires_grad for parameter in self.parameters()) else self.loaded_from

    def state_dict(self, *args: Any, destination: Any = None, **options: Any) -> Any:
        if self.packaged:
            return OrderedDict() if destination is None else destination
        return super().state_dict(*args, destination=destination, **options)

    def all_maps(self, images: Tensor) -> list[Tensor]:
        """Maps (N, C, h, w) of all depths that timm gives out, from input to output."""
        return list(self.network.forward_intermediates(images, intermediates_only=True))

    @property
    def fusible_batch_norms(self) -> tuple[tuple[str, str], ...]:
        """Names in ``network`` of each convolution whose output a batch norm alone reads, and of that batch norm."""
        return self._plan.fusible

    @property
    def explained(self) -> nn.Module:
        return self.network.get_submodule(self._plan.explained)

    def to_map(self, output: Tensor) -> Tensor:
        """Output of ``explained`` as (N, C, h, w); it may have its channels last, or be tokens (N, T, C)."""
        if output.ndim == 3:
            patches = output[:, self._plan.n_prefix_tokens :]
            side = math.isqrt(patches.shape[1])
            return patches.transpose(1, 2).unflatten(2, (side, side))
        return output.permute(0, 3, 1, 2) if self._plan.channels_last else output

    def resize_positions(self, n_tokens: int) -> None:
        """Give the position embeddings of a ViT the grid of a state with ``n_tokens``, if it can have one."""
        embedding = getattr(self.network, "pos_embed", None)
        if embedding is None or embedding.ndim != 3 or not hasattr(self.network, "set_input_size"):
            return
        height, width = self.network.patch_embed.grid_size
        side = math.isqrt(max(n_tokens - (embedding.shape[1] - height * width), 0))
        patch = self.network.patch_embed.patch_size[0]
        if 1 <= side <= MAX_IMAGE_SIZE // patch and (side, side) != (height, width):
            self.network.set_input_size(img_size=(side * patch, side * patch))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """All parameters in groups from input to output: the stem, one group a block, what comes behind the blocks."""
        if not hasattr(self.network, "group_matcher"):
            return _by_name(self.network)
        matcher = self.network.group_matcher(coarse=False)
        if isinstance(matcher, dict):
            matcher = {name: _in_own_groups(patterns) for name, patterns in matcher.items()}
        groups = group_parameters(self.network, matcher, return_values=True)
        return [groups[number] for number in sorted(groups)]


def _miss_nothing_packaged(backbone: Backbone, incompatible: Any) -> None:
    """Called when a state was loaded into a model: what is packaged may be missing there."""
    if backbone.packaged:
        own = {f"network.{name}" for name, _ in backbone.network.named_parameters()}
        missing = incompatible.missing_keys
        missing[:] = [name for name in missing if not any(name.endswith(f".{known}") or name == known for known in own)]


def _by_name(network: nn.Module) -> list[list[nn.Parameter]]:
    """Layer groups of a network for which timm has none: by block, or stage, or what the network is made of."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        found = re.match(r"[^.]+(\.\d+(\.blocks\.\d+)?)?", name)
        groups.setdefault(found.group() if found else name, []).append(parameter)
    return list(groups.values())


def _in_own_groups(patterns: Any) -> Any:
    """Patterns of timm's ``group_matcher``, changed so that what comes behind the blocks does not join the last one."""
    if not isinstance(patterns, list | tuple):
        return patterns
    behind = (MATCH_PREV_GROUP[0] + 1,)
    return [(pattern, behind if suffix == MATCH_PREV_GROUP else suffix) for pattern, suffix in patterns]


def check_sizes(arch: str, image_size: int, sides: Iterable[int]) -> None:
    """Make sure that a network built for pictures of one size takes others, too.

    Args:
        arch: of the network.
        image_size: that it is built for.
        sides: of other square pictures, in pixels.

    Raises:
        ArchError: it does not, or there is no such network.
    """
    plan = _plan(arch, image_size)
    for side in sides:
        _check_side(side)
        if arch in NETWORKS or side == image_size:
            continue  # all of these take any size
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
                run_network(create_network(arch, plan.options).eval(), torch.empty(1, 3, side, side), plan.indices)
        except Exception as error:  # of the network's own code: whatever it is, pictures of this size do not go through
            raise ArchError(f"{arch} built for pictures of {image_size} px does not take {side} px") from error


def _check_side(side: int) -> None:
    if not MIN_IMAGE_SIZE <= side <= MAX_IMAGE_SIZE:
        raise ArchError(f"image size {side} is out of range: choose {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels")


def create_network(arch: str, options: Mapping[str, Any]) -> Any:
    """timm's network without its classifier, its weights random unless the options say otherwise."""
    name = NETWORKS[arch].timm_name if arch in NETWORKS else arch
    with warnings.catch_warnings(action="ignore"):  # of old names, and of what a network could do otherwise
        network = timm.create_model(name, num_classes=0, **options)
    if name.startswith(("vgg", "repvgg")) and hasattr(network, "pre_logits"):
        network.pre_logits = nn.Identity()  # its 4096 units belong to the classifier
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # the 0.01 of some is for runs of 300,000 steps, not of a few hundred
    return network


@functools.lru_cache(maxsize=32)
def _plan(arch: str, image_size: int) -> NetworkPlan:
    """How a network is built and run, found out once."""
    check_arch(arch)
    _check_side(image_size)
    preset = NETWORKS.get(arch)
    options, indices = (dict(preset.options), preset.indices) if preset else ({}, None)
    try:
        with torch.random.fork_rng(devices=[]):
            return plan_network(functools.partial(create_network, arch), image_size, options, indices)
    except Exception as error:  # of the network's own code: whatever it is, the network cannot be used
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ArchError(f"{arch} cannot be used at {image_size} px: {reason}") from error
