"""One training run, from a config to a folder of results: read ``train`` from top to bottom."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from artifact_utils import distributed
from artifact_utils.audit import find_leaks
from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.config import TrainConfig, training_dtype
from artifact_utils.console import progress_bar
from artifact_utils.datasets import Sample
from artifact_utils.evaluation.measuring import predict
from artifact_utils.evaluation.run_results import write_run_results
from artifact_utils.files import write_json
from artifact_utils.loaders import Loaders, build_loaders, duplicates_across
from artifact_utils.losses import FocalLoss
from artifact_utils.metrics import choose_threshold, evaluate, format_table, scale_logits
from artifact_utils.models import ArtifactClassifier, build_model
from artifact_utils.optimisation import WeightAverage, build_optimizer, keep_freed_memory, lr_scale
from artifact_utils.plots import plot_duplicates
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
from artifact_utils.sampling import EpochSampler
from artifact_utils.training_step import TrainingStep
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
    parts: dict[str, Any] = {"also_at": config.also_at, "locates": config.locates, "pooled": pooled}
    model = build_model(config.arch, weights=weights, image_size=size, **parts)
    info = ModelInfo(config.arch, size, threshold=0.5, **parts)
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
    write_run_results(run, config, loaders, device, progress)
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
    with progress_bar(label=title, total=total, initial=done, unit="img", shown=rank == 0) as bar:
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
        augment_in_batches=config.device.startswith("cuda"),
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
