"""A frozen ViT in 8 bits on CPUs with VNNI, by OpenVINO; PyTorch stays the reference and runs everywhere else.

Weights have a scale for each output, and every token is quantised when it is met, in groups of channels with a scale of
their own: the few activations of a ViT that are far larger than the rest cost their group its precision and no other.
So nothing is calibrated, and an answer depends on no other picture of the batch. The graph is built from the weights
that PyTorch has, in less than a second: nothing is kept on disk.
"""

import logging
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artifact_utils.device import cpu_has_bf16, openvino_core

logger = logging.getLogger(__name__)

GROUP = 128
"""Channels of a token that share a scale. With 64 the tokens are a little nearer to those of 32 bits (mean cosine 0.997
against 0.996), with 768 farther (0.990); the speeds are 11.9, 12.9 and 14.0 img/s on one core of an AMD EPYC."""
GELU_SLOPE = 1.702
"""Of the quick GELU: ``x * sigmoid(1.702 x)``."""


@cache
def int8_is_faster() -> bool:
    """Whether this CPU multiplies in 8 bits (AVX512-VNNI) and OpenVINO is installed; a line says so if it cannot be
    loaded."""
    if not torch.cpu._is_vnni_supported():
        return False
    try:
        import openvino  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:  # of its shared libraries, too
        logger.warning("OpenVINO cannot be loaded (%s): PyTorch goes on, in about twice the time", error)
        return False
    return True


class Int8Engine:
    """Runs the patch embedding and the blocks of a ViT of timm.

    Args:
        network: with a class token, a norm before the blocks, quick GELU and none behind the blocks, as CLIP has it.
        side: of the square pictures in pixels, as many as its position embeddings are for.

    Raises:
        RuntimeError: OpenVINO cannot build, compile or run the graph.
    """

    def __init__(self, network: Any, side: int) -> None:
        self.grid = side // network.patch_embed.patch_size[0]
        config = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # pictures are decoded on the same cores
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
            "INFERENCE_PRECISION_HINT": "bf16" if cpu_has_bf16() else "f32",
        }
        self.compiled = openvino_core().compile_model(_graph(network, side), "CPU", config)
        self(torch.zeros(1, 3, side, side))  # what this CPU has no kernel for is found by the first pass alone

    def __call__(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The last map (N, C, h, w) and the class token (N, C) of normalised pictures (N, 3, S, S) on the CPU."""
        request = self.compiled.create_infer_request()
        tokens = torch.from_numpy(request.infer([images.contiguous().numpy()])[0].copy())  # (N, 1 + h * w, C)
        maps = tokens[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return [maps.contiguous(memory_format=torch.channels_last)], tokens[:, 0]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a copy of the model builds its own when it needs one


def _graph(network: Any, side: int) -> Any:
    """The openvino.Model from pictures (N, 3, S, S) to tokens (N, T, C)."""
    import openvino
    import openvino.opset13 as op

    def constant(tensor: Tensor) -> Any:
        return op.constant(tensor.detach().float().numpy())

    def shape(*sizes: int) -> Any:
        return op.constant(np.array(sizes, np.int64))

    def norm(x: Any, layer: Any) -> Any:
        x = op.mvn(x, shape(-1), True, layer.eps, "inside_sqrt")
        return op.add(op.multiply(x, constant(layer.weight)), constant(layer.bias))

    def linear(x: Any, layer: Any) -> Any:
        weight = layer.weight.detach().float()  # (out, in)
        scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-12)
        stored = op.constant((weight / scale).round().to(torch.int8).numpy())
        product = op.matmul(x, op.multiply(op.convert(stored, "f32"), constant(scale)), False, True)
        return op.add(product, constant(layer.bias))

    def attention(x: Any, layer: Any) -> Any:
        parted = op.reshape(linear(x, layer.qkv), shape(0, 0, 3, layer.num_heads, -1), True)
        parted = op.transpose(parted, shape(2, 0, 3, 1, 4))  # (3, N, heads, T, C / heads)
        query, key, value = (op.gather(parted, op.constant(np.int64(i)), op.constant(np.int64(0))) for i in range(3))
        seen = op.transpose(op.scaled_dot_product_attention(query, key, value), shape(0, 2, 1, 3))
        return linear(op.reshape(seen, shape(0, 0, -1), True), layer.proj)

    def quick_gelu(x: Any) -> Any:
        return op.multiply(x, op.sigmoid(op.multiply(x, op.constant(np.float32(GELU_SLOPE)))))

    images = op.parameter(openvino.PartialShape([-1, 3, side, side]), np.float32, name="images")
    patch = network.patch_embed.proj
    x = op.convolution(images, constant(patch.weight), list(patch.stride), [0, 0], [0, 0], [1, 1])
    if patch.bias is not None:
        x = op.add(x, constant(patch.bias.view(1, -1, 1, 1)))
    x = op.transpose(op.reshape(x, shape(0, 0, -1), True), shape(0, 2, 1))
    n_images = op.gather(op.shape_of(images), shape(0), op.constant(np.int64(0)))
    rest = shape(1, network.embed_dim)
    first = op.broadcast(constant(network.cls_token), op.concat([n_images, rest], 0))
    x = norm(op.add(op.concat([first, x], 1), constant(network.pos_embed)), network.norm_pre)
    for block in network.blocks:
        x = op.add(x, attention(norm(x, block.norm1), block.attn))
        x = op.add(x, linear(quick_gelu(linear(norm(x, block.norm2), block.mlp.fc1)), block.mlp.fc2))
    return openvino.Model([x], [images], "backbone")
