"""The backbones of a classifier: how each is built and run, and what its pictures are normalised with."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor, nn
from torchvision import models as zoo

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE_MEAN, LITE_STD = (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)


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
