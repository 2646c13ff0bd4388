"""ONNX files of strangers: what they must not do is found before they are run."""

import json
from dataclasses import asdict

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install -e '.[export]'")
pytest.importorskip("onnxruntime", reason="needs the extra: pip install -e '.[export]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 (only where it is installed)

from artifact_utils.checkpoints import CheckpointError, ModelInfo  # noqa: E402
from artifact_utils.detector import Detector  # noqa: E402

INFO = ModelInfo("resnet18", 32, 0.5)


def save(path, nodes, initializers=(), *, info=INFO, outputs=("probability", "logits"), shape=("n",), opsets=()):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), *opsets], ir_version=8)
    if info is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "artifact_utils", info if isinstance(info, str) else json.dumps(asdict(info))
    path.write_bytes(model.SerializeToString())
    return path


def mean_brightness():
    return [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["logits"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
    ]


def test_a_graph_of_ones_own_is_run(tmp_path):
    detector = Detector.load(save(tmp_path / "own.onnx", mean_brightness()))
    dark, bright = (detector.predict(np.full((140, 140, 3), grey, np.uint8)) for grey in (0, 9))
    assert dark.probability == 0.5 and bright.probability == pytest.approx(1 / (1 + np.exp(-9)))


def test_weights_in_other_files_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(np.zeros(1, np.float32).tobytes())
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "secret")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret"
    added = [*mean_brightness()[:2], helper.make_node("Add", ["logits", "secret"], ["probability"])]
    with pytest.raises(CheckpointError, match="has weights in other files"):
        Detector.load(save(tmp_path / "own.onnx", added, [tensor]))
    constant = helper.make_node("Constant", [], ["secret"], value=tensor)
    with pytest.raises(CheckpointError, match="has weights in other files"):
        Detector.load(save(tmp_path / "own.onnx", [constant, *added]))


def test_operators_of_others_and_loops_are_refused(tmp_path):
    foreign = helper.make_node("EPContext", ["pictures"], ["x"], domain="com.microsoft", ep_cache_context="/etc/passwd")
    with pytest.raises(CheckpointError, match="operators of its own"):
        opset = helper.make_opsetid("com.microsoft", 1)
        Detector.load(save(tmp_path / "own.onnx", [foreign, *mean_brightness()], opsets=[opset]))
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [])])
    loop = helper.make_node("Loop", ["", ""], [], body=body)
    with pytest.raises(CheckpointError, match="has graphs in its graph"):
        Detector.load(save(tmp_path / "own.onnx", [loop, *mean_brightness()]))


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (None, "was not written by this project"),
        ("nonsense", "header is damaged"),
        (json.dumps(asdict(INFO) | {"threshold": 3}), "threshold=3"),
        (json.dumps(asdict(INFO) | {"arch": "no_such_network"}), "unknown architecture"),
    ],
)
def test_what_is_said_of_a_graph_is_checked(tmp_path, info, message):
    with pytest.raises(CheckpointError, match=message):
        Detector.load(save(tmp_path / "own.onnx", mean_brightness(), info=info))


def test_a_graph_that_is_no_detector_says_so_when_it_is_run(tmp_path):
    picture = np.zeros((140, 140, 3), np.uint8)
    nodes = [helper.make_node("Cast", ["pictures"], [name], to=TensorProto.FLOAT) for name in ("probability", "logits")]
    with pytest.raises(CheckpointError, match=r"answers with \[\(1, 3\), \(1, 3\)\], not \[\(1,\), \(1,\)\]"):
        Detector.load(save(tmp_path / "own.onnx", nodes, shape=["n", 3, 32, 32])).predict(picture)
    other = ModelInfo("resnet18", 64, 0.5)  # the graph takes 32 px
    with pytest.raises(CheckpointError, match="cannot be run"):
        Detector.load(save(tmp_path / "own.onnx", mean_brightness(), info=other)).predict(picture)
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [*mean_brightness(), helper.make_node("Div", ["probability", "zero"], ["infinite"])]
    with pytest.raises(CheckpointError, match="not finite"):
        path = save(tmp_path / "own.onnx", nodes, [zero], outputs=("probability", "infinite"))
        Detector.load(path).predict(picture)
