"""Recall by family of artifact, and whether the family that a detector names is the right one."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from artifact_utils.datasets import family_of, unchanged
from artifact_utils.detector import Detector
from artifact_utils.labels import ARTIFACT, Portrait
from artifact_utils.metrics.bootstrap import share_interval

BATCH = 32


@torch.inference_mode()
def name_families(detector: Detector, portraits: Sequence[Portrait]) -> list[str]:
    """The most probable family in each portrait, of those that count; empty where the model does not tell them apart.

    Args:
        detector: what is measured.
        portraits: any; artifacts that are made when a picture is opened are made.

    Raises:
        ImageError: one of them cannot be read.
    """
    if not detector.families:
        return [""] * len(portraits)
    dataset = unchanged(portraits, detector.info.image_size)
    counted = [detector.info.families.index(name) for name in detector.families]
    named: list[str] = []
    for first in range(0, len(dataset), BATCH):
        squares = torch.stack([dataset[i].image for i in range(first, min(first + BATCH, len(dataset)))])
        families = detector.run(squares).families
        assert families is not None
        named += [detector.families[i] for i in families[:, counted].argmax(dim=1).tolist()]
    return named


def by_family(predictions: pd.DataFrame, portraits: Sequence[Portrait], named: Sequence[str]) -> pd.DataFrame:
    """Recall of each family, and what the found ones were named.

    Args:
        predictions: of ``measure``; ``predicted`` is used.
        portraits: those of the table, in its order; only artifacts whose kind is known are counted.
        named: of ``name_families`` for them.

    Returns:
        One row a family: ``family``, ``artifacts``, ``found``, ``recall`` with its 95% Wilson interval ``recall_low``
        and ``recall_high``, ``right`` (found ones that were named right), and a column ``named FAMILY`` with how many
        of the found were named so.
    """
    truth = [family_of(portrait) if portrait.label == ARTIFACT else "" for portrait in portraits]
    table = pd.DataFrame({"family": truth, "found": predictions["predicted"].to_numpy(), "named": list(named)})
    names = sorted(set(table["named"]) - {""})
    rows: list[dict[str, Any]] = []
    for family, inside in table[table["family"] != ""].groupby("family", sort=True):
        found = inside[inside["found"] == 1]
        low, high = share_interval(len(found), len(inside))
        row = {"family": family, "artifacts": len(inside), "found": len(found), "recall": len(found) / len(inside)}
        row |= {"recall_low": low, "recall_high": high, "right": int((found["named"] == family).sum())}
        rows.append(row | {f"named {name}": int((found["named"] == name).sum()) for name in names})
    columns = ("family", "artifacts", "found", "recall", "recall_low", "recall_high", "right")
    return pd.DataFrame(rows, columns=[*columns, *(f"named {name}" for name in names)])
