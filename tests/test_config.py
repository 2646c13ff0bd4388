"""What a config is resolved to, and what is refused."""

import logging

import pytest

from artifact_utils.checkpoints import CheckpointError
from artifact_utils.config import PRESETS, RANGES, ConfigError, ResolvedConfig, TrainConfig, resolve
from artifact_utils.detector import Detector
from artifact_utils.models import build_model


def test_a_preset_fills_what_is_left_open_and_nothing_else():
    resolved = resolve(TrainConfig(arch="vgg19", device="cpu", batch_size=4))
    assert (resolved.batch_size, resolved.lr, resolved.pooled) == (4, PRESETS["vgg19"]["lr"], True)


@pytest.mark.parametrize("arch", [*PRESETS, "test_vit.r160_in1k"])
def test_a_resolved_config_leaves_nothing_open(arch):
    resolved = resolve(TrainConfig(arch=arch, device="cpu"))
    assert isinstance(resolved, ResolvedConfig)
    assert {name for name, value in vars(resolved).items() if value is None} == {"out", "focal_alpha"}


def test_auto_takes_the_small_network_without_a_gpu_and_says_why(caplog):
    caplog.set_level(logging.INFO)
    assert resolve(TrainConfig(device="cpu")).arch == "efficientnet_lite0"
    assert "EfficientNet-Lite0, measured on the demo set; VGG-19 takes hours" in caplog.text


def test_every_number_has_a_range():
    numbers = {name for name, value in vars(resolve(TrainConfig(device="cpu", focal_alpha=0.5))).items()
               if isinstance(value, int | float) and not isinstance(value, bool)}  # fmt: skip
    assert numbers == set(RANGES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": -1}, "--epochs -1 is out of range"),
        ({"batch_size": 1}, "--batch-size 1 is out of range"),
        ({"lr": float("nan")}, "--lr nan is out of range"),
        ({"threshold_for": "luck"}, "--threshold-for: cannot choose a threshold for 'luck': say macro_f1"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"device": "toaster"}, "device 'toaster' cannot be used"),
        ({"device": "meta"}, "device 'meta' cannot be used"),
        ({"augment": "extreme"}, "--augment 'extreme': choose one of none, light, heavy"),
        ({"leave_out": "feet"}, "--leave-out 'feet': choose one of"),
        ({"also_at": (64, 96, 128, 160, 192, 224, 256, 288, 320)}, "--also-at 64 96 .*: choose at most 7 sides"),
        ({"also_at": (16,)}, "--also-at 16: choose at most 7 sides of 32 to 1024 pixels"),
        ({"pooled": False, "mask_weight": 0.0}, "--pooled False needs --mask-weight"),
    ],
)
def test_values_out_of_range_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        resolve(TrainConfig(**{"device": "cpu", **arguments}))


def test_the_size_of_evaluation_is_that_of_training_unless_somebody_says():
    assert resolve(TrainConfig(arch="efficientnet_lite0", device="cpu")).eval_size == 192  # as its preset has it
    assert resolve(TrainConfig(arch="efficientnet_lite0", image_size=128, device="cpu")).eval_size == 128
    assert resolve(TrainConfig(arch="mobilenet_v2", device="cpu")).eval_size == 160
    assert resolve(TrainConfig(arch="efficientnet_lite0", eval_size=224, device="cpu")).eval_size == 224
    assert resolve(TrainConfig(arch="vit_b_16", eval_size=256, device="cpu")).eval_size == 256


def test_a_run_that_starts_from_the_packaged_detector_is_like_it():
    begun = resolve(TrainConfig(init="packaged", synthetic_fraction=1.0, device="cpu"))
    info = Detector.from_pretrained(device="cpu").info
    assert (begun.arch, begun.eval_size, begun.aspect, begun.pooled) == (
        info.arch, info.image_size, info.aspect, info.pooled,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="is of --arch clip_vit_b16, not resnet18"):
        resolve(TrainConfig(init="packaged", arch="resnet18", device="cpu"))
    with pytest.raises(ConfigError, match="--init packaged needs --mask-weight and --synthetic-fraction above 0"):
        resolve(TrainConfig(init="packaged", synthetic_fraction=0.0, device="cpu"))
    with pytest.raises(CheckpointError, match="no checkpoint at nowhere"):
        resolve(TrainConfig(init="nowhere", device="cpu"))


def test_features_are_kept_where_the_whole_backbone_is_frozen():
    kept = resolve(TrainConfig(arch="clip_vit_b16", device="cpu"))
    assert (kept.draws, kept.dropout) == (3000, 0.75)
    assert build_model("resnet18", weights="none", locates=True, dropout=0.75).locator.layers[1].p == 0.75
    assert resolve(TrainConfig(arch="clip_vit_b16", frozen=0.5, device="cpu")).draws == 0
    assert resolve(TrainConfig(arch="clip_vit_b16", also_at=(160,), device="cpu")).draws == 0
    assert resolve(TrainConfig(arch="resnet18", frozen=1.0, device="cpu")).draws == 0
    with pytest.raises(ConfigError, match="--draws 2 needs --frozen 1"):
        resolve(TrainConfig(arch="clip_vit_b16", frozen=0.5, draws=2, device="cpu"))
