"""Heat maps of what made a model say "artifact", for every backbone, and whether they point at the artifact.

A model with a locator was taught where faults are and says so itself (``Detector.locate``); of any other, gradients
tell (the ``grad-cam`` package). A map is worth looking at only if its peak lies in the artifact more often than that of
a map that knows nothing: hence the pointing game, against chance and against always guessing the centre.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torchvision.transforms import v2

from artifact_utils.backbones import BACKBONES
from artifact_utils.datasets import ArtifactDataset, Portrait, with_made_artifacts
from artifact_utils.detector import Detector, unsquare
from artifact_utils.images import load_image
from artifact_utils.metrics import share_interval
from artifact_utils.models import ArtifactClassifier
from artifact_utils.synthesis import KINDS
from artifact_utils.transforms import to_square

Method = Literal["auto", "locator", "grad_cam", "grad_cam++", "hires_cam", "layer_cam"]

_CAMS: dict[str, type[BaseCAM]] = {
    "grad_cam": GradCAM,
    "grad_cam++": GradCAMPlusPlus,
    "hires_cam": HiResCAM,
    "layer_cam": LayerCAM,
}


def explain(
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
    layer = model.backbone.get_submodule(BACKBONES[model.arch].explained)
    reshape = _tokens_to_map if model.arch == "vit_b_16" else None
    was_training = model.training
    with _as_explained(model), _CAMS[method](model, [layer], reshape_transform=reshape) as cam:
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


def peak(heat: npt.NDArray[Any]) -> tuple[int, int]:
    """Row and column of the highest value; of a plateau, the point nearest to its middle."""
    rows, columns = np.nonzero(heat == heat.max())
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])


def points_at(heat: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> bool:
    """Whether the peak of a heat map (H, W) lies in a mask of the same shape, without any tolerance.

    Raises:
        ValueError: the shapes differ.
    """
    if heat.shape != mask.shape:
        raise ValueError(f"a heat map {heat.shape} and a mask {mask.shape} are not of one picture")
    return bool(mask[peak(heat)])


def _covers_centre(mask: npt.NDArray[np.bool_]) -> bool:
    return bool(mask[mask.shape[0] // 2, mask.shape[1] // 2])


def pointing_game(
    maps: Mapping[str, Sequence[npt.NDArray[Any]]], masks: Sequence[npt.NDArray[np.bool_]]
) -> pd.DataFrame:
    """How often the peak of a map lies in the artifact (Zhang et al., Excitation backprop, ECCV 2016).

    Two maps that know nothing are added for comparison: ``random``, whose peak may be anywhere (its score is exactly
    the mean share of a picture that the artifact covers), and ``centre prior``, whose peak is the picture's middle.

    Args:
        maps: by the name of the method, one heat map (H, W) a picture.
        masks: bool (H, W), True where the artifact is; one a picture.

    Returns:
        One row a method: ``method``, ``n``, ``hits``, ``share``, ``low`` and ``high`` (95% Wilson interval, over
        pictures). Shares are missing where there are no pictures.
    """
    counts = {
        name: sum(points_at(heat, mask) for heat, mask in zip(heats, masks, strict=True))
        for name, heats in maps.items()
    }
    counts["centre prior"] = sum(map(_covers_centre, masks))
    n = len(masks)
    rows: list[dict[str, Any]] = []
    for name, hits in counts.items():
        low, high = share_interval(hits, n)
        rows.append(
            {"method": name, "n": n, "hits": hits, "share": hits / n if n else np.nan, "low": low, "high": high}
        )
    chance = float(np.mean([mask.mean() for mask in masks])) if n else np.nan
    rows.append({"method": "random", "n": n, "hits": np.nan, "share": chance, "low": np.nan, "high": np.nan})
    return pd.DataFrame(rows)


def point_at_made_artifacts(
    detector: Detector,
    portraits: Sequence[Portrait],
    *,
    kinds: Collection[str] = KINDS,
    methods: Sequence[Method] = ("auto",),
    seed: int = 0,
) -> tuple[pd.DataFrame, float]:
    """Play the pointing game on artifacts that are made on clean portraits, whose masks are known exactly.

    Args:
        detector: whose maps are tried, on what it flags.
        portraits: clean ones; each is given one artifact.
        kinds: of artifact.
        methods: as for ``explain``.
        seed: of the artifacts.

    Returns:
        The table of ``pointing_game`` over the artifacts that were found, and the share that was.

    Raises:
        ValueError: no portraits.
    """
    if not portraits:
        raise ValueError("no clean portraits to make artifacts on")
    made = [
        portrait for portrait in with_made_artifacts(portraits, seed=seed, kinds=kinds) if portrait.made is not None
    ]
    dataset = ArtifactDataset(made, detector.info.image_size, v2.Identity(), find_faces=True)
    maps: dict[str, list[npt.NDArray[np.float32]]] = {method: [] for method in methods}
    masks = []
    for index in range(len(dataset)):
        square, _, mask, _ = dataset[index]
        if detector.probabilities(square.unsqueeze(0))[0] >= detector.threshold:
            picture = square.permute(1, 2, 0).numpy()
            masks.append(mask[0].numpy() == 1)
            for method in methods:
                maps[method].append(explain(detector, picture, method=method))
    return pointing_game(maps, masks), len(masks) / max(len(dataset), 1)


def read_mask(portrait: Portrait) -> npt.NDArray[np.bool_] | None:
    """Where the artifact of a portrait is, bool (H, W) of its size; None where nobody said.

    Raises:
        ImageError: the mask is not a whole picture.
    """
    if portrait.mask is None:
        return None
    return np.asarray(load_image(portrait.mask).convert("L")) > 127


def _picture_and_mask(
    portrait: Portrait, image_size: int
) -> tuple[Path | npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
    """What a model saw of a portrait: a made artifact is made again, on the square of the size that it was made on."""
    if portrait.made is None:
        return portrait.path, read_mask(portrait)
    dataset = ArtifactDataset([portrait], image_size, v2.Identity())
    for error in dataset.rejected:
        raise error
    square, _, mask, _ = dataset[0]
    return square.permute(1, 2, 0).numpy(), mask[0].numpy() == 1


def grounded(
    detector: Detector, portraits: Sequence[Portrait], predictions: pd.DataFrame, *, method: Method = "auto"
) -> tuple[pd.Series, dict[str, Any]]:
    """Of what was flagged: how much is an artifact, and is one for the right reason, its map pointing at it?

    Args:
        detector: that made the predictions.
        portraits: those of the table, in its order; artifacts that are made when a picture is opened are made again.
        predictions: a table of ``Detector.table``; ``target`` and ``predicted`` are used.
        method: of the heat maps, as for ``explain``.

    Returns:
        Of each row whether its map points at the artifact (missing where nothing was found or nobody said where it is),
        and a summary: ``flagged``, ``right`` (flagged and with an artifact), ``with_mask`` (of those), ``grounded`` (of
        those), ``centre_prior`` (of those, in how many the picture's middle lies in the artifact) and ``random`` (the
        share in which a random point does, None where there is no mask), ``share_right_and_grounded`` (of the flagged
        pictures, those without an artifact included, those with an artifact but no mask left out; None where none is
        left) and its 95% Wilson ``interval``.

    Raises:
        ImageError: a picture or a mask cannot be read.
        ValueError: a mask is not of the size of its picture.
    """
    answers: list[bool | None] = []
    at_centre, areas = 0, []
    for portrait, row in zip(portraits, predictions.itertuples(), strict=True):
        found = row.predicted == 1 and row.target == 1
        picture, mask = _picture_and_mask(portrait, detector.info.image_size) if found else (None, None)
        if picture is None or mask is None:
            answers.append(None)
            continue
        answers.append(points_at(explain(detector, picture, method=method), mask))
        at_centre += _covers_centre(mask)
        areas.append(float(mask.mean()))
    series = pd.Series(answers, index=predictions.index, dtype="object", name="grounded")
    flagged = int(predictions["predicted"].sum())
    right = int((predictions["predicted"] & predictions["target"]).sum())
    with_mask, hits = int(series.notna().sum()), sum(answer is True for answer in answers)
    n = flagged - right + with_mask
    return series, {
        "method": "locator" if method == "auto" and detector.model.locator is not None else method,
        "flagged": flagged,
        "right": right,
        "with_mask": with_mask,
        "grounded": hits,
        "centre_prior": at_centre,
        "random": float(np.mean(areas)) if areas else None,
        "share_right_and_grounded": hits / n if n and with_mask else None,
        "interval": list(share_interval(hits, n)) if n and with_mask else None,
    }


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
