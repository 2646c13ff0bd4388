"""What torchvision and efficientnet_lite_pytorch call the parameters that timm has: their weights and checkpoints from
before timm ran the backbones load through this table."""

from collections.abc import Mapping

from torch import Tensor, nn

# Old name -> timm's, of whatever the name begins with. Of a block: {n} is its number, {s} its stage and {i} its place
# there, all from 0; {n1} and {s1} count from 1, {even} and {odd} are 2 s and 2 s + 1. A later line takes precedence.
OLD_NAMES: dict[str, dict[str, str]] = {
    "efficientnet_lite": {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_blocks.{n}._expand_conv": "blocks.{s}.{i}.conv_pw",
        "_blocks.{n}._bn0": "blocks.{s}.{i}.bn1",
        "_blocks.{n}._depthwise_conv": "blocks.{s}.{i}.conv_dw",
        "_blocks.{n}._bn1": "blocks.{s}.{i}.bn2",
        "_blocks.{n}._project_conv": "blocks.{s}.{i}.conv_pwl",
        "_blocks.{n}._bn2": "blocks.{s}.{i}.bn3",
        "_blocks.0._bn1": "blocks.0.0.bn1",  # the first block does not expand
        "_blocks.0._project_conv": "blocks.0.0.conv_pw",
        "_blocks.0._bn2": "blocks.0.0.bn2",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
    },
    "mobilenet_v2": {
        "features.0.0": "conv_stem",
        "features.0.1": "bn1",
        "features.{n1}.conv.0.0": "blocks.{s}.{i}.conv_pw",
        "features.{n1}.conv.0.1": "blocks.{s}.{i}.bn1",
        "features.{n1}.conv.1.0": "blocks.{s}.{i}.conv_dw",
        "features.{n1}.conv.1.1": "blocks.{s}.{i}.bn2",
        "features.{n1}.conv.2": "blocks.{s}.{i}.conv_pwl",
        "features.{n1}.conv.3": "blocks.{s}.{i}.bn3",
        "features.1.conv.0.0": "blocks.0.0.conv_dw",
        "features.1.conv.1": "blocks.0.0.conv_pw",
        "features.1.conv.2": "blocks.0.0.bn2",
        "features.18.0": "conv_head",
        "features.18.1": "bn2",
    },
    "efficientnet_b0": {
        "features.0.0": "conv_stem",
        "features.0.1": "bn1",
        "features.{s1}.{i}.block.0.0": "blocks.{s}.{i}.conv_pw",
        "features.{s1}.{i}.block.0.1": "blocks.{s}.{i}.bn1",
        "features.{s1}.{i}.block.1.0": "blocks.{s}.{i}.conv_dw",
        "features.{s1}.{i}.block.1.1": "blocks.{s}.{i}.bn2",
        "features.{s1}.{i}.block.2.fc1": "blocks.{s}.{i}.se.conv_reduce",
        "features.{s1}.{i}.block.2.fc2": "blocks.{s}.{i}.se.conv_expand",
        "features.{s1}.{i}.block.3.0": "blocks.{s}.{i}.conv_pwl",
        "features.{s1}.{i}.block.3.1": "blocks.{s}.{i}.bn3",
        "features.1.0.block.0.0": "blocks.0.0.conv_dw",
        "features.1.0.block.1.fc1": "blocks.0.0.se.conv_reduce",
        "features.1.0.block.1.fc2": "blocks.0.0.se.conv_expand",
        "features.1.0.block.2.0": "blocks.0.0.conv_pw",
        "features.1.0.block.2.1": "blocks.0.0.bn2",
        "features.8.0": "conv_head",
        "features.8.1": "bn2",
    },
    "convnext_tiny": {
        "features.{even}": "stages.{s}.downsample",
        "features.{odd}.{i}.block.0": "stages.{s}.blocks.{i}.conv_dw",
        "features.{odd}.{i}.block.2": "stages.{s}.blocks.{i}.norm",
        "features.{odd}.{i}.block.3": "stages.{s}.blocks.{i}.mlp.fc1",
        "features.{odd}.{i}.block.5": "stages.{s}.blocks.{i}.mlp.fc2",
        "features.{odd}.{i}.layer_scale": "stages.{s}.blocks.{i}.gamma",
        "features.0": "stem",
        "classifier.0": "head.norm",
    },
    "vit_b_16": {
        "conv_proj": "patch_embed.proj",
        "class_token": "cls_token",
        "encoder.pos_embedding": "pos_embed",
        "encoder.layers.encoder_layer_{n}.ln_1": "blocks.{n}.norm1",
        "encoder.layers.encoder_layer_{n}.self_attention.in_proj_weight": "blocks.{n}.attn.qkv.weight",
        "encoder.layers.encoder_layer_{n}.self_attention.in_proj_bias": "blocks.{n}.attn.qkv.bias",
        "encoder.layers.encoder_layer_{n}.self_attention.out_proj": "blocks.{n}.attn.proj",
        "encoder.layers.encoder_layer_{n}.ln_2": "blocks.{n}.norm2",
        "encoder.layers.encoder_layer_{n}.mlp.0": "blocks.{n}.mlp.fc1",
        "encoder.layers.encoder_layer_{n}.mlp.3": "blocks.{n}.mlp.fc2",
        "encoder.ln": "norm",
    },
}
"""How torchvision and efficientnet_lite_pytorch call what timm has, where they call it otherwise."""


def rename(arch: str, network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give parameters of torchvision's or efficientnet_lite_pytorch's networks the names and shapes that timm has.

    Args:
        arch: a preset's name.
        network: timm's.
        state: under the old names.

    Returns:
        The state under timm's names. What is in no table keeps its own.
    """
    table: dict[str, str] = {}
    templates = OLD_NAMES.get("efficientnet_lite" if arch.startswith("efficientnet_lite") else arch, {})
    places = _places(network)
    for old, new in templates.items():
        for n, (s, i) in enumerate(places):
            numbers = {"n": n, "n1": n + 1, "s": s, "s1": s + 1, "i": i, "even": 2 * s, "odd": 2 * s + 1}
            table[old.format(**numbers)] = new.format(**numbers)
    own: dict[str, Tensor] = network.state_dict()
    renamed = {}
    for name, tensor in state.items():
        new_name = _renamed(name, table)
        expected = own.get(new_name)
        if expected is not None and tensor.numel() == expected.numel():
            tensor = tensor.reshape(expected.shape)
        renamed[new_name] = tensor
    return renamed


def _places(network: nn.Module) -> list[tuple[int, int]]:
    """Stage and place there of each block; the blocks of a ViT are stages of one."""
    stages = [getattr(stage, "blocks", stage) for stage in getattr(network, "stages", getattr(network, "blocks", []))]
    sizes = [len(stage) if isinstance(stage, nn.Sequential) else 1 for stage in stages]
    return [(s, i) for s, size in enumerate(sizes) for i in range(size)]


def _renamed(name: str, table: Mapping[str, str]) -> str:
    known, rest = name, ""
    while known:
        if known in table:
            return table[known] + rest
        known, dot, last = known.rpartition(".")
        rest = dot + last + rest
    return name
