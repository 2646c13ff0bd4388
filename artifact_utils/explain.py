"""Heat maps of where a model sees an artifact, for every backbone, and feature maps of its stages.

A model with a locator was taught where artifacts are and says so itself (``Detector.locate``); for any other, gradients
tell (the ``grad-cam`` package).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from artifact_utils.backbones import BACKBONES
from artifact_utils.detector import Detector, unsquare
from artifact_utils.images import load_image
from artifact_utils.models import ArtifactClassifier
from artifact_utils.transforms import to_square

Method = Literal["auto", "locator", "grad_cam", "grad_cam++", "hires_cam", "layer_cam"]

_CAMS = {"grad_cam": "GradCAM", "grad_cam++": "GradCAMPlusPlus", "hires_cam": "HiResCAM", "layer_cam": "LayerCAM"}


def heat_map(
    detector: Detector, source: str | Path | Image.Image | npt.NDArray[Any], *, method: Method = "auto"
) -> npt.NDArray[np.float32]:
    """Draw where in a picture a detector sees an artifact, whatever its backbone.

    Args:
        detector: with any backbone of the registry, frozen or not.
        source: whatever ``load_image`` takes.
        method: "locator" asks the model itself, the others look at its gradients; "auto" is the locator where the model
            has one and Grad-CAM where not.

    Returns:
        A heat map, float32 (H, W) in [0, 1], of the size of the picture. The locator's values are probabilities; those
        of the others are relative, their peak is 1 even where nothing is wrong.

    Raises:
        ImageError: it is not a whole picture.
        ValueError: an unknown method, or "locator" of a model without one.
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(get_args(Method))}")
    if method == "locator" or (method == "auto" and detector.model.locator is not None):
        return detector.locate(source)
    image = load_image(source)
    square = to_square(image, detector.info.image_size).unsqueeze(0)
    device = next(detector.model.parameters()).device
    heat = class_activation_maps(detector.model, detector.transform(square.to(device)), method=method)
    return unsquare(torch.from_numpy(heat), image.size)


def class_activation_maps(
    model: ArtifactClassifier, images: Tensor, *, method: Method = "grad_cam"
) -> npt.NDArray[np.float32]:
    """Heat maps from the gradients of the logit in the last maps of the backbone.

    Selvaraju et al., Grad-CAM, ICCV 2017; HiResCAM (arXiv 2011.08891) and LayerCAM weigh place by place, Grad-CAM++
    (arXiv 1710.11063) by higher derivatives. For ViT they are the tokens that enter the last attention.

    Args:
        model: of any architecture; it stays as it is, and frozen parameters need no gradient.
        images: (N, 3, S, S) normalised, on the model's device.
        method: "grad_cam", "grad_cam++", "hires_cam" or "layer_cam"; "auto" is "grad_cam".

    Returns:
        (N, S, S) float32, each scaled to [0, 1].

    Raises:
        ValueError: an unknown method.
    """
    method = "grad_cam" if method == "auto" else method
    if method not in _CAMS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(_CAMS)}")
    import pytorch_grad_cam  # takes a second, and a model with a locator does without

    draw_cam = getattr(pytorch_grad_cam, _CAMS[method])
    layer = model.backbone.get_submodule(BACKBONES[model.arch].explained)
    reshape = _tokens_to_map if model.arch == "vit_b_16" else None
    was_training = model.training
    with _as_explained(model), draw_cam(model, [layer], reshape_transform=reshape) as cam:
        inputs = images.detach().clone().requires_grad_(True)
        heat = cam(inputs, targets=[_artifact] * len(images))
    model.train(was_training)
    return np.nan_to_num(heat).astype(np.float32)


def _artifact(logit: Tensor) -> Tensor:
    return logit


def _tokens_to_map(tokens: Tensor) -> Tensor:
    """(N, 1 + h * w, C) of a ViT, class token first -> (N, C, h, w)."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))


@contextmanager
def _as_explained(model: ArtifactClassifier) -> Iterator[None]:
    """No gradients of parameters, which take time and memory, and of a frozen backbone are none; one size only."""
    needed, also_at = {parameter: parameter.requires_grad for parameter in model.parameters()}, model.also_at
    model.requires_grad_(False)
    model.also_at = ()
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter, value in needed.items():
            parameter.requires_grad_(value)
        model.also_at = also_at


def feature_maps(
    detector: Detector, source: str | Path | Image.Image | npt.NDArray[Any], *, stages: int = 5
) -> dict[str, npt.NDArray[np.float32]]:
    """What the stages of a backbone make of a picture, from edges near the input to parts of faces near the output.

    Args:
        detector: with any backbone of the registry.
        source: whatever ``load_image`` takes.
        stages: how many, spread evenly over the backbone, the last one included.

    Returns:
        By name ("stage 3 of 18"), float32 (C, h, w), the most active channel first.

    Raises:
        ImageError: it is not a whole picture.
    """
    parts = BACKBONES[detector.model.arch].stages(detector.model.backbone)
    numbers = np.unique(np.linspace(0, len(parts) - 1, stages).round().astype(int))
    outputs: dict[int, Tensor] = {}

    def keep(number: int) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            outputs[number] = output.detach().float().cpu()

        return hook

    layers = {number: _called(parts[number]) for number in numbers}
    handles = [layer.register_forward_hook(keep(number)) for number, layer in layers.items()]
    try:
        detector.probabilities(to_square(load_image(source), detector.info.image_size).unsqueeze(0))
    finally:
        for handle in handles:
            handle.remove()
    maps = {}
    for number, output in sorted(outputs.items()):
        fmap = (_tokens_to_map(output) if output.ndim == 3 else output)[0].numpy()
        order = np.argsort(-np.abs(fmap).mean(axis=(1, 2)), kind="stable")
        maps[f"stage {number + 1} of {len(parts)}"] = fmap[order]
    return maps


def _called(stage: nn.Module) -> nn.Module:
    """The module that is run: a stage may be a list that only holds its modules together."""
    return list(stage.children())[-1] if isinstance(stage, nn.ModuleList) else stage
