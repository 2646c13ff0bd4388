"""Kept features: a frozen backbone sees several draws of the training set once, and all epochs learn from what it saw.

A folder of the cache holds safetensors files of 32 draws each. A draw is called by a hash of all that its features
depend on: the pixels and what is known of the picture, the draw, the settings of synthesis and augmentation and their
code, the weights of the backbone. So nothing is ever out of date, what an interrupted run has kept, the next one finds,
and runs on some of the pictures share what was seen of them.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from artifact_utils import distributed
from artifact_utils.config import ResolvedConfig, SynthesisOptions
from artifact_utils.console import progress_bar
from artifact_utils.datasets import ArtifactDataset, Draw, Sample
from artifact_utils.device import amp_dtype
from artifact_utils.files.writing import write_bytes
from artifact_utils.loaders import Loaders, loader_of
from artifact_utils.models import ArtifactClassifier
from artifact_utils.sampling import EpochSampler, KeptSampler
from artifact_utils.squares import MEMORY_BYTES
from artifact_utils.transforms.augmentation import augment_batch

logger = logging.getLogger(__name__)

N_DRAWS = 32
"""Draws of a file, at most."""
MIN_ROUNDS = 2
"""Draws of the whole training set, however large: one shows only half of the clean portraits beside their artifacts."""
PACKAGE = Path(__file__).parent
MODULES = ("datasets", "faces", "losses", "masks", "models")
CODE = ("synthesis/**/*.py", "backbones/*.py", "transforms/*.py", *(f"{module}.py" for module in MODULES))
"""What makes the features of a draw: other code may make others."""

File = dict[str, Tensor]
"""The fields of ``Sample`` for some draws; ``image`` is what ``ArtifactClassifier.see`` made of it, float16."""
Row = tuple[File, int]
"""A draw: the file that holds it, and its place there."""


class KeptFeatures(Dataset[Sample]):
    """Samples whose ``image`` holds features, float16 (C, h, w).

    Args:
        source: the data set that the pictures are of.
        rows: where their features are, one for each draw.
    """

    def __init__(self, source: ArtifactDataset, rows: Sequence[Row]) -> None:
        self.source, self.rows = source, rows
        self.targets = torch.stack([file["target"][row] for file, row in rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Sample:
        file, row = self.rows[place]
        return Sample(**{name: tensor[row] for name, tensor in file.items()})


def keep_features(config: ResolvedConfig, model: ArtifactClassifier, loaders: Loaders) -> Loaders:
    """Loaders of features in the place of pictures, for training and validation; where ``config.draws`` is 0, or
    several processes train, the loaders as they are.

    Killed or interrupted, the same command goes on with what was kept until then.

    Args:
        config: of the run. The training set is drawn until ``draws`` would be passed, ``MIN_ROUNDS`` times at least,
            but no oftener than ``cache_gb`` has room for.
        model: whose frozen backbone looks, on the device where it does.
        loaders: of pictures.
    """
    if not config.draws or distributed.world_size() > 1:
        return loaders
    sampler, train, validation = loaders.train.sampler, loaders.train.dataset, loaders.validation.dataset
    assert isinstance(sampler, EpochSampler)
    assert isinstance(train, ArtifactDataset) and isinstance(validation, ArtifactDataset)
    store = FeatureStore(config, model)
    validated: list[Draw | int] = list(range(len(validation)))
    draws: list[Draw] = []
    for epoch in range(max(config.draws // max(len(sampler), 1), MIN_ROUNDS)):
        sampler.set_epoch(epoch)
        draws += list(sampler) if store.has_room_for(len(validated) + len(draws) + len(sampler)) else []
    if not draws:
        logger.warning("no room for features in the cache (--cache-gb): the whole network runs in every epoch")
        return loaders
    store.make_room([*store.names(train, draws), *store.names(validation, validated)])
    seen = KeptFeatures(train, store.fill(train, draws, f"features of {len(draws)} draws"))
    seen_in_validation = KeptFeatures(validation, store.fill(validation, validated, "features of validation"))
    order = KeptSampler(draws, seed=config.seed, batch_size=sampler.batch_size)
    return replace(
        loaders,
        train=DataLoader(seen, sampler.batch_size, sampler=order, drop_last=True, generator=torch.Generator()),
        validation=DataLoader(seen_in_validation, 2 * config.batch_size, generator=torch.Generator()),
    )


class FeatureStore:
    """The features that are kept: a folder of files, or memory where the config wants no cache.

    Args:
        config: whose synthesis and augmentation make the draws.
        model: whose backbone makes the features of them, on the device where it does; it is left in evaluation mode.
    """

    def __init__(self, config: ResolvedConfig, model: ArtifactClassifier) -> None:
        self.config, self.model, self.device = config, model.eval(), next(model.parameters()).device
        self.folder = config.cache / "features" if config.cache_gb else None
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        with torch.inference_mode():
            side = max(config.image_size, config.eval_size)
            self.draw_bytes = 2 * model.see(torch.zeros(1, 3, side, side, device=self.device)).numel() + side**2
        self.depends_on = self._depends_on()
        self.digest_of = cache(_digest)

    def _depends_on(self) -> str:
        """What the features of every draw depend on."""
        code, weights, backbone = hashlib.blake2b(), hashlib.blake2b(), self.model.backbone
        for file in (file for pattern in CODE for file in sorted(PACKAGE.glob(pattern))):
            code.update(file.read_bytes())
        for tensor in () if backbone.loaded_from else backbone.state_dict().values():
            weights.update(tensor.cpu().contiguous().numpy().tobytes())
        names = ["arch", "image_size", "eval_size", "locates", "pooled", *(f.name for f in fields(SynthesisOptions))]
        values = {name: getattr(self.config, name) for name in names}
        values = {name: float(value) if type(value) is int else value for name, value in values.items()}  # 1 is 1.0
        values |= {"code": code.hexdigest(), "weights": backbone.loaded_from or weights.hexdigest()}
        with torch.inference_mode():
            values["arithmetic"] = f"{self.device.type}, {backbone.arithmetic(self.device)}"
        return json.dumps(values, sort_keys=True, default=str)

    def names(self, dataset: ArtifactDataset, draws: Sequence[Draw | int]) -> list[str]:
        """What each of these draws is called."""
        kinds, names = sorted(dataset.kinds or ()), []
        for draw in draws:
            index, what = (draw, "as it is") if isinstance(draw, int) else (draw.index, f"{draw.seed} {draw.inject}")
            text = f"{self.depends_on} {self.digest_of(dataset, index)} {what} {kinds}"
            names.append(hashlib.blake2b(text.encode(), digest_size=16).hexdigest())
        return names

    def kept(self) -> dict[str, tuple[Path, int]]:
        """The draws that are kept: of each its file and its place there."""
        found: dict[str, tuple[Path, int]] = {}
        for path in [] if self.folder is None else sorted(self.folder.glob("*.safetensors")):
            try:
                with safe_open(path, "pt") as file:
                    names = (file.metadata() or {}).get("draws", "").split()
            except (OSError, SafetensorError):
                continue  # it is not whole, or another run has just given it up
            found |= {name: (path, row) for row, name in enumerate(names)}
        return found

    def has_room_for(self, n_draws: int, beside: Sequence[Path] = ()) -> bool:
        """Whether that many fit beside some files, whatever else is given up for them."""
        if self.folder is None:
            return n_draws * self.draw_bytes <= MEMORY_BYTES
        squares = sum(file.stat().st_size for file in self.config.cache.glob("squares-*.bin"))
        kept = sum(file.stat().st_size for file in self.folder.iterdir())
        room = min(self.config.cache_gb * 1e9 - squares, kept + shutil.disk_usage(self.folder).free / 2)
        return n_draws * self.draw_bytes + sum(file.stat().st_size for file in beside) <= room

    def make_room(self, wanted: Sequence[str]) -> None:
        """Give up files without a wanted draw, those not used for longest first, until what is missing fits."""
        if self.folder is None:
            return
        kept = self.kept()
        needed = {kept[name][0] for name in wanted if name in kept}
        others = [file for file in self.folder.iterdir() if file not in needed]
        others.sort(key=lambda file: file.stat().st_mtime)
        n_missing = len(set(wanted) - kept.keys())
        while others and not self.has_room_for(n_missing, beside=[*needed, *others]):
            others.pop(0).unlink(missing_ok=True)  # who has it mapped keeps it

    def fill(self, dataset: ArtifactDataset, draws: Sequence[Draw | int], label: str) -> list[Row]:
        """Where the features of these draws are, those that are missing made now.

        Pictures are drawn in worker processes while the backbone runs.
        """
        names = self.names(dataset, draws)
        rows = self._read(names)
        missing = list({name: draw for name, draw in zip(names, draws, strict=True) if name not in rows}.items())
        batches = [missing[first : first + N_DRAWS] for first in range(0, len(missing), N_DRAWS)]
        loader = loader_of(dataset, [[draw for _, draw in batch] for batch in batches], workers=self.config.workers)
        with progress_bar(None, label, total=len(draws), unit="img") as bar:
            bar.update(len(draws) - len(missing))
            for batch, sample in zip(batches, loader, strict=True):
                rows |= self._keep([name for name, _ in batch], self._see(sample))
                bar.update(len(batch))
        return [rows[name] for name in names]

    @torch.inference_mode()
    def _see(self, batch: Sample) -> File:
        images, masks = batch.image.to(self.device), batch.mask.to(self.device)
        if batch.change.numel():
            images, masks = augment_batch(images, masks, batch.change)
        dtype = amp_dtype(self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            seen = self.model.see(self.model.normalized(images).contiguous(memory_format=torch.channels_last))
        largest = torch.finfo(torch.float16).max
        seen = seen.float().clamp(-largest, largest).half()
        changed = {"image": seen.cpu(), "mask": masks.cpu(), "change": torch.empty(len(seen), 0)}
        return {name: tensor.contiguous() for name, tensor in (batch._asdict() | changed).items()}

    def _keep(self, names: Sequence[str], file: File) -> dict[str, Row]:
        """Write a new file, and say where its draws are."""
        if self.folder is not None:
            path = self.folder / f"{hashlib.blake2b(' '.join(names).encode(), digest_size=16).hexdigest()}.safetensors"
            write_bytes(path, save(file, metadata={"draws": " ".join(names)}))
            file = _load(path) or file
        return {name: (file, row) for row, name in enumerate(names)}

    def _read(self, names: Sequence[str]) -> dict[str, Row]:
        """Where those of the draws are that are kept."""
        kept = self.kept()
        places = {name: kept[name] for name in names if name in kept}
        files = {path: _load(path) for path in {path for path, _ in places.values()}}
        return {
            name: (file, row)
            for name, (path, row) in places.items()
            if (file := files[path]) is not None and row < len(file["target"])
        }


def _load(path: Path) -> File | None:
    """A file, mapped into memory; None where it is not there or not whole."""
    try:
        os.utime(path)  # so that it is not the one not used for longest
        return load_file(path)
    except (OSError, SafetensorError):
        return None


def _digest(dataset: ArtifactDataset, index: int) -> str:
    """Of the pixels of a picture and of all that is known of it."""
    portrait = dataset.portraits[index]
    digest = hashlib.blake2b(dataset.squares[portrait.path].numpy().tobytes(), digest_size=16)
    if portrait.mask is not None and portrait.mask.is_file():
        digest.update(portrait.mask.read_bytes())
    digest.update(repr(replace(portrait, path=Path(), mask=None)).encode())
    return digest.hexdigest()
