"""The classifier: a backbone with a head, a locator or both.

Every model maps normalised pictures (N, 3, H, W) to raw logits (N,): one number a picture, artifact is positive. One
with a locator says what and where, too: it draws a map of raw logits over the picture for each family of artifacts, and
what the maps show counts.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from artifact_utils.backbones import Backbone, Weights, check_sizes, load_imagenet
from artifact_utils.labels import OFF_BY_DEFAULT
from artifact_utils.transforms.looks import build_transforms

SHARPNESS = 2.0
"""Of the smooth maxima over places and over families: the larger, the less the runners-up count."""


def smooth_maximum(logits: Tensor, dim: int) -> Tensor:
    """``log(sum(exp(SHARPNESS * logits))) / SHARPNESS``: of one number the number itself, of several a little more than
    the largest."""
    return torch.logsumexp(SHARPNESS * logits, dim=dim) / SHARPNESS


class Answer(NamedTuple):
    """What a model says of N pictures, as raw logits; F is the number of families, 1 where they are not told apart."""

    logits: Tensor
    """(N,) of the pictures: of an artifact of a family that counts by default."""
    families: Tensor | None
    """(N, F) of the families in each; the smooth maximum of those that count is the picture's. None without a
    locator."""
    places: Tensor | None
    """(N, F, h, w) of the families in each place. None without a locator."""


class Locator(nn.Module):
    """Says what and where: maps of a backbone (N, C, h, w), finest first, become raw logits (N, F, h, w).

    Args:
        n_channels: of each map.
        families: names of what is told apart; none: one map of any artifact.
        width: of the layer between.
    """

    def __init__(
        self, n_channels: tuple[int, ...], families: tuple[str, ...] = (), width: int = 96, dropout: float = 0.5
    ) -> None:
        super().__init__()
        n_maps = max(len(families), 1)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(sum(n_channels), affine=False),  # maps from different depths speak equally loud
            nn.Dropout2d(dropout),
            nn.Conv2d(sum(n_channels), width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, n_maps, 1),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        # a fault covers about a tenth of a picture, and is of one family: start from there
        nn.init.constant_(last.bias, -2.0 - math.log(n_maps))
        shape = (n_maps,) if families else ()  # a number alone in checkpoints from before there were families
        self.gain, self.bias = nn.Parameter(torch.full(shape, 0.5)), nn.Parameter(torch.zeros(shape))

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        return self.layers(torch.cat([F.interpolate(fmap, size=size) for fmap in maps], dim=1))

    def judge(self, places: Tensor) -> Tensor:
        """The logits (N, F) of the families in pictures whose maps are (N, F, h, w): of a smooth maximum.

        A fault in one place is a fault; an average would drown it in the rest of the picture.
        """
        return self.bias + self.gain * smooth_maximum(places.flatten(2), dim=2)


class ArtifactClassifier(nn.Module):
    """A backbone, a head on its averaged features, and a locator that says what and where; their logits add up.

    Args:
        arch: a preset of ``artifact_utils.backbones``, or any network of timm.
        image_size: side of the square input in pixels.
        locates: whether it has a locator.
        families: that the locator tells apart; none: any artifact is one to it.
        also_at: sides of smaller or larger copies of the picture that are looked at, too, in use but not in training;
            the answers are averaged (multi-scale testing).
        pooled: whether it has the head. The locator is better alone: the head learns how artifacts are made on the spot
            rather than what they are.
        dropout: of the locator in training.
        taught: whether it has a layer on the averages of the maps that a person's labels have taught, see
            ``filtering.learning``. It starts from 0 and is not trained otherwise.

    Raises:
        ArchError: there is no such network, or it cannot be used at these sizes.
        ValueError: neither a locator nor a head, or taught without a locator.
    """

    def __init__(
        self,
        arch: str,
        image_size: int,
        *,
        also_at: tuple[int, ...] = (),
        locates: bool = False,
        families: tuple[str, ...] = (),
        pooled: bool = True,
        taught: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not locates and not pooled:
            raise ValueError("a model without a locator needs the head on the averaged features")
        if taught and not locates:
            raise ValueError("a model without a locator has no maps that a person's labels could be about")
        check_sizes(arch, image_size, also_at)
        self.arch, self.image_size, self.also_at = arch, image_size, also_at
        self.backbone = Backbone(arch, image_size)
        self.head: nn.Module | None = None
        if pooled:
            build_head = vgg_head if arch == "vgg19" else linear_head
            self.head = build_head(self.backbone.n_features)
        self.families = families
        self.counted = [i for i, name in enumerate(families) if name not in OFF_BY_DEFAULT] or [0]
        self.locator = Locator(self.backbone.n_channels, families, dropout=dropout) if locates else None
        self.taught: nn.Linear | None = None
        if taught:
            self.taught = nn.Linear(sum(self.backbone.n_channels), 1)
            nn.init.zeros_(self.taught.weight)
            nn.init.zeros_(self.taught.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Raw logits (N,) of pictures (N, 3, H, W), or of what ``see`` made of them."""
        return self.locate(images).logits

    def normalized(self, images: Tensor) -> Tensor:
        """Pictures in uint8 as the backbone takes them; what ``see`` made of them, float16, in 32 bits."""
        if images.is_floating_point():
            return images.float()
        return build_transforms(self.backbone.mean, self.backbone.std)(images)

    def see(self, images: Tensor) -> Tensor:
        """What the backbone makes of pictures (N, 3, H, W), in one tensor (N, C, h, w): its maps in the grid of the
        finest, for the locator, and its averaged features in every cell, for the head. It can take their place."""
        maps, features = self.backbone(images)
        size = maps[0].shape[2:] if self.locator is not None else (1, 1)
        seen = [] if self.locator is None else [F.interpolate(fmap, size=size) for fmap in maps]
        return torch.cat(seen if self.head is None else [*seen, features[..., None, None].expand(-1, -1, *size)], dim=1)

    def _seen(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps and averaged features of pictures, or of what ``see`` made of them."""
        if images.shape[1] == 3:
            return self.backbone(images)
        n_channels = 0 if self.locator is None else sum(self.backbone.n_channels)
        return [images[:, :n_channels]], images[:, n_channels:, 0, 0]

    def consider(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What a person's labels are weighed against: of pictures (N, 3, H, W) the logits of the families (N, F) and
        the averages of the maps (N, C), each the mean over the sides that it looks at in use.

        Raises:
            ValueError: there is no locator.
        """
        found = []
        for side in (images.shape[2], *self.also_at):
            maps, features = self._seen(images if side == images.shape[2] else _resized(images, side))
            families = self._answer(maps, features).families
            if families is None:
                raise ValueError(f"this {self.arch} has no locator")
            found.append((families, averages([fmap.float() for fmap in maps])))
        logits, means = zip(*found, strict=True)
        return torch.stack(logits).mean(dim=0), torch.stack(means).mean(dim=0)

    def locate(self, images: Tensor) -> Answer:
        """All that the model says of pictures (N, 3, H, W), or of what ``see`` made of them."""
        answer = self._look(images)
        if self.training or not self.also_at:
            return answer
        answers = [answer]
        for side in self.also_at:
            answers.append(self._look(_resized(images, side)))
        if answer.places is None:
            return Answer(torch.stack([answer.logits for answer in answers]).mean(dim=0), None, None)
        drawn = [answer.places for answer in answers if answer.places is not None]
        grid = max(fmaps.shape[2:] for fmaps in drawn)
        maps = [F.interpolate(fmaps, size=grid, mode="bilinear") for fmaps in drawn]
        families = torch.stack([answer.families for answer in answers if answer.families is not None]).mean(dim=0)
        return Answer(self._picture(families), families, torch.stack(maps).mean(dim=0))

    def _look(self, images: Tensor) -> Answer:
        """``locate`` at the size that the pictures have."""
        return self._answer(*self._seen(images))

    def _answer(self, maps: list[Tensor], features: Tensor) -> Answer:
        logits = maps[0].new_zeros(maps[0].shape[0]) if self.head is None else self.head(features).squeeze(1)
        if self.locator is None:
            return Answer(logits, None, None)
        places = self.locator(maps)
        families = logits.unsqueeze(1) + self.locator.judge(places)
        if self.taught is not None:
            with torch.autocast(maps[0].device.type, enabled=False):  # the averages are large beside their differences
                families = families + self.taught(averages([fmap.float() for fmap in maps]))
        return Answer(self._picture(families), families, places)

    def _picture(self, families: Tensor) -> Tensor:
        """Logits (N,) of pictures from those of their families, (N, F)."""
        return smooth_maximum(families[:, self.counted], dim=1)

    def start_from(self, other: "ArtifactClassifier") -> None:
        """Take over the weights of a model of the same architecture: of its locator, what it says of families that both
        tell apart. What a person's labels have taught it stays behind.

        Raises:
            WeightsError: its backbone is one that comes with this package, and is missing there.
        """
        if other.backbone.packaged:
            load_imagenet(self.backbone)
        own = self.state_dict()
        if "backbone.network.pos_embed" in own:
            other.backbone.resize_positions(own["backbone.network.pos_embed"].shape[1])
        state = {name: tensor for name, tensor in other.state_dict().items() if not name.startswith("taught.")}
        if self.families != other.families:
            rows = [
                (self.families.index(name), other.families.index(name))
                for name in self.families
                if name in other.families
            ]
            for name in [
                name for name in state if name.startswith(("locator.layers.4.", "locator.gain", "locator.bias"))
            ]:
                for row, their_row in rows:
                    own[name][row] = state[name][their_row]
                state[name] = own[name]
        self.load_state_dict(own | state)

    def freeze(self, share: float) -> None:
        """Freeze the first ``share`` of the backbone's layer groups, from 0 (train all) to 1 (the head alone).

        What is near the input sees edges and colours, which ImageNet has taught well; there the maps are largest too,
        so leaving it alone saves most of the time.
        """
        groups = self.backbone.layer_groups()
        first = round(share * len(groups))
        for number, group in enumerate(groups):
            for parameter in group:
                parameter.requires_grad_(number >= first)
        if first < len(groups):
            self.backbone.loaded_from = ""  # from now on its weights are its own
        for parameter in self._unheard():
            parameter.requires_grad_(False)

    def _unheard(self) -> list[nn.Parameter]:
        """What of the backbone lies behind the maps that a locator reads: nothing of it reaches the answer."""
        parameters = [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]
        if self.head is not None or not parameters:
            return []
        size, was_training = self.image_size, self.training
        maps, _ = self.eval().backbone(parameters[0].new_zeros(1, 3, size, size))
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


def averages(maps: list[Tensor]) -> Tensor:
    """The averages (N, C) of all channels of maps (N, ..., h, w)."""
    return torch.cat([fmap.mean(dim=(2, 3)) for fmap in maps], dim=1)


def _resized(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


class Locating(nn.Module):
    """A model whose forward pass says where, too: DistributedDataParallel and the compiler only know ``forward``."""

    def __init__(self, model: ArtifactClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Answer:  # of (B, 3, S, S)
        return self.model.locate(images)


def fuse_batch_norm(model: ArtifactClassifier) -> None:
    """Fold the batch norms of the backbone into the convolutions before them, in place, for use only.

    Same answers, less memory to go through; the model can no longer be trained.
    """
    network = model.backbone.network
    for conv_name, norm_name in model.backbone.fusible_batch_norms:
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            continue  # fused before
        assert isinstance(conv, nn.Conv2d)
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        parent, _, leaf = norm_name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, getattr(norm, "act", nn.Identity()))


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
    families: tuple[str, ...] = (),
    pooled: bool = True,
    dropout: float = 0.5,
    start: ArtifactClassifier | None = None,
) -> ArtifactClassifier:
    """Build a model, its head always freshly initialised from torch's global generator.

    Args:
        arch: a preset of ``artifact_utils.backbones``, or any network of timm.
        weights: "imagenet" for pretrained weights (an error where they cannot be had), "none" for a random start.
        image_size: side of the square input in pixels.
        also_at: other sides at which it looks at a picture again in use.
        locates, pooled: whether it says where the artifact is, and whether it looks at the average as well.
        families: that it tells apart where it says so.
        dropout: of the locator in training.
        start: a model with the same architecture, head and locator whose weights it starts from instead.

    Raises:
        ArchError: there is no such network, or it cannot be used at these sizes.
        ValueError: unknown weights.
        WeightsError: the pretrained weights cannot be had or are damaged; the message says what to do.
    """
    if weights not in ("imagenet", "none"):
        raise ValueError(f"unknown weights {weights!r}: choose imagenet or none")
    model = ArtifactClassifier(
        arch, image_size, also_at=also_at, locates=locates, families=families, pooled=pooled, dropout=dropout
    )
    if start is not None:
        model.start_from(start)
    elif weights == "imagenet":
        load_imagenet(model.backbone)
    return model
