"""Reading TorchScript files, which may come from strangers: they are programs, so they are read before they run."""

import ast
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from artifact_utils.checkpoints import CheckpointError

KEY = "artifact_utils"
"""Of the extra file in the archive that holds ``ModelInfo`` as JSON."""
MAX_CODE_BYTES = 4_000_000
OPERATORS = """
__and__ _convolution _convolution_mode _upsample_bicubic2d_aa _upsample_bilinear2d_aa abs adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_max_pool2d add add_ addcmul all alpha_dropout amax amin any arange avg_pool2d baddbmm
batch_norm bilinear bitwise_not bmm cat ceil celu chunk clamp clamp_ clamp_min clone col2im constant_pad_nd
contiguous conv1d conv2d conv3d copy_ cos cumsum detach device div div_ dropout einsum elu elu_ empty_like eq erf
exp expand expand_as eye fft_fft2 fft_ifft2 fft_irfft2 fft_rfft2 fill_ flatten flip floor floor_divide floordiv full
full_like gather ge gelu gelu_ glu group_norm gt hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_
im2col index index_add index_select instance_norm isnan layer_norm le leaky_relu leaky_relu_ len lerp
linalg_vector_norm linear linspace log log1p log2 log_sigmoid log_softmax logical_and logical_not logical_or
logsumexp lt masked_fill masked_fill_ matmul max max_pool2d maximum mean meshgrid min minimum mish mish_ mod mul
mul_ narrow native_layer_norm ne neg new_empty new_full new_ones new_zeros norm numel ones ones_like pad permute
pixel_shuffle pixel_unshuffle pow prelu prod rad2deg reciprocal reflection_pad2d relu relu6 relu6_ relu_ remainder
repeat repeat_interleave replication_pad2d reshape rms_norm roll round rsqrt rsub scaled_dot_product_attention
scatter select selu sigmoid sigmoid_ silu silu_ sin size slice softmax softplus split split_with_sizes sqrt square
squeeze stack std sub sum t tanh tanh_ tensor tensor_split tile to topk transpose tril triu true_divide type_as
unbind unflatten unfold unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_nearest2d var var_mean view
view_as view_as_complex view_as_real where zero_ zeros zeros_like
"""
"""Of torch, that compute and nothing else: what timm's networks are traced to, and their like."""
CALLS = {"annotate", "int", "float", "bool", "ops.prim.NumToTensor", *(f"torch.{name}" for name in OPERATORS.split())}
NODES = (
    *(
        ast.Module,
        ast.ClassDef,
        ast.FunctionDef,
        ast.arguments,
        ast.arg,
        ast.Assign,
        ast.AnnAssign,
        ast.Expr,
        ast.Return,
    ),
    *(ast.Call, ast.keyword, ast.Name, ast.Attribute, ast.Constant, ast.List, ast.Tuple, ast.Subscript, ast.Slice),
    *(ast.UnaryOp, ast.USub, ast.Not, ast.expr_context),
)
"""What a program may be made of: no loop, no branch."""


def read(path: Path) -> tuple[str | None, Callable[[np.ndarray], Sequence[np.ndarray]]]:
    """The JSON in a TorchScript file, and a function from pictures to outputs.

    Raises:
        CheckpointError: it is damaged, or its program does more than arithmetic.
    """
    foreign = call_beyond_arithmetic(path)
    if foreign:
        raise CheckpointError(f"{path} does {foreign!r}, which no model of this project does")
    extra = {KEY: ""}
    try:
        with warnings.catch_warnings(action="ignore"):  # of TorchScript's age
            module = torch.jit.load(path, map_location="cpu", _extra_files=extra).eval()
    except RuntimeError as error:
        raise CheckpointError(f"{path} is a damaged TorchScript file: export it again") from error

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [output.numpy() for output in module(torch.from_numpy(pictures))]

    text = extra[KEY]
    return text.decode(errors="replace") if isinstance(text, bytes) else text, run


def call_beyond_arithmetic(path: Path) -> str:
    """The first thing that the program of a TorchScript file does beyond ``forward`` by known arithmetic; else empty.

    Loading one runs its ``__setstate__``, and operators write files, too (``aten::save``).

    Raises:
        CheckpointError: it is no archive of TorchScript's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = [item for item in archive.infolist() if item.filename.endswith(".py")]
            if not files or sum(item.file_size for item in files) > MAX_CODE_BYTES:
                raise CheckpointError(f"{path} is not a TorchScript file of this project")
            trees = [ast.parse(archive.read(item)) for item in files]
    except (zipfile.BadZipFile, SyntaxError, ValueError, RecursionError, MemoryError) as error:  # of a stranger's code
        raise CheckpointError(f"{path} is not a TorchScript file, or a damaged one: export it again") from error
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef) and node.name != "forward":
            return f"def {node.name}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) not in CALLS:
            return f"{ast.unparse(node.func)}(...)"
        if not isinstance(node, NODES):
            return type(node).__name__
    return ""
