"""Reading OpenVINO's files, which may come from strangers: the graph in NAME.xml, its weights in NAME.bin."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.device import openvino_core

KEY, DIGEST = "artifact_utils", "artifact_utils_weights"
"""Of the entries in the graph's ``rt_info``: ``ModelInfo`` as JSON, and the SHA-256 of the weights."""
HOLDS_GRAPHS = {"If", "Loop", "TensorIterator"}


def read(path: Path) -> tuple[str | None, Callable[[np.ndarray], Sequence[np.ndarray]]]:
    """The JSON in the graph, and a function from pictures to outputs.

    Raises:
        CheckpointError: it is damaged, does more than arithmetic, the weights are missing or are those of another
            graph, or OpenVINO is not installed.
    """
    try:
        core = openvino_core()
    except ImportError as error:
        raise CheckpointError(f"{path} needs OpenVINO: python -m pip install -r requirements.txt") from error
    weights_file = path.with_suffix(".bin")
    if not weights_file.is_file():
        raise CheckpointError(f"{path} has its weights in {weights_file.name}, which is missing: copy both")
    content, weights = path.read_bytes(), weights_file.read_bytes()
    if not content.lstrip().startswith((b"<?xml", b"<net")):  # OpenVINO would read other formats, too
        raise CheckpointError(f"{path} is not a graph of OpenVINO's: export it again")
    try:
        model = core.read_model(content, weights)
        if any(_does_more(node) for node in model.get_ops()):
            raise CheckpointError(f"{path} does more than arithmetic, which no model of this project does")
        if not model.has_rt_info(KEY) or not model.has_rt_info(DIGEST):
            raise CheckpointError(f"{path} was not written by this project: its rt_info has no {KEY!r}")
        text, digest = (model.get_rt_info(key).astype(str) for key in (KEY, DIGEST))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), **EXACT})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise CheckpointError(f"{path} cannot be read or run ({reason}): export it again") from error
    if digest != hashlib.sha256(weights).hexdigest():
        raise CheckpointError(f"{weights_file} is damaged, or holds the weights of another graph than {path}")
    names = [output.get_any_name() for output in compiled.outputs]

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        found = compiled.create_infer_request().infer([pictures])
        return [found[name] for name in names]

    return text, run


EXACT = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0, "NUM_STREAMS": 1}
"""Arithmetic in 32 bits, whatever the weights are stored in; the answers are PyTorch's."""


def _does_more(node: Any) -> bool:
    is_standard = str(node.get_type_info().version_id).startswith("opset")
    return not is_standard or node.get_type_name() in HOLDS_GRAPHS
