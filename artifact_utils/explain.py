"""Heat maps of where a model sees an artifact, for every backbone, and feature maps of its stages.

A model with a locator was taught where artifacts are and says so itself (``Detector.locate``); for any other, gradients
tell (the ``grad-cam`` package).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from artifact_utils.detector import Detector, unsquare
from artifact_utils.images import load_image
from artifact_utils.models import ArtifactClassifier
from artifact_utils.transforms.looks import to_square

Method = Literal["auto", "locator", "grad_cam", "grad_cam++", "hires_cam", "layer_cam"]

_CAMS = {"grad_cam": "GradCAM", "grad_cam++": "GradCAMPlusPlus", "hires_cam": "HiResCAM", "layer_cam": "LayerCAM"}


def heat_map(
    detector: Detector,
    source: str | Path | Image.Image | npt.NDArray[Any],
    *,
    method: Method = "auto",
    family: str | None = None,
) -> npt.NDArray[np.float32]:
    """Draw where in a picture a detector sees an artifact, whatever its backbone.

    Args:
        detector: of any architecture, frozen or not.
        source: whatever ``load_image`` takes.
        method: "locator" asks the model itself, the others look at its gradients; "auto" is the locator where the model
            has one and Grad-CAM where not.
        family: of artifacts that the locator is asked for; by default all that count.

    Returns:
        A heat map, float32 (H, W) in [0, 1], of the size of the picture. The locator's values are probabilities; those
        of the others are relative, their peak is 1 even where nothing is wrong.

    Raises:
        ImageError: it is not a whole picture.
        ValueError: an unknown method, "locator" of a model without one, or a family that gradients do not tell apart.
        ConfigError: a family that the model does not tell apart.
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(get_args(Method))}")
    if method == "locator" or (method == "auto" and detector.info.locates):
        return detector.locate(source, family=family)
    if family is not None:
        raise ValueError(f"{method} does not tell families apart: leave family out, or use a model with a locator")
    image = load_image(source)
    square = to_square(image, detector.info.image_size).unsqueeze(0)
    device = detector.device
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
    layer, reshape = model.backbone.explained, model.backbone.to_map
    was_training = model.training
    with _as_explained(model), draw_cam(model, [layer], reshape_transform=reshape) as cam:
        inputs = images.detach().clone().requires_grad_(True)
        heat = cam(inputs, targets=[_artifact] * len(images))
    model.train(was_training)
    return np.nan_to_num(heat).astype(np.float32)


def _artifact(logit: Tensor) -> Tensor:
    return logit


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
        detector: of any architecture.
        source: whatever ``load_image`` takes.
        stages: how many, spread evenly over the backbone, the last one included.

    Returns:
        By name ("stage 3 of 5"), float32 (C, h, w), the most active channel first.

    Raises:
        ImageError: it is not a whole picture.
    """
    square = to_square(load_image(source), detector.info.image_size).unsqueeze(0)
    device = detector.device
    with torch.inference_mode():
        outputs = detector.model.backbone.all_maps(detector.transform(square.to(device)))
    maps = {}
    for number in np.unique(np.linspace(0, len(outputs) - 1, stages).round().astype(int)):
        fmap = outputs[number][0].float().cpu().numpy()
        order = np.argsort(-np.abs(fmap).mean(axis=(1, 2)), kind="stable")
        maps[f"stage {number + 1} of {len(outputs)}"] = fmap[order]
    return maps
