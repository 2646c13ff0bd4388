"""Which pictures an epoch shows, in which order: the classes balanced, the same for the same seed."""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from torch.utils.data import Sampler

from artifact_utils.datasets import Draw
from artifact_utils.labels import ARTIFACT


class EpochSampler(Sampler[Draw]):
    """The draws of one epoch, a pure function of the seed and the epoch.

    Args:
        targets: (N,) class numbers.
        artifact_fraction: share of artifacts among the draws; the rare class is repeated, each time with another
            augmentation, and the common one drawn without repetition. None: every picture once.
        synthetic_fraction: share of those artifacts that is not repeated but made on the spot, on clean pictures.
        paired: each made artifact comes right after the clean picture that it was made of.
        seed: of the order, the augmentations and the artifacts that are made.
        batch_size: of all processes together; the draws come to a multiple of it, and the rest of the epoch is left
            out, since batch norm cannot learn from a last batch of one.
        rank, world_size: which process this is and how many there are: all draw the same epoch, and each takes its
            stretch of every batch.
        names: of the pictures. With them most draws of a picture stay the same when others are added or left out.
    """

    def __init__(
        self,
        targets: np.ndarray,
        *,
        artifact_fraction: float | None,
        synthetic_fraction: float,
        paired: bool,
        seed: int,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
        names: Sequence[str] = (),
    ) -> None:
        if artifact_fraction is not None and not 0.0 < artifact_fraction < 1.0:
            raise ValueError(f"artifact fraction {artifact_fraction} is out of range: choose one in (0, 1), or None")
        if not 0.0 <= synthetic_fraction <= 1.0:
            raise ValueError(f"synthetic fraction {synthetic_fraction} is out of range: choose one in [0, 1]")
        if artifact_fraction is not None and synthetic_fraction < 1.0 and len(np.unique(targets)) < 2:
            raise ValueError("cannot balance one class: the targets hold only the other")
        self.targets, self.seed, self.epoch = np.asarray(targets), seed, 0
        self.artifact_fraction, self.synthetic_fraction = artifact_fraction, synthetic_fraction
        self.paired, self.batch_size, self.rank, self.world_size = paired, batch_size, rank, world_size
        self.numbers = np.array([zlib.crc32(name.encode()) for name in names])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.targets) // self.batch_size * self.batch_size // self.world_size

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        draws = self._choose(rng)
        seeds = self._seeds(draws, rng)
        own = self.batch_size // self.world_size
        for first in range(0, len(draws) - self.batch_size + 1, self.batch_size):
            for place in range(first + self.rank * own, first + (self.rank + 1) * own):
                index, injected = draws[place]
                yield Draw(int(index), int(seeds[place]), bool(injected))

    def _choose(self, rng: np.random.Generator) -> np.ndarray:
        """The pictures of the epoch in order, and which of them are given an artifact: (N, 2)."""
        n = len(self.targets)
        if self.artifact_fraction is None:
            return np.column_stack([rng.permutation(n), np.zeros(n, dtype=int)])
        n_artifacts = round(n * self.artifact_fraction)
        n_made = round(n_artifacts * self.synthetic_fraction)
        artifacts, clean = np.flatnonzero(self.targets == ARTIFACT), np.flatnonzero(self.targets != ARTIFACT)
        blocks = [[(index, False)] for index in self._cycle(artifacts, n_artifacts - n_made, rng)]
        if self.paired:
            bases = self._cycle(clean, max(n - n_artifacts, n_made), rng)
            blocks += [[(index, False), (index, True)] for index in bases[:n_made]]
            blocks += [[(index, False)] for index in bases[n_made:]]
        else:
            blocks += [[(index, False)] for index in self._cycle(clean, n - n_artifacts, rng)]
            blocks += [[(index, True)] for index in self._cycle(clean, n_made, rng)]
        return np.array([draw for place in rng.permutation(len(blocks)) for draw in blocks[place]])[:n]

    def _cycle(self, indices: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n of them in shuffled rounds, so that none is drawn twice more often than another."""
        if n == 0:
            return indices[:0]
        if len(self.numbers):  # shuffled, but whatever other pictures there are
            order = np.array(
                [np.random.default_rng([self.seed, self.epoch, i]).random() for i in self.numbers[indices]]
            )
            return np.tile(indices[np.argsort(order, kind="stable")], -(-n // len(indices)))[:n]
        return np.concatenate([rng.permutation(indices) for _ in range(-(-n // len(indices)))])[:n]

    def _seeds(self, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One for each draw: (N,)."""
        if not len(self.numbers):
            return rng.integers(2**63, size=len(draws))
        seeds, times = [], Counter[tuple[int, int]]()
        for index, injected in draws.tolist():
            key = self.seed, self.epoch, int(self.numbers[index]), injected, times[index, injected]
            seeds.append(np.random.default_rng(key).integers(2**63))
            times[index, injected] += 1
        return np.array(seeds)


class KeptSampler(Sampler[int]):
    """The places of draws that are kept, in another order each epoch: a pure function of the seed and the epoch.

    Args:
        draws: in the order they are kept; a made artifact that comes right after the clean picture that it was made of
            still does.
        seed: of the order.
        batch_size: the rest of the epoch that makes no whole batch is left out.
    """

    def __init__(self, draws: Sequence[Draw], *, seed: int, batch_size: int) -> None:
        follows = [later.inject and later.index == draw.index for draw, later in pairwise(draws)]
        starts = np.flatnonzero([True, *(not pair for pair in follows)])
        self.blocks = np.split(np.arange(len(draws)), starts[1:])
        self.n_draws, self.seed, self.batch_size, self.epoch = len(draws), seed, batch_size, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_draws // self.batch_size * self.batch_size

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.blocks))
        places = [int(place) for block in order for place in self.blocks[block]]
        yield from places[: len(self)]
