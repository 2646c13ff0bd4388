"""OpenVINO's files of strangers."""

import numpy as np
import pytest

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.detector import Detector

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture
def graph(tmp_path):
    """A graph that doubles pictures, and was not written by this project."""
    import openvino.opset13 as op

    pictures = op.parameter([-1, 3, 32, 32], np.float32, name="pictures")
    model = openvino.Model([op.add(pictures, pictures)], [pictures], "double")
    openvino.save_model(model, tmp_path / "own.xml")
    return tmp_path / "own.xml"


def test_a_graph_of_others(graph):
    with pytest.raises(CheckpointError, match="was not written by this project"):
        Detector.load(graph)


def test_weights_that_are_missing_or_of_another_graph(graph):
    graph.with_suffix(".bin").unlink()
    with pytest.raises(CheckpointError, match=r"has its weights in own\.bin, which is missing"):
        Detector.load(graph)


def test_other_formats_are_not_read_under_its_name(graph):
    graph.write_bytes(b"\x08\x08 an ONNX file could name others")
    with pytest.raises(CheckpointError, match="is not a graph of OpenVINO's"):
        Detector.load(graph)
