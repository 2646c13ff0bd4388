"""The three formats of a small network, answered by the detector like PyTorch does."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import draw_portrait
from PIL import Image

from artifact_utils import export as module
from artifact_utils.checkpoints import CheckpointError, ModelInfo, save_checkpoint
from artifact_utils.config import ConfigError
from artifact_utils.detector import Detector
from artifact_utils.explain import heat_map
from artifact_utils.export import ExportError, export_model, largest_difference
from artifact_utils.models import build_model

ROOT = Path(__file__).parents[1]
FAMILIES = ("hands", "face", "gaze")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a tiny ViT that tells families apart."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    shape = {"image_size": 64, "locates": True, "families": FAMILIES, "pooled": False}
    model = build_model("test_vit", weights="none", **shape)
    with torch.no_grad():  # answers that differ from picture to picture
        model.locator.layers[-1].weight.mul_(5)
        model.locator.layers[-1].bias.fill_(-1.0)
    info = ModelInfo("test_vit", threshold=0.625, temperature=0.7, calibrated=True, **shape)
    save_checkpoint(folder / "best.safetensors", model, info)
    return folder


@pytest.fixture(scope="module", params=["onnx", "openvino", "torchscript"])
def exported(request, trained):
    if request.param != "torchscript":
        pytest.importorskip("onnxscript", reason="needs the extra: pip install -e '.[export]'")
        pytest.importorskip("onnxruntime", reason="needs the extra: pip install -e '.[export]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_PICTURES", 20)
        return export_model(trained, request.param)


@pytest.fixture
def portraits(tmp_path):
    """A square, a tall, a tiny one, and a file that is none."""
    sizes = {"square": (128, 128), "tall": (130, 260), "tiny": (90, 90)}
    draw_portrait(tmp_path / "drawn.png", seed=1, artifact=True)
    for name, size in sizes.items():
        Image.open(tmp_path / "drawn.png").resize(size).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    return [tmp_path / f"{name}.png" for name in (*sizes, "broken")]


def test_a_detector_takes_the_file_like_any_other(exported, trained, portraits):
    plain, engine = Detector.load(trained, device="cpu"), Detector.load(exported.file)
    assert replace(engine.info, metrics={}) == replace(plain.info, metrics={})
    assert exported.difference <= 1e-3
    assert "threshold 0.625" in str(exported) and "largest difference" in str(exported)
    answers = [dict(detector.predict_files(portraits, batch_size=3)) for detector in (plain, engine)]
    for path in portraits[:2]:
        expected, found = (answer[path] for answer in answers)
        assert found.probability == pytest.approx(expected.probability, abs=1e-3)
        assert found.families == pytest.approx(expected.families, abs=1e-3)
        assert (found.family, found.places, found.flagged) == (expected.family, expected.places, expected.flagged)
        assert np.allclose(engine.locate(path), plain.locate(path), atol=1e-3)
        assert np.allclose(heat_map(engine, path, family="face"), plain.locate(path, family="face"), atol=1e-3)
    assert answers[1][portraits[2]].too_small
    assert str(answers[1][portraits[3]]) == str(answers[0][portraits[3]])
    only = [Detector.load(run, only=("gaze",)).predict(portraits[0]) for run in (trained, exported.file)]
    assert only[1].probability == pytest.approx(only[0].probability, abs=1e-3)


def test_what_an_exported_model_cannot(exported, portraits):
    with pytest.raises(ConfigError, match="runs on the CPU"):
        Detector.load(exported.file, device="cuda")
    with pytest.raises(CheckpointError, match="this needs the run that it was exported from"):
        heat_map(Detector.load(exported.file), portraits[0], method="grad_cam")
    with pytest.raises(ConfigError, match=r"threshold 1\.5"):
        Detector.load(exported.file, threshold=1.5)


def test_a_damaged_file_is_an_error_of_ours(exported, tmp_path):
    copies = [tmp_path / exported.file.with_suffix(suffix).name for suffix in (exported.file.suffix, ".bin")]
    for copy in copies:
        if (original := exported.file.with_suffix(copy.suffix)).exists():
            copy.write_bytes(original.read_bytes())
    content = copies[0].read_bytes()
    for damaged in (b"", b"nothing", content[: len(content) // 2]):
        copies[0].write_bytes(damaged)
        with pytest.raises(CheckpointError, match=copies[0].name):
            Detector.load(copies[0])


def test_a_strangers_description_is_checked(exported, tmp_path):
    content = exported.file.read_bytes()
    for before, after in ((b"hands", b"hannd"), (b"test_vit", b"test_vjt"), (b"0.625", b"7.625")):
        assert before in content
        (tmp_path / exported.file.name).write_bytes(content.replace(before, after))
        if exported.file.suffix == ".xml":
            (tmp_path / "best.bin").write_bytes(exported.file.with_suffix(".bin").read_bytes())
        with pytest.raises(CheckpointError):
            Detector.load(tmp_path / exported.file.name)


def test_a_file_that_answers_otherwise_is_not_kept(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "largest_difference", lambda *_: 0.03)
    monkeypatch.setattr(module, "N_PICTURES", 4)
    with pytest.raises(ExportError, match=r"test_vit as torchscript differs from PyTorch by 3.0e-02 in probability"):
        export_model(trained, "torchscript", out=tmp_path / "best.torchscript")
    monkeypatch.setattr(module, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(ExportError, match="nan"):
        export_model(trained, "torchscript", out=tmp_path / "best.torchscript")
    assert list(tmp_path.iterdir()) == []


def test_the_difference_is_that_of_the_worst_picture(exported, trained):
    from artifact_utils.checkpoints import load_checkpoint
    from artifact_utils.exported import load_exported

    model, info = load_checkpoint(trained / "best.safetensors")
    pictures = module.draw_pictures(64, 6)
    other = load_exported(exported.file)
    assert pictures.shape == (6, 3, 64, 64)
    assert largest_difference(model, info, other, pictures) < 1e-3
    with torch.no_grad():
        model.locator.bias[2] += 0.1  # of gaze, which does not count for the picture
    assert 5e-3 < largest_difference(model, info, other, pictures) < 0.05


def test_arguments_that_do_not_fit(trained, tmp_path):
    with pytest.raises(ExportError, match="--int8 is for onnx and openvino"):
        export_model(trained, "torchscript", int8=True)
    with pytest.raises(ExportError, match=r"onnx files end in \.onnx"):
        export_model(trained, "onnx", out=tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        export_model(tmp_path, "onnx")


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_without_the_extra_the_way_to_it_is_said(to, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(module, "N_PICTURES", 2)
    with pytest.raises(ExportError, match=r"python -m pip install -e '\.\[export\]'"):
        export_model(trained, to, out=tmp_path / f"best{module.SUFFIXES[to]}")


def test_weights_in_8_bits_make_a_file_of_a_third(trained, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="needs the extra: pip install -e '.[export]'")
    monkeypatch.setattr(module, "N_PICTURES", 8)
    monkeypatch.setattr(module, "TOLERANCE_INT8", 0.2)  # its answers are as sharp as none that were trained
    result = export_model(trained, "onnx", out=tmp_path / "small.onnx", int8=True)
    assert result.difference > 1e-6
    assert result.file.stat().st_size < 0.4 * (trained / "best.safetensors").stat().st_size


def test_the_script_of_the_readme_runs_without_this_package(trained, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="needs the extra: pip install -e '.[export]'")
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install -e '.[export]'")
    (script,) = re.findall(r"```python\n([^`]*onnxruntime[^`]*)```", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert "artifact_utils import" not in script
    monkeypatch.setattr(module, "N_PICTURES", 4)
    export_model(trained, "onnx", out=tmp_path / "best.onnx")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(tmp_path / "portrait.png")
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    probability, flagged = shown.stdout.split()
    expected = Detector.load(trained, device="cpu").predict(tmp_path / "portrait.png")
    assert float(probability) == pytest.approx(expected.probability, abs=1e-3)
    assert json.loads(flagged.lower()) == expected.flagged
