"""Finding visible generation artifacts in AI-generated portraits.

The core, in reading order:

========================  ===========================================================================================
``labels``                class numbers and names, ``Portrait``; the label in a file name
``images``                opening a picture safely
``console``               command lines: errors in one line, messages, progress bars
``faces``                 where the face is, by the YuNet detector
``config``                ``TrainConfig`` in groups, the presets, ``resolve``
``device``                the device and its data type
``masks``                 masks of artifacts as pictures
``squares``               pictures decoded once to the training size, and kept
``portraits``             reading the folders; which portraits are trained, validated and tested on
``datasets``              from portraits to samples: ``ArtifactDataset``
``sampling``              which samples make up an epoch
``loaders``               from a config to batches
``losses``                ``FocalLoss`` and the loss on masks
``models``                backbone, head and locator: ``ArtifactClassifier``
``kept_features``         what a frozen backbone sees, kept for all epochs
``training``              ``train``, one epoch, one step, optimiser and learning-rate schedule
``runs``                  the folder of a run: history, states, interruption
``distributed``           several processes that train one model, started by ``torchrun``
``checkpoints``           trained models in safetensors files
``predictions``           what is said of a picture: families, places, the verdict
``detector``              a trained model in use: ``Detector``
``explain``               heat maps: ``heat_map``
``export``                a trained model as one file for other engines
========================  ===========================================================================================

Subpackages, each with one public function or few:

========================  ===========================================================================================
``files``                 whole files or none, moves, locks, databases, and the limits of what one picture may cost
``transforms``            from a picture to a square tensor: looks at it, frames and augmentation in training
``organize``              ``organize``: flat folders into class folders
``backbones``             ``Backbone``: any timm network, run in one way, and where its weights come from
``synthesis``             ``inject`` and ``harmless_edit``: artifacts made on clean portraits
``demo``                  ``ensure_dataset``: the demo set
``audit``                 ``audit_folder``: broken files, duplicates, leaks, wrong labels
``metrics``               scores, intervals, calibration, thresholds, as pure functions on arrays
``evaluation``            ``measure``: a detector on labelled portraits; reports and experiments
``filtering``             ``score_folder``, ``move_flagged``, ``undo``: whole folders of portraits
``scale``                 ``score_urls``: pictures in object storage, on one machine or many
``page``                  ``launch``: the web page
``plots``                 ``plot_*``: data in, figure out
``exported``              exported models in use: ONNX, OpenVINO, TorchScript
``pretrained``            the packaged weights, with their licences
========================  ===========================================================================================

The public names below are imported when they are first used. None is called like a submodule.
"""

from importlib import import_module

TYPE_CHECKING = False  # typing is not imported: Ctrl-C is one line once this file and console.py are loaded
if TYPE_CHECKING:
    from typing import Any

_HOME = {
    "TrainConfig": "config",
    "train": "training",
    "FocalLoss": "losses",
    "ArtifactDataset": "datasets",
    "Detector": "detector",
    "inject": "synthesis",
    "measure": "evaluation.measuring",
    "audit_folder": "audit",
    "heat_map": "explain",
}
"""Module of each public name."""

__all__ = list(_HOME)


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
