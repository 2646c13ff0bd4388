"""Write a trained model as one file for other engines: ONNX, OpenVINO or TorchScript.

    python -m artifact_utils.export runs/efficientnet_lite0 --to onnx
    python -m artifact_utils.export runs/efficientnet_lite0 --to openvino --int8  # weights in 8 bits: a quarter

The file takes square uint8 pictures and holds the transform, the threshold and the families, too. It is kept if it
answers like PyTorch on 100 portraits. ONNX and OpenVINO need: python -m pip install -e ".[export]"
"""

import hashlib
import json
import logging
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from artifact_utils.console import ArtifactUtilsError, read_arguments, run_cli

if TYPE_CHECKING:
    import numpy as np

    from artifact_utils.checkpoints import ModelInfo
    from artifact_utils.exported import ExportedModel
    from artifact_utils.models import ArtifactClassifier

Format = Literal["onnx", "openvino", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"}
N_PICTURES = 100
"""That an exported file has to answer like PyTorch, in batches of different sizes."""
TOLERANCE, TOLERANCE_INT8 = 1e-3, 2e-2
"""The largest difference in probability, of pictures and of the families in them."""


class ExportError(ArtifactUtilsError):
    """A model that cannot be exported, or not so that it answers as it did."""


@dataclass(frozen=True)
class Exported:
    """An exported file; as text, a line for people."""

    file: Path
    difference: float
    """In probability from PyTorch, the largest of ``N_PICTURES``."""
    threshold: float

    def __str__(self) -> str:
        size = sum(file.stat().st_size for file in _files(self.file)) / 1e6
        return (
            f"{self.file}: {size:.1f} MB, threshold {self.threshold:.3f}; largest difference from PyTorch in "
            f"probability, of {N_PICTURES} portraits: {self.difference:.1e}"
        )


def export_model(run: Path, to: Format, *, out: Path | None = None, int8: bool = False) -> Exported:
    """Export the best model of a run.

    Args:
        run: run folder, or a .safetensors file from one.
        to: the format.
        out: file to write, by default beside the checkpoint and with its name.
        int8: whether weights are stored in 8 bits, with a scale for each output; not in TorchScript.

    Raises:
        ExportError: the network cannot be exported, its answers are others then, or a package is missing.
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    from artifact_utils.checkpoints import load_checkpoint
    from artifact_utils.detector import checkpoint_file
    from artifact_utils.exported import load_exported

    if int8 and to == "torchscript":
        raise ExportError("--int8 is for onnx and openvino: TorchScript has no such weights")
    checkpoint = checkpoint_file(run)
    model, info = load_checkpoint(checkpoint)
    out = checkpoint.with_suffix(SUFFIXES[to]) if out is None else out
    if out.suffix != SUFFIXES[to]:
        raise ExportError(f"--out {out}: {to} files end in {SUFFIXES[to]}")
    model.backbone.loaded_from = ""  # weights that come with this package go into the file
    info = replace(info, backbone="")
    pictures = draw_pictures(info.image_size, N_PICTURES)
    text = json.dumps(asdict(info))
    part = out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        _write(model, info, text, to, part, int8)
        difference = largest_difference(model, info, load_exported(part), pictures)
        allowed = TOLERANCE_INT8 if int8 else TOLERANCE
        if not difference <= allowed:
            raise ExportError(
                f"{info.arch} as {to} differs from PyTorch by {difference:.1e} in probability, {allowed:.0e} are "
                f"allowed: nothing was written{', try without --int8' if int8 else ''}"
            )
        for written, wanted in zip(_files(part), _files(out), strict=True):
            written.replace(wanted)
    finally:
        for file in _files(part):
            file.unlink(missing_ok=True)
    return Exported(out, difference, info.threshold)


def _files(out: Path) -> list[Path]:
    """All that a model consists of: OpenVINO has its weights in a second file, which is put in its place first."""
    return [out.with_suffix(".bin"), out] if out.suffix == ".xml" else [out]


def _write(model: "ArtifactClassifier", info: "ModelInfo", text: str, to: Format, out: Path, int8: bool) -> None:
    from artifact_utils.exported.graph import WholeModel

    graph = WholeModel(model, info).eval().requires_grad_(False)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the exporters, about their own future
            if to == "torchscript":
                _write_torchscript(graph, text, out)
                return
            onnx_model = _to_onnx(graph, int8)
            if to == "onnx":
                _write_onnx(onnx_model, text, out)
            else:
                _write_openvino(onnx_model, text, out)
    except ImportError as error:
        raise ExportError(f"{error}: python -m pip install -e '.[export]'") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of the exporters, which meet a network's own code: whatever it is, there is no file
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"{info.arch} cannot be exported to {to}: {reason[:300]}") from error


def _write_torchscript(graph: Any, text: str, out: Path) -> None:
    import torch

    from artifact_utils.exported.torchscript_files import KEY, call_beyond_arithmetic

    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(graph, (graph.example(),), check_trace=False))
    torch.jit.save(traced, out, _extra_files={KEY: text})
    if foreign := call_beyond_arithmetic(out):
        raise ExportError(f"it does {foreign!r}, which is not known to be harmless")


def _to_onnx(graph: Any, int8: bool) -> Any:
    import onnxscript  # noqa: F401 (torch's message would not say how to get it)
    import torch

    from artifact_utils.exported.graph import weights_in_8_bits

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        graph,
        (graph.example(),),
        dynamo=True,
        input_names=["pictures"],
        output_names=graph.outputs,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        external_data=False,
        verbose=False,
    )
    assert program is not None
    return weights_in_8_bits(program.model_proto) if int8 else program.model_proto


def _write_onnx(model: Any, text: str, out: Path) -> None:
    from artifact_utils.exported.onnx_files import KEY

    for described in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del described.metadata_props[:]  # source lines and paths of this machine
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, text
    out.write_bytes(model.SerializeToString())


def _write_openvino(model: Any, text: str, out: Path) -> None:
    import openvino

    from artifact_utils.device import openvino_core
    from artifact_utils.exported.openvino_files import DIGEST, KEY

    converted = openvino_core().read_model(model.SerializeToString())
    openvino.save_model(converted, out, compress_to_fp16=False)
    weights = out.with_suffix(".bin").read_bytes()
    converted.set_rt_info(text, KEY)
    converted.set_rt_info(hashlib.sha256(weights).hexdigest(), DIGEST)
    openvino.save_model(converted, out, compress_to_fp16=False)


def draw_pictures(image_size: int, n: int) -> "np.ndarray":
    """Portraits cut from OpenPeople, every second one with a made artifact, uint8 (n, 3, S, S)."""
    import numpy as np

    from artifact_utils.demo.openpeople import bases, cut_portrait
    from artifact_utils.synthesis import inject

    rng = np.random.default_rng(0)
    places = [base for person in sorted(bases()) for base in bases()[person]]
    pictures = []
    for number in range(n):
        picture, face = cut_portrait(places[number * len(places) // n], rng, image_size)
        pictures.append(inject(picture, rng, face=face).image if number % 2 else picture)
    return np.stack(pictures).transpose(0, 3, 1, 2).copy()


def largest_difference(
    model: "ArtifactClassifier", info: "ModelInfo", exported: "ExportedModel", pictures: "np.ndarray"
) -> float:
    """The largest difference in probability between PyTorch in 32 bits and an exported model.

    Args:
        model: the reference, on the CPU.
        info: of it.
        exported: it is asked in batches of 1, 2, 4 and so on: its answers must not depend on them.
        pictures: uint8 (N, 3, S, S).
    """
    import torch

    from artifact_utils.exported.graph import WholeModel

    graph = WholeModel(model, info).eval().requires_grad_(False)  # with gradients on, so that nothing is rounded
    first, size, largest = 0, 1, 0.0
    while first < len(pictures):
        batch = torch.from_numpy(pictures[first : first + size])
        expected, answer = graph(batch), exported(batch)
        found = (answer.logits, answer.families, answer.places)
        for reference, own in zip(expected[1:], found, strict=False):
            if own is None:
                raise ExportError(f"{exported.path} says nothing of families: this is a bug of its exporter")
            chances = [torch.sigmoid(logits.double() / info.temperature) for logits in (reference, own)]
            difference = (chances[0] - chances[1]).abs().max().item()
            largest = max(largest, difference) if difference == difference else difference  # NaN stays
        first, size = first + size, min(2 * size, 16)
    return largest


def main() -> None:
    from tyro.conf import Positional

    @dataclass(frozen=True)
    class Arguments:
        run: Positional[Path]
        """Run folder, or a .safetensors file from one."""
        to: Format
        """Engine that the file is for."""
        out: Path | None = None
        """File to write. Default: beside the checkpoint, with its name."""
        int8: bool = False
        """Store weights in 8 bits."""

    arguments = read_arguments(Arguments, __doc__)
    print(export_model(arguments.run, arguments.to, out=arguments.out, int8=arguments.int8))


if __name__ == "__main__":
    run_cli(main, out_of_memory="close other programs, or export a smaller model")
