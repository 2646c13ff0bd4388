"""One training run, from a config to a folder of results: read ``train`` from top to bottom."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from artifact_utils.config import TrainConfig
from artifact_utils.datasets import Portrait, Sample
from artifact_utils.files import write_json
from artifact_utils.loaders import EpochSampler, Loaders, build_loaders
from artifact_utils.losses import FocalLoss, mask_loss
from artifact_utils.metrics import (
    calibration_error,
    choose_threshold,
    evaluate,
    fit_temperature,
    format_table,
    scale_logits,
    scale_threshold,
)
from artifact_utils.models import (
    BACKBONES,
    ArtifactClassifier,
    ModelInfo,
    Weights,
    build_model,
    load_checkpoint,
    save_checkpoint,
)
from artifact_utils.plots import plot_confusion_matrix, plot_learning_curves
from artifact_utils.runs import (
    Progress,
    Stateful,
    StopRequest,
    TrainingInterrupted,
    open_run,
    restore,
    save,
    write_table,
)

T = TypeVar("T")

PREDICTION_COLUMNS = ("path", "group", "kind", "strength", "target", "probability", "predicted")
"""The layout of ``predictions.csv`` and ``validation.csv``; ``kind`` and ``strength`` are of the artifact, if known."""


def train(config: TrainConfig, *, on_epoch_end: Callable[[dict[str, float]], None] | None = None) -> Path:
    """Train, choose the epoch and the threshold on validation people, evaluate once on the test people.

    Args:
        config: what to train and how.
        on_epoch_end: called with the new row of the history after every epoch.

    Returns:
        The run folder, with ``config.json``, ``history.csv``, ``metrics.json``, ``best.safetensors``, ``last.pt``,
        ``curves.png``, ``confusion_matrix.png``, ``predictions.csv`` (of the test people) and ``validation.csv`` (of
        those that the threshold and the temperature were chosen on).

    Raises:
        DataError: the data set cannot be used; nothing was written.
        RunError: the run folder cannot be used.
        WeightsError: the pretrained weights that were asked for cannot be had.
        TrainingInterrupted: Ctrl-C or SIGTERM came; the state is saved.
    """
    config, run = open_run(config)
    if (run / "metrics.json").exists():
        print(f"{run} is complete: nothing to continue")
        return run
    device = torch.device(config.device)
    loaders = load_data(config)

    torch.manual_seed(config.seed)
    weights: Weights = "none" if (run / "last.pt").exists() else config.weights  # what is continued brings its own
    model = build_model(config.arch, weights=weights, image_size=_known(config.eval_size), locates=config.locates)
    info = ModelInfo(config.arch, model.image_size, threshold=0.5, locates=config.locates)
    model.freeze(_known(config.frozen))
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=_known(config.lr),
        weight_decay=config.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    n_epochs, n_steps = _known(config.epochs), len(loaders.train)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: lr_scale(step, n_epochs * n_steps, config.warmup_epochs * n_steps)
    )
    dtype = amp_dtype(device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    criterion = FocalLoss(config.focal_alpha, config.focal_gamma)
    parts: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    progress = restore(run, parts, device)
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", asdict(config))

    with StopRequest() as stop:
        while progress.epoch < n_epochs and progress.epoch - progress.best_epoch <= config.patience:
            train_one_epoch(loaders.train, model, criterion, optimizer, schedule, scaler, progress, config, stop)
            if stop.requested:
                save(run, parts, progress)
                raise TrainingInterrupted(
                    f"stopped in epoch {progress.epoch + 1} of {n_epochs}, everything is saved; continue with\n"
                    f"  python model_training.py --resume --out {run}"
                )
            row = finish_epoch(loaders, model, criterion, schedule, progress, config)
            score = (row["val_macro_f1"], -row["val_loss"])
            if score > tuple(progress.best_score):
                progress.best_score, progress.best_epoch = score, progress.epoch - 1
                save_checkpoint(run / "best.safetensors", model, replace(info, threshold=row["threshold"]))
            save(run, parts, progress)
            write_table(run / "history.csv", progress.history)
            if on_epoch_end is not None:
                on_epoch_end(row)

    if not (run / "best.safetensors").exists():  # no epoch at all was asked for
        save_checkpoint(run / "best.safetensors", model, info)
    evaluate_run(run, config, loaders, device, progress)
    return run


def train_one_epoch(
    loader: DataLoader[Sample],
    model: ArtifactClassifier,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
    progress: Progress,
    config: TrainConfig,
    stop: "StopRequest",
) -> None:
    """Go through the rest of the epoch that ``progress`` is in, and note in it what was done."""
    device = next(model.parameters()).device
    sampler, batch_size = loader.sampler, _known(loader.batch_size)
    assert isinstance(sampler, EpochSampler)
    sampler.set_epoch(progress.epoch, start=progress.step * batch_size)
    if progress.step == 0:
        torch.manual_seed(config.seed * 100_003 + progress.epoch)  # dropout is a function of seed and epoch, too
    n_steps = len(loader) + progress.step
    model.train()
    started, loss_sum, dtype = time.perf_counter(), torch.zeros((), device=device), amp_dtype(device)
    title = f"epoch {progress.epoch + 1}/{config.epochs}"
    with tqdm(total=n_steps * batch_size, initial=progress.step * batch_size, desc=title, unit="img") as bar:
        for images, targets, masks in loader:
            images = images.to(device, non_blocking=True, memory_format=torch.channels_last)  # (B, 3, S, S)
            targets = targets.to(device, non_blocking=True)  # (B,)
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                logits, places = model.locate(images)  # (B,) and (B, h, w)
                loss = criterion(logits, targets)
                if places is not None:
                    loss = loss + config.mask_weight * mask_loss(places, masks.to(device, non_blocking=True))
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            loss_sum += loss.detach()
            progress.step += 1
            bar.update(batch_size)
            if progress.step % 10 == 0 or progress.step == n_steps:  # reading the loss makes a GPU wait
                bar.set_postfix(loss=f"{(progress.loss_sum + loss_sum.item()) / progress.step:.4f}")
            if stop.requested:
                break
    progress.loss_sum += loss_sum.item()
    progress.seconds += time.perf_counter() - started


def finish_epoch(
    loaders: Loaders,
    model: ArtifactClassifier,
    criterion: nn.Module,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    progress: Progress,
    config: TrainConfig,
) -> dict[str, float]:
    """Validate, add a row to the history and turn ``progress`` to the next epoch."""
    logits, targets = predict(model, loaders.validation, torch.device(config.device))
    probabilities = scale_logits(logits, 1.0)
    threshold = choose_threshold(probabilities, targets.numpy(), config.threshold_for)
    metrics = evaluate(probabilities, targets.numpy(), threshold, n_bootstrap=0)
    row = {
        "epoch": progress.epoch + 1,
        "train_loss": progress.loss_sum / max(progress.step, 1),
        "val_loss": float(criterion(logits, targets)),
        "val_macro_f1": metrics["macro_f1"],
        "val_roc_auc": metrics["roc_auc"],
        "val_artifact_recall": metrics["classes"]["artifacts"]["recall"],
        "threshold": threshold,
        "lr": schedule.get_last_lr()[0],
        "seconds": progress.seconds,
    }
    progress.history.append(row)
    progress.epoch, progress.step, progress.loss_sum, progress.seconds = progress.epoch + 1, 0, 0.0, 0.0
    tqdm.write(
        f"  validation: macro-F1 {row['val_macro_f1']:.3f}, AUC {row['val_roc_auc']:.3f}, "
        f"artifact recall {row['val_artifact_recall']:.3f}"
    )
    return row


@torch.inference_mode()
def predict(model: ArtifactClassifier, loader: DataLoader[Sample], device: torch.device) -> tuple[Tensor, Tensor]:
    """Run the model over a loader: logits (N,) float32 and targets (N,), both on the CPU, in the loader's order."""
    model.eval()
    logits, targets, dtype = [], [], amp_dtype(device)
    for images, labels, _ in loader:
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits.append(model(images).float().cpu())
        targets.append(labels)
    return torch.cat(logits), torch.cat(targets)


def evaluate_run(run: Path, config: TrainConfig, loaders: Loaders, device: torch.device, progress: Progress) -> None:
    """Calibrate the best checkpoint on validation and evaluate it there and, once, on the test set, into the folder."""
    model, info = load_checkpoint(run / "best.safetensors", device)
    model = model.to(memory_format=torch.channels_last)
    results: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for split, loader in (("validation", loaders.validation), ("test", loaders.test)):
        if loader is None:
            continue
        logits, targets = predict(model, loader, device)
        if split == "validation":
            info = calibrated(info, logits, targets)
        probabilities = scale_logits(logits, info.temperature)
        portraits = loader.dataset.portraits  # type: ignore[attr-defined]
        groups = [portrait.group for portrait in portraits]
        results[split] = evaluate(probabilities, targets.numpy(), info.threshold, groups=groups, seed=config.seed)
        results[split]["calibration"] = {
            "temperature": info.temperature,
            "ece_before": calibration_error(scale_logits(logits, 1.0), targets.numpy()),
            "ece": calibration_error(probabilities, targets.numpy()),
        }
        # of the last split there is: of test, or of validation where there is no test
        rows = prediction_rows(portraits, probabilities.tolist(), info.threshold, config.data)
        if split == "validation":
            write_table(run / "validation.csv", rows)
    summary = {
        "arch": info.arch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_epoch": progress.best_epoch + 1,
        "threshold": info.threshold,
        "threshold_for": config.threshold_for,
        "temperature": info.temperature,
        "train_seconds": round(sum(row["seconds"] for row in progress.history), 1),
        "seed": config.seed,
        **results,
    }
    save_checkpoint(run / "best.safetensors", model, replace(info, metrics=results))
    write_table(run / "predictions.csv", rows)
    plot_learning_curves(pd.DataFrame(progress.history)).savefig(run / "curves.png")
    plot_confusion_matrix(list(results.values())[-1]["confusion_matrix"]).savefig(run / "confusion_matrix.png")
    write_json(run / "metrics.json", summary)  # last: its presence says that the run is complete


def calibrated(info: ModelInfo, logits: Tensor, targets: Tensor) -> ModelInfo:
    """``info`` with the temperature that fits a validation set, and the threshold that gives the same answers."""
    temperature = fit_temperature(logits, targets)
    raw_threshold = scale_threshold(info.threshold, 1 / info.temperature)  # a run killed at its end was calibrated once
    return replace(info, temperature=temperature, threshold=scale_threshold(raw_threshold, temperature))


def prediction_rows(
    portraits: Sequence[Portrait], probabilities: Iterable[float], threshold: float, root: Path
) -> list[dict[str, Any]]:
    """Rows of ``PREDICTION_COLUMNS``, compared with the threshold in double precision as the metrics do."""
    return [
        {
            "path": portrait.path.relative_to(root).as_posix(),
            "group": portrait.group,
            "kind": portrait.kind,
            "strength": "" if portrait.strength is None else portrait.strength,
            "target": portrait.label,
            "probability": probability,
            "predicted": int(probability >= threshold),
        }
        for portrait, probability in zip(portraits, probabilities, strict=True)
    ]


def load_data(config: TrainConfig) -> Loaders:
    """Make the loaders that a resolved config describes."""
    return build_loaders(
        config.data,
        image_size=_known(config.image_size),
        eval_size=_known(config.eval_size),
        mean=BACKBONES[config.arch].mean,
        std=BACKBONES[config.arch].std,
        batch_size=_known(config.batch_size),
        augment=config.augment,
        artifact_fraction=config.artifact_fraction,
        synthetic_fraction=config.synthetic_fraction,
        paired=config.paired,
        harmless_fraction=config.harmless_fraction,
        validation_fraction=config.validation_fraction,
        seed=config.seed,
        workers=_known(config.workers),
        pin_memory=config.device.startswith("cuda"),
        skip_broken=config.skip_broken,
    )


def report(run: Path) -> str:
    """The results of a finished run as text: the table of the test set, and where everything lies."""
    metrics = json.loads((run / "metrics.json").read_text())
    split = "test" if "test" in metrics else "validation"
    title = f"{metrics['arch']}, epoch {metrics['best_epoch']}, {split} set:"
    return f"\n{title}\n\n{format_table(metrics[split])}\n\neverything is in {run}: " + ", ".join(
        sorted(file.name for file in run.iterdir() if not file.name.endswith(".tmp"))
    )


def lr_scale(step: int, n_steps: int, n_warmup: float) -> float:
    """Factor of the learning rate: a linear warm-up to 1, then a cosine down to 0.01."""
    if step < n_warmup:
        return (step + 1) / (n_warmup + 1)
    done = (step - n_warmup) / max(n_steps - n_warmup, 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def amp_dtype(device: torch.device) -> torch.dtype | None:
    """Type for mixed precision: bf16 where the GPU computes in it, fp16 on older ones, None (fp32) elsewhere."""
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def _known(value: T | None) -> T:
    """A field that ``resolve`` has filled in."""
    assert value is not None
    return value
