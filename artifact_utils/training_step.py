"""What a batch does to the weights."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody knows it by)
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from artifact_utils import distributed
from artifact_utils.batch_augmentation import augment_batch
from artifact_utils.config import TrainConfig, training_dtype
from artifact_utils.datasets import Sample
from artifact_utils.detector import Detector
from artifact_utils.losses import FocalLoss, known_masks, mask_loss
from artifact_utils.mixing import mix, smooth
from artifact_utils.models import ArtifactClassifier
from artifact_utils.optimisation import WeightAverage
from artifact_utils.transforms import build_transforms

TEACHER_SHARE = 0.5
"""Weight of the teachers' opinion beside the label."""


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
        return torch.sigmoid(self.detector.run(images)[0] / info.temperature)


class TrainingStep:
    """What happens to a batch: forward, backward, and after every ``accumulate`` batches a step of the optimiser."""

    def __init__(
        self,
        config: TrainConfig,
        model: ArtifactClassifier,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        scaler: torch.amp.GradScaler,
        average: WeightAverage | None,
    ) -> None:
        self.config, self.model, self.optimizer, self.schedule = config, model, optimizer, schedule
        self.scaler, self.average = scaler, average
        self.device = next(model.parameters()).device
        self.dtype = training_dtype(config.arch, self.device, config.precision)
        self.network = distributed.parallel(model)
        self.run: Callable[[Tensor], tuple[Tensor, Tensor | None]]
        self.run = torch.compile(self.network) if config.compile else self.network
        self.criterion = FocalLoss(config.focal_alpha, config.focal_gamma)
        self.normalize = build_transforms(model.backbone.mean, model.backbone.std)
        self.teachers = [Teacher(run, self.device) for run in config.teachers]

    def __call__(self, batch: Sample, rng: np.random.Generator, *, share: float = 1.0, last: bool = True) -> Tensor:
        """Learn from a batch.

        Args:
            batch: pictures in uint8.
            rng: of mixup and CutMix.
            share: of this batch in the gradient of the step.
            last: whether the step is taken now.

        Returns:
            The loss, on the device; reading it makes a GPU wait.
        """
        config, device = self.config, self.device
        images, targets, masks = (tensor.to(device, non_blocking=True) for tensor in batch[:3])
        if batch.change.numel():
            images, masks = augment_batch(images, masks, batch.change)
        images = images.contiguous(memory_format=torch.channels_last)
        if self.teachers:
            opinion = torch.stack([teacher(images) for teacher in self.teachers]).mean(dim=0)
            targets = targets.float().lerp(opinion, TEACHER_SHARE)
        images, targets, masks = mix(
            self.normalize(images), targets, masks, rng, mixup=config.mixup, cutmix=config.cutmix
        )
        averaged = self.network if isinstance(self.network, DistributedDataParallel) else None
        with nullcontext() if last or averaged is None else averaged.no_sync():  # the last averages them all
            with torch.autocast(device.type, self.dtype, enabled=self.dtype is not None):
                logits, places = self.run(images)  # (B,) and (B, h, w)
                loss = self.criterion(logits, smooth(targets, config.label_smoothing))
                if places is not None:
                    n_known = distributed.mean(known_masks(masks).sum().float())
                    n_known = n_known.clamp(min=1 / distributed.world_size())
                    loss = loss + config.mask_weight * mask_loss(places, masks, n_known)
            self.scaler.scale(loss * share if share != 1.0 else loss).backward()
        if last:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
            if self.average is not None:
                self.average.update()
        return loss.detach()
