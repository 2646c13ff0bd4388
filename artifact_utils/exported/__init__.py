"""Models that were exported, in use: ONNX, OpenVINO and TorchScript files, run on the CPU.

``load_exported`` is the door; ``export`` writes such files. Every kind is one graph from square uint8 pictures
``pictures`` (N, 3, S, S) to ``OUTPUTS``, with ``ModelInfo`` as JSON beside it. A file may come from anywhere: nothing
in it is executed but arithmetic, it names no other file, and what it says of itself is checked like a checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artifact_utils.checkpoints import CheckpointError, ModelInfo, parse_info
from artifact_utils.exported import onnx_files, openvino_files, torchscript_files
from artifact_utils.models import Answer

READERS: dict[str, Callable[[Path], tuple[str | None, Callable[[np.ndarray], Sequence[np.ndarray]]]]] = {
    ".onnx": onnx_files.read,
    ".xml": openvino_files.read,
    ".torchscript": torchscript_files.read,
}
"""What opens a file, by its suffix: it returns the JSON in it, if any, and a function from pictures to outputs."""
OUTPUTS = ("probability", "logits", "families", "places")
"""The calibrated probability (N,) of an artifact of a family that counts by default, and the raw logits of ``Answer``;
the last two only with a locator."""


@dataclass(frozen=True)
class ExportedModel:
    """Answers as ``ArtifactClassifier.locate`` does, without its normalisation: that is in the graph."""

    path: Path
    info: ModelInfo
    run: Callable[[np.ndarray], Sequence[np.ndarray]]

    def __call__(self, squares: Tensor) -> Answer:
        """All that the model says of uint8 pictures (N, 3, S, S).

        Raises:
            CheckpointError: the graph does not run, or what comes out has not the shapes of an answer.
        """
        try:
            found = [torch.from_numpy(np.array(output)) for output in self.run(squares.cpu().contiguous().numpy())]
        except Exception as error:  # of the engine: whatever a stranger's graph makes of a picture
            reason = str(error).strip().partition("\n")[0][:200]
            raise CheckpointError(f"{self.path} cannot be run ({reason}): export it again") from error
        n, n_maps = len(squares), max(len(self.info.families), 1)
        expected = [(n,), (n,), *([(n, n_maps), (n, n_maps)] if self.info.locates else [])]
        shapes = [tuple(output.shape[:2]) for output in found]
        if shapes != expected or not all(output.is_floating_point() for output in found):
            raise CheckpointError(f"{self.path} answers with {shapes}, not {expected}: export it again")
        if self.info.locates and (found[3].ndim != 4 or not 0 < found[3][0].numel() <= n_maps * 1024**2):
            raise CheckpointError(f"{self.path} answers with maps of {tuple(found[3].shape)}: export it again")
        return Answer(found[1], *((found[2], found[3]) if self.info.locates else (None, None)))


def load_exported(path: Path) -> ExportedModel:
    """Open an exported file.

    Raises:
        CheckpointError: it is missing, damaged, or none of this project; or a package that reads it is missing.
    """
    if not path.is_file():
        raise CheckpointError(f"no exported model at {path}: python -m artifact_utils.export RUN writes one")
    text, run = READERS[path.suffix](path)
    return ExportedModel(path, parse_info(path, text), run)
