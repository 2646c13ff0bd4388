"""Reading ONNX files, which may come from strangers, and running them by ONNX Runtime."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artifact_utils.checkpoints import CheckpointError

KEY = "artifact_utils"
"""Of the entry in the metadata that holds ``ModelInfo`` as JSON."""


def read(path: Path) -> tuple[str | None, Callable[[np.ndarray], Sequence[np.ndarray]]]:
    """The JSON in an ONNX file, and a function from pictures to outputs.

    Raises:
        CheckpointError: it is damaged, does more than arithmetic, or onnx and onnxruntime are not installed.
    """
    try:
        import onnx
        import onnxruntime
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise CheckpointError(f"{path} needs onnx and onnxruntime: python -m pip install -e '.[export]'") from error
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise CheckpointError(f"{path} is not an ONNX file, or a damaged one: export it again") from error
    if reason := _harm(model):
        raise CheckpointError(f"{path} {reason}, which no model of this project does")
    text = {entry.key: entry.value for entry in model.metadata_props}.get(KEY)
    if text is None:
        raise CheckpointError(f"{path} was not written by this project: its metadata has no entry {KEY!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # its errors come as exceptions, too
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its extension module, a class for each code: whatever it is, the graph is none
        reason = str(error).strip().partition("\n")[0][:200]
        raise CheckpointError(f"{path} cannot be run ({reason}): export it again") from error
    return text, lambda pictures: session.run(None, {"pictures": pictures})


def _harm(model: Any) -> str:
    """What a graph does that it should not: read other files, call what is no ONNX operator, loop; empty if nothing."""
    import onnx

    if model.functions or any(entry.domain not in ("", "ai.onnx") for entry in model.opset_import):
        return "uses operators of its own"
    if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        return "uses operators of its own"
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    if any(attribute.HasField("g") or attribute.graphs for attribute in attributes):
        return "has graphs in its graph"
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in _tensors(model)):
        return "has weights in other files"
    return ""


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor that is written in a model without subgraphs."""
    yield from model.graph.initializer
    sparse = list(model.graph.sparse_initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)
