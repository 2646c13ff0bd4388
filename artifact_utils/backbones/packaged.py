"""Weights of a backbone that come with this package: matrices in 8 bits with a scale for each output."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

PRETRAINED = Path(__file__).parents[1] / "pretrained"
SCALE = ".scale"
"""What the name of a matrix's scales ends in."""


def pack(weights: Mapping[str, Tensor], scales: Mapping[str, Tensor]) -> bytes:
    """Bytes of a safetensors file, the same for the same numbers.

    Args:
        weights: by name: int8 (out, in) where there are scales, float where not; what 16 bits hold exactly takes 16.
        scales: float32 (out,) of each int8 matrix, by the name of the matrix.
    """
    stored = {name: tensor if name in scales else _in_16_bits(tensor) for name, tensor in weights.items()}
    stored |= {name + SCALE: scale for name, scale in scales.items()}
    return save({name: stored[name].contiguous() for name in sorted(stored)})


def unpack(content: bytes) -> dict[str, Tensor]:
    """The weights in such a file by name, float32."""
    stored = load(content)
    return {name: _times_scale(name, stored) for name in stored if not name.endswith(SCALE)}


def read_packaged(file: Path, sha256: str) -> dict[str, Tensor]:
    """The weights in a file by name, float32.

    Raises:
        OSError: it is not there, or is another or a damaged one.
    """
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise OSError(f"{file} is damaged or of another version")
    return unpack(content)


def _times_scale(name: str, stored: Mapping[str, Tensor]) -> Tensor:
    scale = stored.get(name + SCALE)
    return stored[name].float() if scale is None else stored[name].float() * scale.unsqueeze(1)


def _in_16_bits(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor
