"""What an exported file holds: the whole way from uint8 pictures to probabilities, as one module."""

from typing import Any

import torch
from torch import Tensor, nn

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.models import ArtifactClassifier

MIN_WEIGHTS = 1024
"""Numbers of a matrix from which on 8 bits save anything."""


class WholeModel(nn.Module):
    """Square uint8 pictures (N, 3, S, S) to probabilities (N,), raw logits (N,) and, with a locator, those of families
    (N, F) and of places (N, F, h, w)."""

    def __init__(self, model: ArtifactClassifier, info: ModelInfo) -> None:
        super().__init__()
        self.model, self.side, self.temperature = model, info.image_size, info.temperature
        mean, std = torch.tensor(info.mean).view(1, 3, 1, 1), torch.tensor(info.std).view(1, 3, 1, 1)
        self.scale, self.shift = nn.Buffer(1 / (255 * std)), nn.Buffer(-mean / std)
        self.outputs = ["probability", "logits", *(["families", "places"] if info.locates else [])]

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        answer = self.model.locate(pictures.float() * self.scale + self.shift)
        probability = torch.sigmoid(answer.logits / self.temperature)
        if answer.families is None or answer.places is None:
            return probability, answer.logits
        return probability, answer.logits, answer.families, answer.places

    def example(self) -> Tensor:
        """Two grey pictures: an exporter follows them through."""
        return torch.full((2, 3, self.side, self.side), 127, dtype=torch.uint8)


def weights_in_8_bits(model: Any) -> Any:
    """An ONNX model whose matrices and kernels are int8 with a scale for each output; the same object."""
    import numpy as np
    import onnx

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs_along = {"Conv": 0, "MatMul": 1}
    axes: dict[str, set[int | None]] = {}
    for node in model.graph.node:
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        axis = int(not transposed) if node.op_type == "Gemm" else outputs_along.get(node.op_type)
        for place, name in enumerate(node.input):
            axes.setdefault(name, set()).add(axis if place == 1 else None)
    nodes = []
    for name, found in axes.items():
        tensor, axis = stored.get(name), next(iter(found))
        if tensor is None or len(found) > 1 or axis is None or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        weight = onnx.numpy_helper.to_array(tensor)
        if weight.ndim < 2 or weight.size < MIN_WEIGHTS:
            continue
        others = tuple(i for i in range(weight.ndim) if i != axis)
        scale = np.maximum(np.abs(weight).max(axis=others, keepdims=True) / 127, 1e-12)
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.rint(weight / scale).astype(np.int8), f"{name}.int8")
        )
        model.graph.initializer.append(onnx.numpy_helper.from_array(scale.ravel().astype(np.float32), f"{name}.scale"))
        inputs = [f"{name}.int8", f"{name}.scale"]
        nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}.stored", axis=axis))
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    return model
