"""The classifier: a backbone with a head, a locator or both.

Every model maps normalised pictures (N, 3, H, W) to raw logits (N,): one number a picture, artifact is positive. One
with a locator says where, too: it draws a map of raw logits over the picture, and what the map shows counts.
"""

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models.vision_transformer import interpolate_embeddings

from artifact_utils.backbones import BACKBONES
from artifact_utils.weights import Weights, WeightsError, pretrained_state
from artifact_utils.winograd import use_winograd


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
        also_at: sides of smaller or larger copies of the picture that are looked at, too, in use but not in training;
            the answers are averaged (multi-scale testing).
        pooled: whether it has the head. The locator is better alone: the head learns how artifacts are made on the spot
            rather than what they are.

    Raises:
        ValueError: neither a locator nor a head, or other sizes for ViT-B/16, which reads one only.
    """

    def __init__(
        self,
        arch: str,
        image_size: int,
        *,
        also_at: tuple[int, ...] = (),
        locates: bool = False,
        pooled: bool = True,
    ) -> None:
        super().__init__()
        if also_at and arch == "vit_b_16":
            raise ValueError(f"vit_b_16 reads pictures of one size only, {image_size} here")
        if not locates and not pooled:
            raise ValueError("a model without a locator needs the head on the averaged features")
        backbone = BACKBONES[arch]
        self.arch, self.image_size, self.also_at = arch, image_size, also_at
        self.backbone = backbone.build(image_size)
        use_winograd(self.backbone)
        self.head: nn.Module | None = None
        if pooled:
            self.head = vgg_head(backbone.n_features) if arch == "vgg19" else linear_head(backbone.n_features)
        self.locator = Locator(backbone.n_channels) if locates else None

    def forward(self, images: Tensor) -> Tensor:
        """Raw logits (N,) of pictures (N, 3, H, W)."""
        return self.locate(images)[0]

    def locate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw logits (N,) of pictures (N, 3, H, W), and of the places in them (N, h, w) if there is a locator."""
        logits, places = self._look(images)
        if self.training or not self.also_at:
            return logits, places
        answers = [(logits, places)]
        for side in self.also_at:
            answers.append(self._look(F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)))
        mean = torch.stack([logits for logits, _ in answers]).mean(dim=0)
        drawn = [fmap.unsqueeze(1) for _, fmap in answers if fmap is not None]
        if not drawn:
            return mean, None
        grid = max(fmap.shape[2:] for fmap in drawn)
        maps = [F.interpolate(fmap, size=grid, mode="bilinear") for fmap in drawn]
        return mean, torch.cat(maps, dim=1).mean(dim=1)

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """``locate`` at the size that the pictures have."""
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
    also_at: tuple[int, ...] = (),
    locates: bool = False,
    pooled: bool = True,
) -> ArtifactClassifier:
    """Build a model of the registry, its head always freshly initialised from torch's global generator.

    Args:
        arch: a name in ``BACKBONES``.
        weights: "imagenet" for pretrained weights (an error where they cannot be had), "none" for a random start.
        image_size: side of the square input in pixels.
        also_at: other sides at which it looks at a picture again in use.
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
    model = ArtifactClassifier(arch, image_size, also_at=also_at, locates=locates, pooled=pooled)
    if state is not None:
        _load_backbone(model, state)
    return model


def _load_backbone(model: ArtifactClassifier, state: dict[str, Tensor]) -> None:
    if model.arch == "vit_b_16":
        state = dict(interpolate_embeddings(model.image_size, 16, state))  # type: ignore[arg-type]
    own = model.backbone.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(f"the weights for {model.arch} lack {missing[0]} and {len(missing) - 1} more entries")
    model.backbone.load_state_dict({name: state[name] for name in own if name in state}, strict=False)
