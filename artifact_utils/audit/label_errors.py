"""Labels that are probably wrong: what a classifier that never saw a picture says of it, against its label."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from artifact_utils.checkpoints import load_checkpoint
from artifact_utils.detector import pretrained_file
from artifact_utils.device import keep_freed_memory
from artifact_utils.images import ImageError
from artifact_utils.labels import ARTIFACT, CLASS_NAMES
from artifact_utils.models import fuse_batch_norm
from artifact_utils.squares import decode_stream
from artifact_utils.transforms.looks import build_transforms

_FOLDS = 5
_REGULARISATION = 0.0001  # inverse strength: wrong labels must not be learned
_BATCH = 32


def embed(paths: Sequence[Path]) -> npt.NDArray[np.float32]:
    """Describe portraits by what the detector that comes with the package sees on them.

    Args:
        paths: of pictures.

    Returns:
        (N, F + 1): what reaches its last layer, at its strongest over the places of the picture, and its logit; a row
        of NaN where a picture cannot be read.
    """
    keep_freed_memory()
    model, info = load_checkpoint(pretrained_file())
    fuse_batch_norm(model.eval())
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    side, model.also_at = min((info.image_size, *info.also_at)), ()  # one look, the cheapest, describes a portrait
    transform = build_transforms(info.mean, info.std)
    peaks: list[torch.Tensor] = []
    last = model.head if model.locator is None else model.locator.layers[-1]
    assert last is not None
    last.register_forward_pre_hook(
        lambda _, inputs: peaks.append(inputs[0].reshape(*inputs[0].shape[:2], -1).amax(dim=2))
    )
    seen: dict[int, npt.NDArray[np.float32]] = {}
    waiting: list[tuple[int, torch.Tensor]] = []

    def run() -> None:
        images = transform(torch.stack([square for _, square in waiting])).contiguous(memory_format=torch.channels_last)
        logits = model(images)
        seen.update(zip([i for i, _ in waiting], torch.column_stack([peaks.pop(), logits]).numpy(), strict=True))
        waiting.clear()

    with torch.inference_mode():
        for i, (_, square) in enumerate(decode_stream(paths, side)):
            if not isinstance(square, ImageError):
                waiting.append((i, square))
            if len(waiting) == _BATCH:
                run()
        if waiting:
            run()
    rows = np.full((len(paths), max(map(len, seen.values()), default=1)), np.nan, np.float32)
    for i, row in seen.items():
        rows[i] = row
    return rows


def find_label_errors(
    embeddings: npt.NDArray[np.float32],
    labels: Sequence[int] | npt.NDArray[np.int64],
    groups: Sequence[object] | npt.NDArray[np.object_] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank labels by how suspicious they are.

    A logistic regression learns the labels of four fifths of the groups and says what it expects of the last, five
    times round. Confident learning (Northcutt et al. 2021, in cleanlab) then compares: a picture is suspicious where
    the given label gets little probability, measured against how probable that label is where it is given.

    Args:
        embeddings: (N, F) from ``embed``; no NaN.
        labels: (N,) 0 or 1.
        groups: (N,) what must not be on both sides of a fold: people, near-duplicates. None: every picture its own.
        seed: of the folds.

    Returns:
        In the order given: ``label``, ``expected`` (the other class where that is more probable), ``probability`` (of
        an artifact, out of fold), ``quality`` (of the label, in [0, 1], low is suspicious), ``rank`` (1 is the most
        suspicious) and ``is_label_error`` (whether confident learning would prune it).

    Raises:
        ValueError: a class has fewer than two pictures or groups, so that none can be held out.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels = np.asarray(labels, dtype=np.int64)
    names = np.arange(len(labels)) if groups is None else pd.factorize(np.asarray(groups))[0]
    in_class = [len(np.unique(names[labels == label])) for label in range(len(CLASS_NAMES))]
    folds = min(_FOLDS, *in_class)
    if folds < 2:
        raise ValueError(f"label errors need two groups of pictures of each class, there are {in_class}")
    probability = np.full(len(labels), np.nan)
    for learn, held in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(embeddings, labels, names):
        if len(np.unique(labels[learn])) < 2:  # the groups left one class out: nothing is known of these
            probability[held] = labels[learn].mean()
            continue
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=500)
        )
        probability[held] = model.fit(embeddings[learn], labels[learn]).predict_proba(embeddings[held])[:, ARTIFACT]
    both = np.column_stack([1 - probability, probability])
    quality = get_label_quality_scores(labels, both, method="normalized_margin", adjust_pred_probs=True)
    return pd.DataFrame(
        {
            "label": labels,
            "expected": (probability >= 0.5).astype(np.int64),
            "probability": probability,
            "quality": quality,
            "rank": pd.Series(quality).rank(method="first").astype(int),
            "is_label_error": find_label_issues(labels, both, n_jobs=1),
        }
    )
