"""How a timm network is built and run: found out by sending a picture through, without memory for the weights."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DENSE_FAN_IN = 150
"""Multiply-adds for each number that a layer writes, on average, from which bf16 pays on a CPU: it speeds up the
multiplications, while depthwise networks wait for memory."""


@dataclass(frozen=True)
class NetworkPlan:
    """What a picture that went through a network has told of it."""

    options: dict[str, Any]
    """Of timm's constructor."""
    indices: tuple[int, ...]
    """Of the maps, as timm numbers them."""
    n_channels: tuple[int, ...]
    """Of the maps, finest first."""
    n_features: int
    """Pooled."""
    is_dense: bool
    """Whether its layers multiply more than ``DENSE_FAN_IN`` times for each number they write."""
    explained: str
    """Name of the module that heat maps are drawn from."""
    n_prefix_tokens: int
    """Of its output, such as a class token; 0 where that is no tokens."""
    channels_last: bool
    """Whether its output is (N, h, w, C)."""
    fusible: tuple[tuple[str, str], ...]
    """Names of each convolution whose output a batch norm alone reads, and of that batch norm."""


def run_network(network: Any, images: Tensor, indices: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
    """Maps (N, C, h, w), finest first, and pooled features (N, n) of pictures (N, 3, H, W)."""
    last, maps = network.forward_intermediates(images, indices=list(indices), norm=len(indices) == 1)  # norm: of a ViT
    features = network.forward_head(last, pre_logits=True)
    return maps, F.adaptive_avg_pool2d(features, 1).flatten(1) if features.ndim == 4 else features


def plan_network(
    build: Callable[[dict[str, Any]], Any], image_size: int, options: dict[str, Any], indices: tuple[int, ...] | None
) -> NetworkPlan:
    """Build a network on the meta device, send a picture through, and look at what comes out.

    Args:
        build: from the options of timm's constructor.
        image_size: side of the square pictures in pixels.
        options: that are asked for; those by which a network takes pictures of this and other sizes are added.
        indices: of the maps, as timm numbers them. None: the last of each of the two coarsest scales.

    Raises:
        ValueError: it gives no maps, or none that a heat map could be drawn from. The network's own code may raise
            anything else.
    """
    with torch.device("meta"):
        network: Any = build(options)
        constructors = [base.__init__ for base in type(network).__mro__]  # type: ignore[misc]
        accepted = {name for constructor in constructors for name in inspect.signature(constructor).parameters}
        if "img_size" in accepted:
            size = {"img_size": image_size, "dynamic_img_size": True, "dynamic_img_pad": True, "strict_img_size": False}
            options = options | {name: value for name, value in size.items() if name in accepted}
            network = build(options)
    network.eval()
    indices = indices or _coarsest(network.feature_info)
    with torch.no_grad(), _Watch(network) as seen:
        maps, features = run_network(network, torch.empty(1, 3, image_size, image_size, device="meta"), indices)
    if not all(fmap.ndim == 4 and fmap.shape[2] == fmap.shape[3] for fmap in maps) or features.ndim != 2:
        raise ValueError("it gives no maps of the picture")
    explained = _explained(network, indices, maps[-1].shape, seen.shapes)
    shape, (_, n_channels, side, _) = seen.shapes[explained], maps[-1].shape
    return NetworkPlan(
        options,
        indices,
        tuple(fmap.shape[1] for fmap in maps),
        features.shape[1],
        seen.fan_in() >= DENSE_FAN_IN,
        explained,
        shape[1] - side**2 if len(shape) == 3 else 0,
        len(shape) == 4 and shape[1:] != (n_channels, side, side),
        seen.fusible(maps),
    )


def _coarsest(feature_info: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """The last map of each of the two coarsest scales, of up to 32 x 32 pixels a cell; of a ViT, that of its tokens."""
    last = {info["reduction"]: index for index, info in enumerate(feature_info)}
    fine = sorted(index for reduction, index in last.items() if reduction <= 32)
    return tuple(fine[-2:]) or (len(feature_info) - 1,)


def _explained(network: Any, indices: tuple[int, ...], last: torch.Size, shapes: Mapping[str, torch.Size]) -> str:
    """Name of the module that heat maps are drawn from: the one behind the last map, as timm says, or one like it."""
    (_, n_channels, side, _), blocks = last, getattr(network, "blocks", None)
    if len(indices) == 1 and isinstance(blocks, nn.Sequential | nn.ModuleList) and hasattr(blocks[-1], "norm1"):
        return f"blocks.{len(blocks) - 1}.norm1"  # of a ViT: where the class token has yet to ask the others
    known = {(n_channels, side, side), (side, side, n_channels)}
    fitting = [name for name, shape in shapes.items() if tuple(shape[1:]) in known or _are_tokens(shape, last)]
    named = network.feature_info[indices[-1]]["module"]
    if not fitting:
        raise ValueError("no part of it gives a map that a heat map could be drawn from")
    return named if named in fitting else fitting[-1]


def _are_tokens(shape: torch.Size, last: torch.Size) -> bool:
    return len(shape) == 3 and shape[2] == last[1] and last[2] ** 2 <= shape[1] < last[2] ** 2 + 16


class _Watch(TorchDispatchMode):
    """Notes, within a ``with`` block, what the modules of a network give out and which operations read that."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.numbers, self.products = network, 0, 0
        self.shapes: dict[str, torch.Size] = {}  # of outputs, by the module's name, in order
        self.calls: Counter[str] = Counter()
        self.writers: dict[int, str] = {}  # the convolution that wrote a tensor, by its id
        self.readers: dict[int, str] = {}  # the batch norm that read it
        self.reads: Counter[int] = Counter()
        self.alive: list[Any] = []  # or an id would be given to another tensor

    def __enter__(self) -> "_Watch":
        self.handles = [
            module.register_forward_hook(functools.partial(self._note, name))
            for name, module in self.network.named_modules()
        ]
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        for handle in self.handles:
            handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs, result = tree_leaves((args, kwargs)), func(*args, **(kwargs or {}))
        self.reads.update(id(value) for value in inputs if isinstance(value, Tensor))
        self.alive += [inputs, result]
        return result

    def _note(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        self.calls[name] += 1
        if not isinstance(output, Tensor):
            return
        self.shapes.pop(name, None)
        self.shapes[name] = output.shape
        if isinstance(module, nn.Conv2d | nn.Linear):
            self.numbers += output.numel()
            self.products += output.numel() * module.weight[0].numel()
        if type(module) in (nn.Conv2d, Conv2dSame):
            self.writers[id(output)] = name
        elif type(module) in (nn.BatchNorm2d, BatchNormAct2d):
            self.readers[id(inputs[0])] = name

    def fan_in(self) -> float:
        """Multiply-adds for each number that a layer gives out."""
        return self.products / max(self.numbers, 1)

    def fusible(self, maps: list[Tensor]) -> tuple[tuple[str, str], ...]:
        """Names of each convolution whose output a batch norm alone reads, and of that batch norm."""
        alone = self.writers.keys() & self.readers.keys() - {id(fmap) for fmap in maps}
        pairs = [(conv, self.readers[tensor]) for tensor, conv in self.writers.items() if tensor in alone]
        reads = {conv: self.reads[tensor] for tensor, conv in self.writers.items()}
        return tuple(pair for pair in pairs if reads[pair[0]] == self.calls[pair[0]] == self.calls[pair[1]] == 1)
