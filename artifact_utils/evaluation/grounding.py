"""Whether heat maps point at the artifacts: the pointing game, and how many detections are right for the right reason.

A map is worth looking at only if its peak lies in the artifact more often than by chance, and more often than the
centre of the picture does.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from artifact_utils.datasets import unchanged
from artifact_utils.detector import Detector
from artifact_utils.explain import Method, heat_map
from artifact_utils.images import load_image
from artifact_utils.labels import Portrait
from artifact_utils.metrics.bootstrap import share_interval
from artifact_utils.portraits import DataError, with_made_artifacts
from artifact_utils.synthesis import KINDS

Mask = npt.NDArray[np.bool_]  # (H, W), True where the artifact is


def peak(heat: npt.NDArray[Any]) -> tuple[int, int]:
    """Row and column of the highest value; of a plateau, the point nearest to its middle."""
    rows, columns = np.nonzero(heat == heat.max())
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])


def points_at(heat: npt.NDArray[Any], mask: Mask) -> bool:
    """Whether the peak of a heat map (H, W) lies in a mask of the same shape, without any tolerance.

    Raises:
        ValueError: the shapes differ.
    """
    if heat.shape != mask.shape:
        raise ValueError(f"a heat map {heat.shape} and a mask {mask.shape} are not of one picture")
    return bool(mask[peak(heat)])


def _covers_centre(mask: Mask) -> bool:
    return bool(mask[mask.shape[0] // 2, mask.shape[1] // 2])


def pointing_game(maps: Mapping[str, Sequence[npt.NDArray[Any]]], masks: Sequence[Mask]) -> pd.DataFrame:
    """How often the peak of a map lies in the artifact (Zhang et al., Excitation backprop, ECCV 2016).

    Two baselines are added: ``random``, whose peak may be anywhere (its score is exactly the mean share of a picture
    that the artifact covers), and ``centre prior``, whose peak is the middle of the picture.

    Args:
        maps: by the name of the method, a heat map (H, W) for each picture.
        masks: bool (H, W), True where the artifact is, one for each picture.

    Returns:
        One row for each method: ``method``, ``n``, ``hits``, ``share``, ``low`` and ``high`` (95% Wilson interval, over
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
        methods: as for ``heat_map``.
        seed: of the artifacts.

    Returns:
        The table of ``pointing_game`` over the artifacts that were found, and the share that was found.

    Raises:
        ValueError: no portraits.
        ImageError: one of them cannot be read.
    """
    if not portraits:
        raise ValueError("no clean portraits to make artifacts on")
    made = [
        portrait for portrait in with_made_artifacts(portraits, seed=seed, kinds=kinds) if portrait.made is not None
    ]
    dataset = unchanged(made, detector.info.image_size)
    maps: dict[str, list[npt.NDArray[np.float32]]] = {method: [] for method in methods}
    masks = []
    for index in range(len(dataset)):
        square, _, mask, *_ = dataset[index]
        if detector.probabilities(square.unsqueeze(0))[0] >= detector.threshold:
            picture = square.permute(1, 2, 0).numpy()
            masks.append(mask[0].numpy() > 0)
            for method in methods:
                maps[method].append(heat_map(detector, picture, method=method))
    return pointing_game(maps, masks), len(masks) / max(len(dataset), 1)


def read_mask(portrait: Portrait) -> Mask | None:
    """Where the artifact of a portrait is, bool (H, W) of the mask's size; None where no mask is known.

    Raises:
        ImageError: the mask is not a whole picture.
    """
    if portrait.mask is None:
        return None
    return np.asarray(load_image(portrait.mask).convert("L")) > 127


def _picture_and_mask(portrait: Portrait, image_size: int) -> tuple[Path | npt.NDArray[np.uint8], Mask | None]:
    """What a model saw of a portrait: a made artifact is made again, on the square of the size that it was made on."""
    if portrait.made is None:
        return portrait.path, read_mask(portrait)
    square, _, mask, *_ = unchanged([portrait], image_size)[0]
    return square.permute(1, 2, 0).numpy(), (mask[0].numpy() > 0)


def measure_grounding(
    detector: Detector, portraits: Sequence[Portrait], predictions: pd.DataFrame, *, method: Method = "auto"
) -> tuple[pd.Series, dict[str, Any]]:
    """Measure how many detections are right and grounded: an artifact is there, and the heat map points at it.

    Args:
        detector: that made the predictions.
        portraits: those of the table, in its order; artifacts that are made when a picture is opened are made again.
        predictions: of ``evaluation.measure``; ``target`` and ``predicted`` are used.
        method: of the heat maps, as for ``heat_map``.

    Returns:
        A column ``grounded`` for the table: whether the map's peak lies in the artifact, missing where no artifact was
        found or no mask is known. And the summary of it, a dictionary:

        - ``method``;
        - ``flagged``; ``right``, those of them with an artifact; ``with_mask``, those of them with a known mask;
          ``grounded``, those of them whose map points at the artifact;
        - ``centre_prior``, how many of these masks cover the middle of the picture; ``random``, the mean share of the
          picture that they cover (None without masks);
        - ``share_right_and_grounded``, ``grounded`` as a share of what was flagged, found artifacts without a mask left
          out, and its 95% Wilson ``interval`` (both None if nothing is left).

    Raises:
        ImageError: a picture or a mask cannot be read.
        DataError: a mask is not of the size of its picture.
    """
    hits: list[bool | None] = []
    at_centre, areas = 0, []
    for portrait, row in zip(portraits, predictions.itertuples(), strict=True):
        found = row.predicted == 1 and row.target == 1
        picture, mask = _picture_and_mask(portrait, detector.info.image_size) if found else (None, None)
        if picture is None or mask is None:
            hits.append(None)
            continue
        heat = heat_map(detector, picture, method=method)
        if heat.shape != mask.shape:
            (height, width), (h, w) = heat.shape, mask.shape
            raise DataError(
                f"{portrait.mask} is {w} x {h} pixels and its picture {width} x {height}: make them one size"
            )
        hits.append(points_at(heat, mask))
        at_centre += _covers_centre(mask)
        areas.append(float(mask.mean()))
    series = pd.Series(hits, index=predictions.index, dtype="object", name="grounded")
    flagged = int(predictions["predicted"].sum())
    right = int((predictions["predicted"] & predictions["target"]).sum())
    with_mask, n_grounded = int(series.notna().sum()), sum(hit is True for hit in hits)
    n = flagged - right + with_mask
    return series, {
        "method": method if method != "auto" else "locator" if detector.info.locates else "grad_cam",
        "flagged": flagged,
        "right": right,
        "with_mask": with_mask,
        "grounded": n_grounded,
        "centre_prior": at_centre,
        "random": float(np.mean(areas)) if areas else None,
        "share_right_and_grounded": n_grounded / n if n and with_mask else None,
        "interval": list(share_interval(n_grounded, n)) if n and with_mask else None,
    }
