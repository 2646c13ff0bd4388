"""What a run depends on, and the recipe of each architecture."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from artifact_utils.backbones import check_arch
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.metrics.thresholds import ThresholdError, ThresholdRule
from artifact_utils.optimisation import Optimizer, Schedule
from artifact_utils.transforms import Augment
from artifact_utils.weights import Weights, missing_weights

Arch = Literal[
    "auto",
    "vgg19",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
]


Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on. None means: as the preset of the architecture has it."""

    data: Path = Path("dataset")
    """Folder made by organize_dataset.py. Where the default is missing, a demo set is built first."""
    out: Path | None = None
    """Run folder. Default: runs/ARCH, or runs/ARCH-2 and so on where that is taken."""
    resume: bool = False
    """Continue the run in --out, or the newest one in runs/, with the config it was started with."""
    arch: Arch = "auto"
    """Backbone. auto: VGG-19 where there is a GPU and its weights can be had, EfficientNet-Lite0 otherwise."""
    weights: Weights = "imagenet"
    """Where the backbone starts: imagenet, or none for a random start."""
    frozen: float | None = None
    """Share of the backbone, from the input on, that keeps its first weights: 0 trains all of it, 1 the head alone."""
    image_size: int | None = None
    """Side of the square input in training, in pixels."""
    eval_size: int | None = None
    """Side of the square input in evaluation and use; where --image-size is given, by default that. A network that was
    trained on zoomed and shifted pictures sees a little more in ones a fifth larger, and takes longer
    (arXiv 1906.06423)."""
    also_at: tuple[int, ...] = ()
    """Sides at which the same pictures are looked at again in use, the answers averaged (multi-scale testing): faults
    are of all sizes. Each takes its own time."""
    epochs: int | None = None
    """Passes over the training set. 0 evaluates the untrained model."""
    batch_size: int | None = None
    """Pictures in a batch, of each process if there are several."""
    accumulate: int = 1
    """Batches whose gradients make one step: N of size B take the memory of one and teach about as much as one of N * B
    (batch norms still see B)."""
    optimizer: Optimizer = "adamw"
    """adamw, adam or sgd (with Nesterov's momentum of 0.9; give it a --lr of its own)."""
    lr: float | None = None
    """Peak learning rate, reached after the warm-up. The presets' are for AdamW."""
    schedule: Schedule = "cosine"
    """How the learning rate goes down to 1% of the peak: cosine, step (to a tenth after one third and after two),
    exponential; or constant."""
    warmup_epochs: float = 0.5
    """Length of the linear warm-up."""
    layer_decay: float = 1.0
    """Learning rate of a stage of the backbone as a share of that of the stage after it: below 1, the nearer to the
    input the less it moves from its first weights (arXiv 2106.08254)."""
    weight_decay: float = 0.01
    """Decoupled weight decay (not of the other optimisers); 0 makes it plain Adam."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; a larger one is scaled down."""
    focal_gamma: float = 2.0
    """Focusing exponent of the focal loss; 0 makes it cross-entropy."""
    focal_alpha: float | None = None
    """Weight of the artifact class in [0, 1], the clean class gets the rest. None: both weigh 1."""
    label_smoothing: float = 0.0
    """How far the labels are moved towards 0.5: 0.1 teaches 0.05 and 0.95."""
    mixup: float = 0.0
    """Parameter of the Beta distribution by which pictures are blended in pairs (arXiv 1710.09412). 0: none."""
    cutmix: float = 0.0
    """The same for pasting a rectangle of one into the other (arXiv 1905.04899); with both, a coin decides by batch."""
    ema: float = 0.0
    """Decay of the running average of the weights that is evaluated and kept in place of the last ones. 0: none."""
    artifact_fraction: float | None = 0.5
    """Share of artifacts among the training draws, by oversampling. None: as many as there are."""
    synthetic_fraction: float = 0.7
    """Share of those artifacts that is made on the spot on clean training pictures; the others are repeated ones. With
    1 no labelled artifacts are needed."""
    paired: bool = True
    """Whether an artifact made on the spot comes in one batch with the clean picture that it was made of."""
    harmless_fraction: float = 0.0
    """Share of the clean draws that are edited without a fault, so that "edited" does not come to mean "artifact". The
    clean pictures of the demo set bring such edits; where yours come straight from a generator, try 0.3."""
    leave_out: Literal["", "hands", "face", "text", "objects", "glitch"] = ""
    """A family of artifacts that is never made in training, only in validation and test: how well are faults found that
    nobody thought of?"""
    mask_weight: float = 1.0
    """Weight of the loss that teaches where, on the masks of the artifacts made on the spot. 0: a model that does not
    say where."""
    pooled: bool | None = None
    """Whether a head on the averaged features has a say beside the map that says where. By default only VGG-19's, which
    is part of its recipe: alone, the map is the better judge."""
    augment: Augment = "heavy"
    """Augmentation of the training pictures, on a GPU where there is one."""
    validation_fraction: float = 0.2
    """Share of the training people held out to choose the epoch and the threshold, if there is no val/ folder."""
    threshold_for: str = "macro_f1"
    """What the threshold is chosen for on validation: macro_f1; cost=5 (a missed artifact costs as much as five false
    alarms); recall=0.95 (at least, with as few false alarms as can be); false_alarms=0.01 (at most, with as much recall
    as can be)."""
    patience: int = 10
    """Epochs without a better validation macro-F1 until training stops early."""
    label_fraction: float = 1.0
    """Share of the training pictures, of each class, that is used: to learn how many are needed."""
    test: bool = True
    """Whether the test people are met at the end. Leave them alone (--no-test) while anything is still being chosen."""
    teachers: tuple[Path, ...] = ()
    """Runs whose mean probability the model learns besides the labels, half and half (distillation, arXiv
    1503.02531)."""
    split_seed: int = 0
    """Of the split into training and validation, apart from the other so that seeds can be compared."""
    seed: int = 0
    """Of the new weights, the order and the augmentation."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "auto"
    """Of the arithmetic in training. auto: bf16 or fp16 where the GPU has units for it, bf16 where the CPU has (AMX)
    and the network is one of dense convolutions, fp32 elsewhere. Evaluation on a CPU is always fp32."""
    compile: bool = False
    """Compile the network: some minutes at the start for faster steps, worth it in runs of hours."""
    workers: int | None = None
    """Processes that augment. Default: the cores but one, at most 16."""
    cache: Path | None = None
    """Folder of the pictures decoded to the training size. Default: .cache in the data folder; it can be deleted."""
    cache_gb: float = 20.0
    """What that folder may hold. 0: nothing; pictures are kept in memory if they fit into 2 GB, else decoded at each
    use."""
    skip_broken: bool = False
    """Go on without the pictures that cannot be read, instead of stopping before the run starts."""

    @property
    def locates(self) -> bool:
        """Whether the model learns to say where: only artifacts made on the spot have a mask to learn it from."""
        return self.mask_weight > 0 and self.synthetic_fraction > 0


_LITE = {"frozen": 0.25, "image_size": 160, "eval_size": 192, "epochs": 5, "batch_size": 16, "lr": 1e-3}
PRESETS: dict[str, dict[str, Any]] = {
    "vgg19": {"frozen": 0.0, "image_size": 224, "epochs": 30, "batch_size": 32, "lr": 1e-4},
    "efficientnet_lite0": _LITE,
    "efficientnet_lite1": _LITE,
    "efficientnet_lite2": _LITE,
    "mobilenet_v2": {"frozen": 0.25, "image_size": 160, "epochs": 4, "batch_size": 16, "lr": 1e-3},
    "resnet18": {"frozen": 0.0, "image_size": 224, "epochs": 10, "batch_size": 32, "lr": 3e-4},
    "resnet50": {"frozen": 0.0, "image_size": 224, "epochs": 15, "batch_size": 32, "lr": 3e-4},
    "efficientnet_b0": {"frozen": 0.0, "image_size": 224, "epochs": 15, "batch_size": 32, "lr": 5e-4},
    "convnext_tiny": {"frozen": 0.0, "image_size": 224, "epochs": 15, "batch_size": 32, "lr": 1e-4},
    "vit_b_16": {"frozen": 0.0, "image_size": 224, "epochs": 15, "batch_size": 32, "lr": 5e-5},
}
"""The recipe of each architecture: what a field of ``TrainConfig`` left at None becomes."""


class ConfigError(ArtifactUtilsError):
    """A value in the config that cannot be used."""


def resolve(config: TrainConfig) -> TrainConfig:
    """Fill in everything that was left to the preset, the machine or ``auto``, and check the rest.

    Returns:
        A config without None, except in ``out``, ``focal_alpha`` and ``artifact_fraction``, where None means something.

    Raises:
        ConfigError: a value is out of its range, or the device is not there.
    """
    device = resolve_device(config.device)
    arch = resolve_arch(device, config.weights) if config.arch == "auto" else config.arch
    check_arch(arch)
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of this process
    workers = min(max(cores - 1, 0), 16) if config.workers is None else config.workers
    preset = {name: value for name, value in PRESETS[arch].items() if getattr(config, name) is None}
    if config.image_size is not None:
        preset.pop("eval_size", None)  # a size that was asked for is meant for both
    config = replace(config, device=device, arch=arch, workers=workers, **preset)
    if config.cache is None:
        config = replace(config, cache=config.data / ".cache")
    if config.eval_size is None:
        config = replace(config, eval_size=config.image_size)
    if arch == "vit_b_16" and config.eval_size != config.image_size:
        raise ConfigError(f"--eval-size {config.eval_size}: vit_b_16 reads one size only, {config.image_size} here")
    if config.also_at and (arch == "vit_b_16" or not all(32 <= side <= 1024 for side in config.also_at)):
        raise ConfigError(f"--also-at {config.also_at}: choose 32 to 1024 pixels, and nothing for vit_b_16")
    if config.pooled is None:
        config = replace(config, pooled=arch == "vgg19" or not config.locates)
    if not config.pooled and not config.locates:
        raise ConfigError("--no-pooled needs --mask-weight and --synthetic-fraction above 0: nothing else would answer")
    if config.teachers and (config.mixup or config.cutmix):
        raise ConfigError("--teachers look at whole pictures: leave --mixup and --cutmix out")
    try:
        ThresholdRule.parse(config.threshold_for)
    except ThresholdError as error:
        raise ConfigError(f"--threshold-for: {error}") from error
    for name, low, high in RANGES:
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(f"{flag} {value} is out of range: choose a value from {low} to {high}")
    return config


RANGES: tuple[tuple[str, float, float], ...] = (
    ("frozen", 0.0, 1.0),
    ("image_size", 32, 1024),
    ("eval_size", 32, 1024),
    ("epochs", 0, 10_000),
    ("batch_size", 2, 4096),  # batch norm cannot learn from one picture
    ("accumulate", 1, 4096),
    ("lr", 1e-8, 10.0),
    ("layer_decay", 0.01, 1.0),
    ("label_smoothing", 0.0, 0.9),
    ("mixup", 0.0, 100.0),
    ("cutmix", 0.0, 100.0),
    ("ema", 0.0, 0.99999),
    ("cache_gb", 0.0, 1e6),
    ("warmup_epochs", 0.0, 1000.0),
    ("weight_decay", 0.0, 10.0),
    ("clip_norm", 1e-6, 1e6),
    ("focal_gamma", 0.0, 10.0),
    ("focal_alpha", 0.0, 1.0),
    ("artifact_fraction", 0.01, 0.99),
    ("synthetic_fraction", 0.0, 1.0),
    ("harmless_fraction", 0.0, 1.0),
    ("mask_weight", 0.0, 1000.0),
    ("validation_fraction", 0.02, 0.5),
    ("label_fraction", 0.001, 1.0),
    ("patience", 1, 10_000),
    ("split_seed", 0, 2**31 - 1),
    ("seed", 0, 2**31 - 1),
    ("workers", 0, 64),
)


BF16_ON_CPU = ("vgg19", "resnet18", "resnet50", "convnext_tiny", "vit_b_16")
"""Networks of dense convolutions and matrix products, which is what AMX multiplies; depthwise ones wait for memory."""


def training_dtype(arch: str, device: torch.device, precision: Precision) -> torch.dtype | None:
    """Type for mixed precision in training, None for fp32; the same on every machine of a kind, whatever else runs."""
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cpu":
        return torch.bfloat16 if arch in BF16_ON_CPU and torch.cpu._is_amx_tile_supported() else None
    return amp_dtype(device)


def amp_dtype(device: torch.device) -> torch.dtype | None:
    """Type for mixed precision: bf16 where the GPU computes in it, fp16 on older ones, None (fp32) elsewhere."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def resolve_device(name: str) -> str:
    """Turn ``auto`` into the best device there is, and make sure that a device asked for by name exists.

    Raises:
        ConfigError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used ({reason}): leave --device out, or say cpu") from error
    return name


def resolve_arch(device: str, weights: Weights) -> Arch:
    """Pick the final VGG-19 where it can be trained, else the small network that two cores can; say which and why."""
    if not device.startswith("cuda"):
        print(f"--arch auto: EfficientNet-Lite0, since VGG-19 takes hours to train on {device}")
        return "efficientnet_lite0"
    if weights == "imagenet":
        reason = missing_weights("vgg19")
        if reason is not None:
            print(f"--arch auto: EfficientNet-Lite0, since VGG-19 has no weights here: {reason}")
            return "efficientnet_lite0"
    print(f"--arch auto: VGG-19, since there is a GPU{' and its ImageNet weights' if weights == 'imagenet' else ''}")
    return "vgg19"
