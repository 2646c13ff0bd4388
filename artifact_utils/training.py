"""One training run, from a config to a folder of results: read ``train`` from top to bottom."""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from artifact_utils import distributed
from artifact_utils.audit import find_leaks
from artifact_utils.backbones import BACKBONES
from artifact_utils.checkpoints import ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.config import TrainConfig, amp_dtype, training_dtype
from artifact_utils.datasets import ArtifactDataset, Portrait, Sample
from artifact_utils.detector import Detector
from artifact_utils.explain import grounded
from artifact_utils.files import write_json
from artifact_utils.images import ImageError
from artifact_utils.loaders import EpochSampler, Loaders, build_loaders, duplicates_across
from artifact_utils.losses import FocalLoss
from artifact_utils.metrics import (
    choose_threshold,
    evaluate,
    fit_temperature,
    format_table,
    measure_calibration,
    scale_logits,
    scale_threshold,
)
from artifact_utils.models import ArtifactClassifier, build_model
from artifact_utils.optimisation import WeightAverage, build_optimizer, keep_freed_memory, lr_scale
from artifact_utils.plots import plot_confusion_matrix, plot_duplicates, plot_learning_curves, plot_summary
from artifact_utils.predictions import PREDICTION_COLUMNS, prediction_rows
from artifact_utils.runs import (
    EventLog,
    Progress,
    Stateful,
    StopRequest,
    TrainingInterrupted,
    has_state,
    open_run,
    restore,
    save,
    write_table,
)
from artifact_utils.training_step import TrainingStep
from artifact_utils.transforms import build_transforms
from artifact_utils.weights import Weights

SAVE_SECONDS = 600  # between two states in mid-epoch
T = TypeVar("T")


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
        DataError: the data set cannot be used; nothing was written.
        RunError: the run folder cannot be used.
        WeightsError: the pretrained weights that were asked for cannot be had.
        TrainingInterrupted: Ctrl-C or SIGTERM came; the state is saved.
    """
    distributed.join()
    keep_freed_memory()
    is_writer = distributed.rank() == 0
    config, run = distributed.on_rank_0(lambda: open_run(config))
    if (run / "metrics.json").exists():
        if is_writer:
            print(f"{run} is complete: nothing to continue")
        return run
    device = distributed.own_device(config.device)
    loaders = distributed.rank_0_first(lambda: load_data(config))

    torch.manual_seed(config.seed)
    weights: Weights = "none" if has_state(run) else config.weights  # what is continued brings its own
    size, pooled = _known(config.eval_size), _known(config.pooled)
    model = build_model(config.arch, weights=weights, image_size=size, locates=config.locates, pooled=pooled)
    info = ModelInfo(config.arch, size, threshold=0.5, locates=config.locates, pooled=pooled)
    model.freeze(_known(config.frozen))
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = distributed.share_statistics(model)
    optimizer = build_optimizer(
        model,
        config.optimizer,
        lr=_known(config.lr),
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay,
    )
    n_epochs, n_steps = _known(config.epochs), -(-len(loaders.train) // config.accumulate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: lr_scale(step, n_epochs * n_steps, config.warmup_epochs * n_steps, config.schedule)
    )
    dtype = training_dtype(config.arch, device, config.precision)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    stateful: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    average = WeightAverage(model, config.ema) if config.ema else None
    if average is not None:
        stateful["average"] = average
    progress = restore(run, stateful, device)
    kept = model if average is None else average.model  # what is evaluated and stored
    step = TrainingStep(config, model, optimizer, schedule, scaler, average)
    if is_writer:
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "config.json", asdict(config))
        if config.test:
            report_leaks(run, config.data, duplicates_across(config.data, loaders))

    with StopRequest() as stop, EventLog(run, progress, enabled=is_writer) as log:
        while progress.epoch < n_epochs and progress.epoch - progress.best_epoch <= config.patience:
            train_one_epoch(loaders.train, step, progress, stop, lambda: save(run, stateful, progress))
            if stop.requested:
                save(run, stateful, progress)
                raise TrainingInterrupted(
                    f"stopped in epoch {progress.epoch + 1} of {n_epochs}, everything is saved; continue with\n"
                    f"  python model_training.py --resume --out {run}"
                )
            row = finish_epoch(loaders, kept, config, schedule, progress)
            score = (row["val_macro_f1"], -row["val_loss"])
            if score > tuple(progress.best_score):
                progress.best_score, progress.best_epoch = score, progress.epoch - 1
                if is_writer:
                    save_checkpoint(run / "best.safetensors", kept, replace(info, threshold=row["threshold"]))
            save(run, stateful, progress)
            if is_writer:
                write_table(run / "history.csv", progress.history)
                log.add(row)
                if on_epoch_end is not None:
                    on_epoch_end(row)

    if is_writer and not (run / "best.safetensors").exists():  # no epoch at all was asked for
        save_checkpoint(run / "best.safetensors", kept, info)
    distributed.on_rank_0(lambda: None)  # nobody reads it before it is there
    evaluate_run(run, config, loaders, device, progress)
    return run


def train_one_epoch(
    loader: DataLoader[Sample],
    step: TrainingStep,
    progress: Progress,
    stop: StopRequest,
    checkpoint: Callable[[], None],
) -> None:
    """Go through the rest of the epoch that ``progress`` is in, and note in it what was done."""
    config, rank = step.config, distributed.rank()
    sampler, accumulate = loader.sampler, config.accumulate
    assert isinstance(sampler, EpochSampler)
    sampler.set_epoch(progress.epoch, start=progress.step * sampler.batch_size)
    if progress.step == 0:
        torch.manual_seed(config.seed * 100_003 + progress.epoch)  # dropout is a function of seed and epoch, too
    n_batches = len(loader) + progress.step
    step.model.train()
    started, loss_sum = time.perf_counter(), torch.zeros((), device=step.device)
    title = f"epoch {progress.epoch + 1}/{config.epochs}"
    done, total = progress.step * sampler.batch_size, n_batches * sampler.batch_size
    with tqdm(total=total, initial=done, desc=title, unit="img", disable=rank > 0) as bar:
        for batch in loader:
            first = progress.step // accumulate * accumulate  # of the batches that make a step
            n_together = min(accumulate, n_batches - first)
            last = progress.step + 1 == first + n_together
            rng = np.random.default_rng([config.seed, progress.epoch, progress.step, rank])
            loss_sum += step(batch, rng, share=1 / n_together, last=last)
            progress.step += 1
            bar.update(sampler.batch_size)
            if not last:
                continue
            if progress.step == n_batches or progress.step // accumulate % 10 == 0:  # reading the loss makes a GPU wait
                progress.loss_sum += distributed.mean(loss_sum).item()
                loss_sum.zero_()
                bar.set_postfix(loss=f"{progress.loss_sum / progress.step:.4f}")
                stop.agree()
                if distributed.anywhere(time.perf_counter() - started > SAVE_SECONDS):
                    progress.seconds, started = progress.seconds + time.perf_counter() - started, time.perf_counter()
                    checkpoint()
            if stop.requested:
                break
    progress.loss_sum += distributed.mean(loss_sum).item()
    progress.seconds += time.perf_counter() - started


def finish_epoch(
    loaders: Loaders,
    model: ArtifactClassifier,
    config: TrainConfig,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    progress: Progress,
) -> dict[str, float]:
    """Validate, add a row to the history and turn ``progress`` to the next epoch."""
    logits, targets = predict(model, loaders.validation)
    criterion = FocalLoss(config.focal_alpha, config.focal_gamma)
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
    if distributed.rank() == 0:
        tqdm.write(
            f"  validation: macro-F1 {row['val_macro_f1']:.3f}, AUC {row['val_roc_auc']:.3f}, "
            f"artifact recall {row['val_artifact_recall']:.3f}"
        )
    return row


@torch.inference_mode()
def predict(model: ArtifactClassifier, loader: DataLoader[Sample]) -> tuple[Tensor, Tensor]:
    """Run the model over a data set: logits (N,) float32 and targets (N,), both on the CPU, in the data set's order.

    Several processes take batches in turn, the same ones that a single process would make.
    """
    model.eval()
    device, dataset = next(model.parameters()).device, loader.dataset
    assert isinstance(dataset, ArtifactDataset) and loader.batch_sampler is not None
    normalize = build_transforms(BACKBONES[model.arch].mean, BACKBONES[model.arch].std)
    logits, dtype = torch.zeros(len(dataset), device=device), amp_dtype(device)
    for places, batch in zip(loader.batch_sampler, loader, strict=True):
        images = batch.image.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits[places[0] : places[-1] + 1] = model(normalize(images)).float()
    return distributed.total(logits).cpu(), dataset.targets  # where another process was at work there is a 0 here


def evaluate_run(run: Path, config: TrainConfig, loaders: Loaders, device: torch.device, progress: Progress) -> None:
    """Calibrate the best checkpoint on validation and evaluate it there and, once, on the test set, into the folder."""
    model, info = load_checkpoint(run / "best.safetensors", device)
    model = model.to(memory_format=torch.channels_last)
    results: dict[str, Any] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    pictures: dict[str, list[Portrait]] = {}
    for split, loader in (("validation", loaders.validation), ("test", loaders.test)):
        if loader is None:
            continue
        logits, targets = predict(model, loader)
        if split == "validation":
            info = calibrated(info, logits, targets)
        probabilities = scale_logits(logits, info.temperature)
        portraits = pictures[split] = loader.dataset.portraits  # type: ignore[attr-defined]
        groups = [portrait.group for portrait in portraits]
        results[split] = evaluate(probabilities, targets.numpy(), info.threshold, groups=groups, seed=config.seed)
        results[split]["calibration"] = measure_calibration(probabilities, targets.numpy(), info.temperature)
        tables[split] = prediction_rows(portraits, probabilities.tolist(), info.threshold, config.data)
    if distributed.rank() > 0:
        return
    detector = Detector(copy.deepcopy(model), info)  # it fuses the model that it is given
    for split, rows in tables.items():
        try:
            table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
            _, results[split]["grounded"] = grounded(detector, pictures[split], table)
        except (ImageError, ValueError) as error:  # nothing but this is read from masks: the rest of the run is good
            tqdm.write(f"warning: whether the {split} maps point at the artifacts was not measured: {error}")
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
    rows = list(tables.values())[-1]  # of test, or of validation where there is no test
    write_table(run / "validation.csv", tables["validation"])
    write_table(run / "predictions.csv", rows)
    plot_learning_curves(pd.DataFrame(progress.history)).savefig(run / "curves.png")
    plot_confusion_matrix(list(results.values())[-1]["confusion_matrix"]).savefig(run / "confusion_matrix.png")
    plot_summary(summary, pd.DataFrame(progress.history), pd.DataFrame(rows)).savefig(run / "summary.png")
    write_json(run / "metrics.json", summary)  # last: its presence says that the run is complete


def calibrated(info: ModelInfo, logits: Tensor, targets: Tensor) -> ModelInfo:
    """``info`` with the temperature that fits a validation set, and the threshold that gives the same answers."""
    temperature = fit_temperature(logits, targets)
    raw_threshold = scale_threshold(info.threshold, 1 / info.temperature)  # a run killed at its end was calibrated once
    return replace(info, temperature=temperature, threshold=scale_threshold(raw_threshold, temperature))


def report_leaks(run: Path, root: Path, leaks: pd.DataFrame) -> None:
    """Say which pictures lie on two sides of a split, and put them side by side into the run folder."""
    if not len(leaks):
        return
    pairs = find_leaks(leaks)
    listing = "\n".join(
        f"  {row.path} ({row.split}) = {row.other} ({row.other_split})" for row in pairs[:10].itertuples()
    )
    tqdm.write(
        f"warning: {len(pairs)} pictures lie on both sides of a split, so what is measured flatters; remove one of each"
        f"\n{listing}\nside by side in {run / 'leaks.png'}"
    )
    plot_duplicates(root, leaks, n=20).savefig(run / "leaks.png")


def load_data(config: TrainConfig) -> Loaders:
    """Make the loaders that a resolved config describes."""
    return build_loaders(
        config.data,
        image_size=_known(config.image_size),
        eval_size=_known(config.eval_size),
        batch_size=_known(config.batch_size),
        augment=config.augment,
        artifact_fraction=config.artifact_fraction,
        synthetic_fraction=config.synthetic_fraction,
        paired=config.paired,
        harmless_fraction=config.harmless_fraction,
        leave_out=config.leave_out,
        label_fraction=config.label_fraction,
        with_test=config.test,
        validation_fraction=config.validation_fraction,
        split_seed=config.split_seed,
        seed=config.seed,
        workers=_known(config.workers),
        pin_memory=config.device.startswith("cuda"),
        skip_broken=config.skip_broken,
        cache=config.cache,
        cache_bytes=round(config.cache_gb * 1e9),
        part=(distributed.rank(), distributed.world_size()),
    )


def report(run: Path) -> str:
    """The results of a finished run as text: the table of the test set, and where everything lies."""
    metrics = json.loads((run / "metrics.json").read_text())
    split = "test" if "test" in metrics else "validation"
    title = f"{metrics['arch']}, epoch {metrics['best_epoch']}, {split} set:"
    return f"\n{title}\n\n{format_table(metrics[split])}\n\neverything is in {run}: " + ", ".join(
        sorted(file.name for file in run.iterdir() if not file.name.endswith(".tmp"))
    )


def _known(value: T | None) -> T:
    """A field that ``resolve`` has filled in."""
    assert value is not None
    return value
