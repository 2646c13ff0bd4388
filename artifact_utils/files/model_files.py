"""Where the file of a model is; nothing in it is read, so that whoever only asks for its name waits for no PyTorch."""

from pathlib import Path

from artifact_utils.console import ArtifactUtilsError

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "portraits.safetensors"
"""The detector that comes with the package."""


class CheckpointError(ArtifactUtilsError):
    """A file that is not a checkpoint of this project, or a damaged one."""


def checkpoint_file(run: str | Path) -> Path:
    """The checkpoint that a run folder, or the path of one, stands for."""
    path = Path(run)
    return path / "best.safetensors" if path.is_dir() else path


def pretrained_file() -> Path:
    """Where the detector that comes with the package lies.

    Raises:
        CheckpointError: it is not there.
    """
    if not PRETRAINED.is_file():
        raise CheckpointError(
            f"no pretrained detector at {PRETRAINED}: train one with python model_training.py, then name its run "
            f"(filter_images.py --run RUN, Detector.load), or put it there with python -m artifact_utils.pretrained RUN"
        )
    return PRETRAINED


def initial_file(init: str) -> Path:
    """The checkpoint that ``TrainConfig.init`` stands for: ``packaged``, a run folder or a file.

    Raises:
        CheckpointError: the packaged one is not there.
    """
    return pretrained_file() if init == "packaged" else checkpoint_file(init)
