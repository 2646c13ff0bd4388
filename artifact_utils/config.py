"""What a run depends on, in groups, and the recipe of each preset.

The command line of ``model_training.py`` is made from ``TrainConfig``, notebooks build the same object, and a run
stores it as ``config.json``. The groups are its base classes: their fields are flat in all three places.
"""

import logging
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.labels import FAMILY_NAMES

logger = logging.getLogger(__name__)

Aspect = Literal["padded", "looks", "cut"]
Augment = Literal["none", "light", "heavy"]
Family = Literal["hands", "face", "text", "objects", "glitch"]
Optimizer = Literal["adamw", "adam", "sgd"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Schedule = Literal["cosine", "step", "exponential", "constant"]
Weights = Literal["imagenet", "none"]


class ConfigError(ArtifactUtilsError):
    """A value in the config that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which pictures, how they are split, and where decoded ones are kept."""

    data: Path = Path("dataset")
    """Folder made by organize_dataset.py. Where the default is missing, a demo set is built first."""
    validation_fraction: float = 0.2
    """Share of the training people held out to choose the epoch and the threshold, if there is no val/ folder."""
    split_seed: int = 0
    """Seed of the split into training and validation, apart from --seed so that seeds can be compared."""
    label_fraction: float = 1.0
    """Share of the training pictures, of each class, that is used: to learn how many are needed."""
    without_generator: str = ""
    """A generator whose portraits are in no part of training and validation, to be measured on afterwards. Portraits
    name theirs in groups.csv: GENERATOR/PERSON."""
    test: bool = True
    """Whether the test set is evaluated at the end. Leave it alone (--no-test) while anything is still being chosen."""
    skip_broken: bool = False
    """Go on without the pictures that cannot be read, instead of stopping before the run starts."""
    cache: Path | None = None
    """Folder of the pictures decoded to the training size. Default: .cache in the data folder; it can be deleted."""
    cache_gb: float = 20.0
    """What that folder may hold, in GB. 0: nothing; pictures are kept in memory if they fit into 2 GB, else decoded at
    each use."""
    workers: int | None = None
    """Processes that augment. Default: the cores but one, at most 16."""


@dataclass(frozen=True, kw_only=True)
class SynthesisOptions:
    """How the classes are balanced, and the artifacts that are made while training."""

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
    gaze: float = 0.0
    """Share of the artifacts made on the spot whose eyes look aside, apart or at different heights. With more than 0
    gaze is a family of its own: drawn and told, but off in the verdict unless it is asked for, since many call it no
    fault."""
    twins: float = 0.0
    """Share of the clean draws that get a harmless twin of an artifact: a proper hand or a held thing beside the face,
    a print on the shirt, a tattoo on the neck, a mask that is worn, paint on both cheeks."""
    frames: float = 0.0
    """Share of the draws, of both classes alike, that are framed anew: close-ups down to 45% of the side, cut before
    the artifact is made; low resolution; bars beside a tall or wide picture."""
    leave_out: Literal["", Family] = ""
    """A family of artifacts that is never made in training, only in validation and test: how well are faults found that
    nobody thought of?"""
    augment: Augment = "heavy"
    """Augmentation of the training pictures, on a GPU where there is one."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network, what it starts from and what it looks at. None means: as the preset of the architecture has it."""

    arch: str = "auto"
    """Backbone: vgg19 (the final model), efficientnet_lite0, _lite1, _lite2, mobilenet_v2, resnet18, resnet50,
    efficientnet_b0, convnext_tiny, vit_b_16, clip_vit_b16 (frozen by default), or the name of any timm model. auto:
    vgg19 where there is a GPU and its weights can be had, efficientnet_lite0 otherwise."""
    weights: Weights = "imagenet"
    """Where the backbone starts: imagenet (or whatever else a name stands for), or none for a random start."""
    init: str = ""
    """What the whole model starts from, in place of --weights: packaged (the detector that comes with this package), or
    a run. Its architecture, size and aspect are taken over."""
    frozen: float | None = None
    """Share of the backbone, from the input on, that keeps its first weights: 0 trains all of it, 1 the head alone."""
    draws: int | None = None
    """How many draws a backbone sees that keeps all of its weights (--frozen 1), in whole rounds of the training set,
    two at least. It sees them once, what it saw is kept in --cache, and each epoch learns from all of them, in seconds.
    0: nothing is kept, and every epoch draws anew."""
    image_size: int | None = None
    """Side of the square input in training, in pixels."""
    eval_size: int | None = None
    """Side of the square input in evaluation and use; where --image-size is given, by default that. A network that was
    trained on zoomed and shifted pictures sees a little more in ones a fifth larger, and takes longer
    (arXiv 1906.06423)."""
    also_at: tuple[int, ...] = ()
    """Sides at which the same pictures are looked at again in use, the answers averaged (multi-scale testing): faults
    are of all sizes. Each takes its own time."""
    aspect: Aspect = "padded"
    """How a picture that is not square is seen in use: padded to a square; in as many square looks along its long side
    as cover it, of which the worst counts; or cut to the square in its middle."""
    pooled: bool | None = None
    """Whether a head on the averaged features has a say beside the map that says where. By default only VGG-19's, which
    is part of its recipe: alone, the map is the better judge."""
    dropout: float | None = None
    """Share of the channels that the locator does without, others in each picture, while it is trained."""
    mask_weight: float = 1.0
    """Weight of the loss that teaches where, on the masks of the artifacts made on the spot. 0: a model that does not
    say where."""
    family_weight: float = 0.5
    """Weight of the loss that teaches which families of artifacts are in a picture, where they are told apart."""
    families: bool = True
    """Whether the map tells the families of artifacts apart (hands, face, text, objects, glitch): then the model says
    what is wrong, too, and each family can be asked for or ignored in use."""
    teachers: tuple[Path, ...] = ()
    """Runs whose mean probability the model learns besides the labels, half and half (distillation, arXiv
    1503.02531)."""


@dataclass(frozen=True, kw_only=True)
class OptimisationOptions:
    """How the weights are trained. None means: as the preset of the architecture has it."""

    epochs: int | None = None
    """Passes over the training set. 0 evaluates the untrained model."""
    batch_size: int | None = None
    """Pictures in a batch, of each process if there are several."""
    optimizer: Optimizer = "adamw"
    """adamw, adam or sgd (with Nesterov's momentum of 0.9; give it a --lr of its own)."""
    lr: float | None = None
    """Peak learning rate, reached after half an epoch of linear warm-up. The presets' are for AdamW."""
    schedule: Schedule = "cosine"
    """How the learning rate goes down to 1% of the peak: cosine, step (to a tenth after one third and after two),
    exponential; or constant."""
    layer_decay: float = 1.0
    """Learning rate of a layer of the backbone as a share of that of the next one: below 1, the nearer to the input
    the less it moves from its first weights (arXiv 2106.08254)."""
    weight_decay: float = 0.01
    """Decoupled weight decay (not of the other optimisers), not of norms and biases; 0 makes it plain Adam."""
    focal_gamma: float = 2.0
    """Focusing exponent of the focal loss; 0 makes it cross-entropy."""
    focal_alpha: float | None = None
    """Weight of the artifact class in [0, 1], the clean class gets the rest. None: both weigh 1."""
    ema: float = 0.0
    """Decay of the running average of the weights that is evaluated and kept in place of the last ones. 0: none."""
    patience: int = 10
    """Epochs without a better validation macro-F1 until training stops early."""
    threshold_for: str = "macro_f1"
    """What the threshold is chosen for on validation: macro_f1; cost=5 (a missed artifact costs as much as five false
    alarms); recall=0.95 (at least, with as few false alarms as can be); false_alarms=0.01 (at most, with as much recall
    as can be)."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where the results go, and the machine."""

    out: Path | None = None
    """Run folder. Default: runs/ARCH, or runs/ARCH-2 and so on where that is taken."""
    resume: bool = False
    """Continue the run in --out, or the newest one in runs/, with the config it was started with."""
    seed: int = 0
    """Seed of the new weights, the order and the augmentation."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "auto"
    """Of the arithmetic in training. auto: bf16 or fp16 where the GPU has units for it, bf16 where the CPU has (AMX or
    AVX512-BF16) and the network is one of dense convolutions, fp32 elsewhere. Evaluation on a CPU is fp32;
    of clip_vit_b16 it is bf16 where the CPU has it."""
    compile: bool = False
    """Compile the network: some minutes at the start for faster steps, worth it in runs of hours."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunOptions, OptimisationOptions, ModelOptions, SynthesisOptions, DataOptions):
    """Everything that a run depends on. None means: as the preset of the architecture has it."""

    @property
    def locates(self) -> bool:
        """Whether the model learns to say where: only artifacts made on the spot have a mask to learn it from."""
        return self.mask_weight > 0 and self.synthetic_fraction > 0

    @property
    def needs_labels(self) -> bool:
        """Whether labelled artifacts are needed: with all of them made on the spot, there may be none."""
        return self.artifact_fraction is None or self.synthetic_fraction < 1.0

    @property
    def told_apart(self) -> tuple[str, ...]:
        """The families that the model learns to tell apart."""
        if not self.families or not self.locates:
            return ()
        return tuple(name for name in FAMILY_NAMES if name != "gaze" or self.gaze > 0)


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(TrainConfig):
    """A config in which nothing is left to the preset, the machine or ``auto``; ``resolve`` makes it.

    None is left only in ``out``, ``focal_alpha`` and ``artifact_fraction``, where it means something.
    """

    cache: Path
    workers: int
    frozen: float
    draws: int
    image_size: int
    eval_size: int
    pooled: bool
    dropout: float
    epochs: int
    batch_size: int
    lr: float


_LITE: dict[str, Any] = {"frozen": 0.25, "image_size": 160, "eval_size": 192, "epochs": 5, "batch_size": 16, "lr": 1e-3}
_LARGE: dict[str, Any] = {"frozen": 0.0, "image_size": 224, "epochs": 15, "batch_size": 32, "lr": 1e-4}
PRESETS: dict[str, dict[str, Any]] = {
    "vgg19": _LARGE | {"epochs": 30},
    "efficientnet_lite0": _LITE,
    "efficientnet_lite1": _LITE,
    "efficientnet_lite2": _LITE,
    "mobilenet_v2": {"frozen": 0.25, "image_size": 160, "epochs": 4, "batch_size": 16, "lr": 1e-3},
    "resnet18": _LARGE | {"epochs": 10, "lr": 3e-4},
    "resnet50": _LARGE | {"lr": 3e-4},
    "efficientnet_b0": _LARGE | {"lr": 5e-4},
    "convnext_tiny": _LARGE,
    "vit_b_16": _LARGE | {"lr": 5e-5},
    "clip_vit_b16": _LARGE | {"frozen": 1.0, "draws": 3000, "dropout": 0.75, "epochs": 12, "lr": 1e-3},
}
"""The recipe of each architecture: what a field of ``TrainConfig`` left at None becomes. Any other timm model gets that
of ``convnext_tiny``."""

RANGES: dict[str, tuple[float, float]] = {
    "validation_fraction": (0.02, 0.5),
    "split_seed": (0, 2**31 - 1),
    "label_fraction": (0.001, 1.0),
    "cache_gb": (0.0, 1e6),
    "workers": (0, 64),
    "artifact_fraction": (0.01, 0.99),
    "synthetic_fraction": (0.0, 1.0),
    "harmless_fraction": (0.0, 1.0),
    "gaze": (0.0, 1.0),
    "twins": (0.0, 1.0),
    "frames": (0.0, 1.0),
    "frozen": (0.0, 1.0),
    "draws": (0, 10_000_000),
    "image_size": (32, 1024),
    "eval_size": (32, 1024),
    "dropout": (0.0, 0.95),
    "mask_weight": (0.0, 1000.0),
    "family_weight": (0.0, 1000.0),
    "epochs": (0, 10_000),
    "batch_size": (2, 4096),  # batch norm cannot learn from one picture
    "lr": (1e-8, 10.0),
    "layer_decay": (0.01, 1.0),
    "weight_decay": (0.0, 10.0),
    "focal_gamma": (0.0, 10.0),
    "focal_alpha": (0.0, 1.0),
    "ema": (0.0, 0.99999),
    "patience": (1, 10_000),
    "seed": (0, 2**31 - 1),
}
"""Smallest and largest value of each number in ``TrainConfig``."""

MAX_LOOKS = 8
"""Sides at which a picture is looked at, --eval-size included."""


def resolve(config: TrainConfig) -> ResolvedConfig:
    """Fill in everything that was left to the preset, the machine or ``auto``, and check the rest.

    Raises:
        ConfigError: a value is out of its range, or the device is not there.
        ArchError: there is no such architecture.
    """
    from artifact_utils.backbones import check_arch
    from artifact_utils.device import resolve_device

    if config.init and not config.resume:  # a run that goes on has what the model had
        config = _as_begun(config)
    device = resolve_device(config.device)
    arch = resolve_arch(device, config.weights) if config.arch == "auto" else config.arch
    check_arch(arch)
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of this process
    filled = PRESETS.get(arch, _LARGE) | {
        "workers": min(max(cores - 1, 0), 16),
        "cache": config.data / ".cache",
        "pooled": arch == "vgg19" or not config.locates,
    }
    if config.image_size is not None:
        filled["eval_size"] = config.image_size  # a size that was asked for is meant for both
    filled.setdefault("eval_size", filled["image_size"])
    frozen = filled["frozen"] if config.frozen is None else config.frozen
    if frozen < 1 or config.teachers or config.also_at:
        filled["draws"] = 0
    filled.setdefault("draws", 0)
    filled.setdefault("dropout", 0.5)
    given = {field.name: getattr(config, field.name) for field in fields(TrainConfig)}
    values = given | {name: value for name, value in filled.items() if given[name] is None}
    resolved = ResolvedConfig(**(values | {"device": device, "arch": arch}))
    _check(resolved)
    return resolved


def _as_begun(config: TrainConfig) -> TrainConfig:
    """The config with what the model has that it starts from.

    Raises:
        ConfigError: something else is asked for.
        CheckpointError: there is no such model.
    """
    from artifact_utils.checkpoints import read_info
    from artifact_utils.files.model_files import initial_file

    info = read_info(initial_file(config.init))
    if config.arch not in ("auto", info.arch):
        raise ConfigError(f"--init {config.init} is of --arch {info.arch}, not {config.arch}: leave --arch out")
    if config.locates != info.locates:
        needed = "needs" if info.locates else "allows no"
        raise ConfigError(f"--init {config.init} {needed} --mask-weight and --synthetic-fraction above 0")
    preset = PRESETS.get(info.arch, _LARGE)
    if config.image_size is None and info.image_size != preset.get("eval_size", preset["image_size"]):
        config = replace(config, image_size=info.image_size, eval_size=config.eval_size or info.image_size)
    return replace(
        config,
        arch=info.arch,
        aspect=info.aspect if config.aspect == "padded" else config.aspect,  # type: ignore[arg-type]
        pooled=info.pooled,
    )


def _check(config: ResolvedConfig) -> None:
    from artifact_utils.metrics.thresholds import ThresholdError, ThresholdRule

    for name, (low, high) in RANGES.items():
        value = getattr(config, name)
        if value is not None and not low <= value <= high:  # also true for NaN
            raise ConfigError(f"{flag(name)} {value} is out of range: choose a value from {low:g} to {high:g}")
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            raise ConfigError(f"{flag(name)} {getattr(config, name)!r}: choose one of {', '.join(choices)}")
    if len(config.also_at) >= MAX_LOOKS or not all(32 <= side <= 1024 for side in config.also_at):
        sides = " ".join(map(str, config.also_at))
        raise ConfigError(f"--also-at {sides}: choose at most {MAX_LOOKS - 1} sides of 32 to 1024 pixels")
    for run in config.teachers:
        if not (run / "best.safetensors" if run.is_dir() else run).is_file():
            raise ConfigError(f"--teachers {run}: no checkpoint there: name run folders or .safetensors files")
    if config.draws and (config.frozen < 1 or config.teachers or config.also_at):
        raise ConfigError(f"--draws {config.draws} needs --frozen 1, and neither --teachers nor --also-at")
    if not config.pooled and not config.locates:
        raise ConfigError(
            "--pooled False needs --mask-weight and --synthetic-fraction above 0, or the model has no output"
        )
    try:
        ThresholdRule.parse(config.threshold_for)
    except ThresholdError as error:
        raise ConfigError(f"--threshold-for: {error}") from error


_CHOICES: dict[str, tuple[str, ...]] = {
    "aspect": get_args(Aspect),
    "augment": get_args(Augment),
    "leave_out": ("", *get_args(Family)),
    "optimizer": get_args(Optimizer),
    "precision": get_args(Precision),
    "schedule": get_args(Schedule),
    "weights": get_args(Weights),
}


def flag(name: str) -> str:
    """The command-line flag of a field."""
    return "--" + name.replace("_", "-")


def resolve_arch(device: str, weights: Weights) -> str:
    """Pick the final VGG-19 where it can be trained, else the small network that two cores can; say which and why."""
    from artifact_utils.backbones import missing_weights

    measured = "EfficientNet-Lite0, measured on the demo set"
    if not device.startswith("cuda"):
        logger.info("--arch auto: %s; VGG-19 takes hours to train on %s", measured, device)
        return "efficientnet_lite0"
    if weights == "imagenet" and (reason := missing_weights("vgg19")):
        logger.info("--arch auto: %s, since VGG-19 has no weights here: %s", measured, reason)
        return "efficientnet_lite0"
    logger.info(
        "--arch auto: VGG-19, since there is a GPU%s; README says what was measured of it",
        " and its ImageNet weights" if weights == "imagenet" else "",
    )
    return "vgg19"
