"""One training run, from a config to a folder of results: read ``train`` from top to bottom.

``train`` calls ``train_one_epoch``, which calls ``Learner.step`` for every batch. An epoch is a function of the seed
and its number, so a run that was killed goes on from its last whole epoch to the same weights.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from artifact_utils import distributed
from artifact_utils.checkpoints import ModelInfo, initial_model, save_checkpoint
from artifact_utils.config import ResolvedConfig, Schedule, TrainConfig
from artifact_utils.console import progress_bar
from artifact_utils.datasets import Sample
from artifact_utils.detector import Detector
from artifact_utils.device import keep_freed_memory, training_dtype
from artifact_utils.evaluation.measuring import predict
from artifact_utils.evaluation.run_results import report_leaks, write_run_results
from artifact_utils.files.locks import output_lock
from artifact_utils.kept_features import keep_features
from artifact_utils.labels import FAMILY_NAMES
from artifact_utils.loaders import Loaders, build_loaders
from artifact_utils.losses import FocalLoss, family_loss, known_masks, mask_loss, unlabelled_left_out
from artifact_utils.metrics import choose_threshold, evaluate, scale_logits
from artifact_utils.models import Answer, ArtifactClassifier, Locating, smooth_maximum
from artifact_utils.runs import (
    EventLog,
    Progress,
    RunError,
    StopRequest,
    has_state,
    open_run,
    restore,
    save,
    start_run,
    write_table,
)
from artifact_utils.sampling import EpochSampler, KeptSampler
from artifact_utils.transforms.augmentation import augment_batch

logger = logging.getLogger(__name__)

WARMUP_EPOCHS = 0.5
MAX_GRADIENT_NORM = 1.0
TEACHER_SHARE = 0.5
"""Weight of the teachers' opinion beside the label."""
MAX_LOSS_GROWTH = 1000
"""Times its first value that the loss may reach; beyond that the run has diverged."""
READ_EVERY = 10
"""Steps between two looks at the loss: each look makes a GPU wait."""


def train(config: TrainConfig, *, on_epoch_end: Callable[[dict[str, float]], None] | None = None) -> Path:
    """Train, choose the epoch and the threshold on validation people, evaluate once on the test people.

    Args:
        config: what to train and how.
        on_epoch_end: called with the new row of the history after every epoch.

    Returns:
        The run folder, with ``config.json``, ``history.csv``, ``metrics.json``, ``best.safetensors``, ``last.pt``,
        ``curves.png``, ``confusion_matrix.png``, ``summary.png``, ``tensorboard/``, ``predictions.csv`` (of the test
        people) and ``validation.csv`` (of those that the threshold and the temperature were chosen on).

    Raises:
        ConfigError: a value in the config cannot be used; nothing was written.
        DataError: the data set cannot be used; nothing was written.
        RunError: the run folder cannot be used, or the loss diverged.
        FileError: another process is training in the run folder.
        WeightsError: the pretrained weights that were asked for cannot be had.
        TrainingInterrupted: Ctrl-C or SIGTERM came; the epochs that were whole are saved.
    """
    distributed.join()
    keep_freed_memory()
    is_writer = distributed.rank() == 0
    config, run = distributed.on_rank_0(lambda: open_run(config))
    if (run / "metrics.json").exists():
        logger.info("%s is complete: nothing to continue", run)
        return run
    device = distributed.own_device(config.device)
    pictures = distributed.rank_0_first(lambda: build_loaders(config))
    model = initial_model(config, restored=has_state(run)).to(device)
    loaders = keep_features(config, model, pictures)  # of what a frozen backbone sees, once for all epochs
    learner = Learner(config, model, n_batches=len(loaders.train))
    progress = restore(run, learner, device)
    run.parent.mkdir(parents=True, exist_ok=True)
    with output_lock(run) if is_writer else nullcontext():
        if is_writer:
            start_run(run, config)
            if config.test:
                report_leaks(run, config.data, pictures)
        train_epochs(config, run, loaders, learner, progress, on_epoch_end)
        if is_writer and not (run / "best.safetensors").exists():  # no epoch at all was asked for
            save_checkpoint(run / "best.safetensors", learner.kept, learner.info(0.5))
        distributed.on_rank_0(lambda: None)  # nobody reads it before it is there
        write_run_results(run, config, loaders, device, progress)
    return run


def train_epochs(
    config: ResolvedConfig,
    run: Path,
    loaders: Loaders,
    learner: "Learner",
    progress: Progress,
    on_epoch_end: Callable[[dict[str, float]], None] | None,
) -> None:
    """Train until the last epoch, or until patience ends; each epoch is validated, written down and saved."""
    is_writer = distributed.rank() == 0
    with StopRequest(run) as stop, EventLog(run, progress, enabled=is_writer) as events:
        while progress.epoch < config.epochs and progress.epoch - progress.best_epoch <= config.patience:
            started = time.perf_counter()
            train_loss = train_one_epoch(loaders.train, learner, progress, stop)
            seconds = time.perf_counter() - started
            row: dict[str, float] = {"epoch": progress.epoch + 1, "train_loss": train_loss}
            row |= validate(learner, loaders.validation, progress)
            if is_writer and progress.is_best(row):
                save_checkpoint(run / "best.safetensors", learner.kept, learner.info(row["threshold"]))
            progress.add(row | {"lr": learner.lr, "seconds": seconds})
            if is_writer:
                write_table(run / "history.csv", progress.history)
                events.add(progress.history[-1])
                save(run, learner, progress)  # last: an epoch whose state is not there is done and written again
                if on_epoch_end is not None:
                    on_epoch_end(progress.history[-1])
            stop.check(f"after epoch {progress.epoch} of {config.epochs}, everything is saved")
    stop.agree()
    stop.check("after the last epoch, everything is saved")  # it came since the last look


def train_one_epoch(loader: DataLoader[Sample], learner: "Learner", progress: Progress, stop: StopRequest) -> float:
    """Go once through the training set; returns the mean loss.

    Raises:
        RunError: the loss is not finite any more, or has grown beyond ``MAX_LOSS_GROWTH`` times the first one.
        TrainingInterrupted: a stop was requested; this epoch will be done again.
    """
    config, sampler = learner.config, loader.sampler
    assert isinstance(sampler, EpochSampler | KeptSampler)
    sampler.set_epoch(progress.epoch)
    # dropout, too, is a function of seed and epoch; each process draws its own
    torch.manual_seed(config.seed * 100_003 + progress.epoch + distributed.rank() * 1_000_000_007)
    learner.model.train()
    title = f"epoch {progress.epoch + 1} of {config.epochs}"
    n, total, read, unread = len(loader), 0.0, 0, torch.zeros((), device=learner.device)
    with progress_bar(None, title, total=n * sampler.batch_size, unit="img", shown=distributed.rank() == 0) as bar:
        for step, batch in enumerate(loader, 1):
            unread += learner.step(batch)
            bar.update(sampler.batch_size)
            if step % READ_EVERY == 0 or step == n:
                recent = float(distributed.mean(unread)) / (step - read)
                learner.check_loss(recent, progress)
                total, read = total + recent * (step - read), step
                unread.zero_()
                bar.set_postfix(loss=f"{total / read:.4f}")
                stop.agree()
            stop.check(f"in {title} after {step / n:.0%} of it, which will be done again")
    distributed.share_statistics(learner.model)
    distributed.share_statistics(learner.kept)  # on CPUs each process has averaged its own
    return total / max(read, 1)


class Learner:
    """A model and everything that training changes with it; a batch is one ``step``.

    Args:
        config: what to train and how.
        model: of ``initial_model``, on the device where it is trained.
        n_batches: batches of an epoch.
    """

    def __init__(self, config: ResolvedConfig, model: ArtifactClassifier, *, n_batches: int) -> None:
        self.config, self.device = config, next(model.parameters()).device
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = average_of(self.model, config.ema) if config.ema else None
        self.optimizer = build_optimizer(self.model, config)
        n_steps = config.epochs * n_batches
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: lr_scale(step, n_steps, WARMUP_EPOCHS * n_batches, config.schedule)
        )
        self.teachers = [Teacher(run, self.device) for run in config.teachers]
        self.network = distributed.parallel(Locating(self.model))
        self.run = torch.compile(self.network) if config.compile else self.network
        self.dtype = training_dtype(self.device, config.precision, dense=self.model.backbone.is_dense)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.criterion = FocalLoss(config.focal_alpha, config.focal_gamma)

    @property
    def kept(self) -> ArtifactClassifier:
        """The model that is evaluated and stored: the average of the weights, if there is one."""
        return self.model if self.average is None else self.average.module  # type: ignore[return-value]

    @property
    def lr(self) -> float:
        """The learning rate of the head, which no layer decay makes smaller."""
        return float(max(self.schedule.get_last_lr()))

    def info(self, threshold: float) -> ModelInfo:
        """What the checkpoint of this model says of it."""
        config = self.config
        return ModelInfo(
            config.arch,
            config.eval_size,
            threshold,
            also_at=config.also_at,
            locates=config.locates,
            families=config.told_apart,
            aspect=config.aspect,
            pooled=config.pooled,
        )

    def step(self, batch: Sample) -> Tensor:
        """Learn from a batch with pictures in uint8, or with kept features; returns the loss, on the device."""
        images, targets, masks, said = (tensor.to(self.device, non_blocking=True) for tensor in batch[:4])
        if batch.change.numel():
            images, masks = augment_batch(images, masks, batch.change)
        images = images.contiguous(memory_format=torch.channels_last)
        if self.teachers:
            opinion = torch.stack([teacher(images) for teacher in self.teachers]).mean(dim=0)
            targets = targets.float().lerp(opinion, TEACHER_SHARE)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            answer = self.run(self.model.normalized(images))
            loss = self.loss(answer, targets, masks, said)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.detach()

    def loss(self, answer: Answer, targets: Tensor, masks: Tensor, said: Tensor) -> Tensor:
        """Of what the model says: of the pictures and, where it says what and where, of the families and the places.

        Args:
            answer: of B pictures.
            targets: (B,) in [0, 1].
            masks: uint8 (B, 1, S, S) as in ``Sample``.
            said: int8 (B, ``len(FAMILY_NAMES)``) as in ``Sample``.
        """
        if answer.places is None or answer.families is None:
            return self.criterion(answer.logits, targets)
        config, families = self.config, self.model.families
        logits, loss = answer.logits, answer.logits.new_zeros(())
        if families:
            said = said[:, [FAMILY_NAMES.index(family) for family in families]]
            logits = smooth_maximum(unlabelled_left_out(answer.families, said, targets), dim=1)
            loss = config.family_weight * family_loss(answer.families, said, config.focal_gamma)
        n_known = distributed.mean(known_masks(masks).sum().float()).clamp(min=1 / distributed.world_size())
        where = mask_loss(answer.places, masks, n_known, families=families)
        return self.criterion(logits, targets) + loss + config.mask_weight * where

    def check_loss(self, loss: float, progress: Progress) -> None:
        """Stop a run that has diverged.

        Raises:
            RunError: the loss is not finite, or has grown beyond ``MAX_LOSS_GROWTH`` times the first one.
        """
        if progress.first_loss is None:
            progress.first_loss = loss
        if not math.isfinite(loss) or loss > MAX_LOSS_GROWTH * progress.first_loss:
            raise RunError(
                f"the loss is {loss:.3g} in epoch {progress.epoch + 1}, {progress.first_loss:.3g} at the start: the "
                f"training has diverged; start a new run with a --lr below {self.config.lr:.2g}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on as if nothing had happened."""
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put everything back."""
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])

    def _stateful(self) -> dict[str, Any]:
        found = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule, "scaler": self.scaler}
        return found if self.average is None else found | {"average": self.average}


class Teacher:
    """A trained model that another one learns from."""

    def __init__(self, run: Path, device: torch.device) -> None:
        self.detector = Detector.load(run, device=str(device))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Calibrated probabilities (B,) of uint8 pictures (B, 3, S, S), seen at the size of this model."""
        info = self.detector.info
        size = (info.image_size,) * 2
        if images.shape[2:] != size:
            images = F.interpolate(images.float(), size, mode="bilinear", antialias=True).round().to(torch.uint8)
        return torch.sigmoid(self.detector.run(images).logits / info.temperature)


def build_optimizer(model: ArtifactClassifier, config: ResolvedConfig) -> torch.optim.Optimizer:
    """An optimiser over what is not frozen: adamw; adam, with the weight decay in the gradient; or sgd with momentum.

    Norms and biases (parameters of one dimension) do not decay, nor do the tokens and position embeddings that timm
    exempts. With layer decay the learning rate of a layer of
    the backbone is that share of the next one's; the head's and the locator's is ``config.lr``.
    """
    layers = model.backbone.layer_groups()
    depth = {id(p): len(layers) - i for i, layer in enumerate(layers) for p in layer}
    network = model.backbone.network
    exempt = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    kept = {id(parameter) for name, parameter in network.named_parameters() if name in exempt}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            lr = config.lr * config.layer_decay ** depth.get(id(parameter), 0)
            decay = config.weight_decay if parameter.ndim > 1 and id(parameter) not in kept else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    grouped = [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]
    options: dict[str, Any] = {"lr": config.lr, "fused": next(model.parameters()).device.type in ("cpu", "cuda")}
    match config.optimizer:
        case "adamw":
            return torch.optim.AdamW(grouped, **options)
        case "adam":
            return torch.optim.Adam(grouped, **options)
        case "sgd":
            return torch.optim.SGD(grouped, momentum=0.9, nesterov=True, **options)


def lr_scale(step: int, n_steps: int, n_warmup: float, schedule: Schedule = "cosine") -> float:
    """Factor of the learning rate: a linear warm-up to 1, then down to 0.01, or not at all.

    ``cosine`` and ``exponential`` fall all the time, ``step`` to a tenth after one third and after two.
    """
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    done = min((step - n_warmup) / max(n_steps - n_warmup, 1), 1.0)
    match schedule:
        case "cosine":
            return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
        case "step":
            return float(0.1 ** min(math.floor(3 * done), 2))
        case "exponential":
            return float(0.01**done)
        case "constant":
            return 1.0


def average_of(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a model's weights and statistics.

    In the first steps the decay is (1 + n) / (10 + n), or the random start would stay in the average of a short run.
    """

    @torch.no_grad()
    def update(averages: Any, weights: Any, n_averaged: Any) -> None:
        if not averages[0].is_floating_point():  # counters
            torch._foreach_copy_(averages, weights)
            return
        n = int(n_averaged)
        torch._foreach_lerp_(averages, weights, 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def validate(learner: Learner, loader: DataLoader[Sample], progress: Progress) -> dict[str, float]:
    """The numbers of one epoch on validation, at the threshold that is best there.

    Raises:
        RunError: the model gives numbers that are not finite: the last steps of the epoch wrecked it.
    """
    config = learner.config
    logits, targets = predict(learner.kept, loader)
    val_loss = float(learner.criterion(logits, targets))
    if not math.isfinite(val_loss):
        learner.check_loss(val_loss, progress)
    probabilities = scale_logits(logits, 1.0)
    threshold = choose_threshold(probabilities, targets.numpy(), config.threshold_for)
    metrics = evaluate(probabilities, targets.numpy(), threshold, n_bootstrap=0)
    row = {
        "val_loss": val_loss,
        "val_macro_f1": metrics["macro_f1"],
        "val_roc_auc": metrics["roc_auc"],
        "val_artifact_recall": metrics["classes"]["artifacts"]["recall"],
        "threshold": threshold,
    }
    logger.info(
        "  validation: macro-F1 %.3f, AUC %.3f, artifact recall %.3f",
        row["val_macro_f1"],
        row["val_roc_auc"],
        row["val_artifact_recall"],
    )
    return row
