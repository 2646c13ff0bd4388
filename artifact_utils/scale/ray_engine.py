"""Scoring by Ray Data: the driver starts the stages, takes in what comes out of them and writes it down.

The driver alone writes, so a lost worker, actor or machine can cost work but no row and no doubled one. If the listing
itself is lost, the stages are started again behind what is written.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from artifact_utils.console import ArtifactUtilsError, progress_bar
from artifact_utils.detector import Detector
from artifact_utils.filtering.scoring import load_detector, model_file
from artifact_utils.scale.scale_options import INSTALL, ScaleConfig, ScaleError
from artifact_utils.scale.score_parts import About, Known, PartCounts, ScoreParts
from artifact_utils.scale.shards import Keeper, ListingLostError, Shard, list_shards, open_row
from artifact_utils.scale.stages import Judges, ScoreShards, decode_shard
from artifact_utils.scale.stores import Store, open_store

logger = logging.getLogger(__name__)

WRITE_SECONDS, WRITE_SHARE = 5.0, 0.01
"""A part is written after so long, and after that share of the run: what a kill can cost, and how many parts there
are."""
PART_ROWS = 500_000  # written at the latest
GIVE_UP = 256  # pictures in a row that could not be fetched: the store is away, or the credentials have expired
RESTARTS = 5  # of the stages without anything scored in between
DECODE_CPUS = 0.4  # of a task: it waits for the network half of the time
CORES = 2  # of a process that holds the model
OBJECT_STORE = 2 << 30  # bytes of shards under way on this machine, where no cluster is asked for


@dataclass(frozen=True)
class ScoredParts:
    """Result of a scoring; as text, two lines for people."""

    counts: PartCounts
    new: int
    """Pictures scored in this run."""
    gone: int
    """Rows taken out, of pictures that have changed or are not there any more."""
    seconds: float
    threshold: float
    scores: str

    def __str__(self) -> str:
        speed = f" ({self.new / self.seconds:.0f} img/s)" if self.new else ""
        small = f", {self.counts.too_small} too small" if self.counts.too_small else ""
        gone = f", {self.gone} rows taken out" if self.gone else ""
        return (
            f"{self.counts.n} pictures, {self.new} of them new{speed}: {self.counts.flagged} flagged at "
            f"{self.threshold:.3f} and above, {self.counts.unreadable} unreadable{small}{gone}\n"
            f"{self.scores} has the scores; python -m artifact_utils.filtering.select looks into them"
        )


def score_urls(config: ScaleConfig, *, open_detector: Callable[[], Judges] | None = None) -> ScoredParts:
    """Score every picture below ``config.folder`` that ``config.scores`` has no row of.

    Args:
        config: the command line.
        open_detector: called in every process that scores, instead of loading the model of ``config``.

    Raises:
        ScaleError: Ray is not installed or not there; the pictures cannot be listed, or some of them not fetched; the
            scores belong to something else, or another run is writing them. What is scored is kept.
        CheckpointError, ConfigError: as ``Detector.load``.
    """
    ray, started = _import_ray(), time.time()
    pictures, scores = open_store(config.folder), open_store(config.scores)
    pictures.check()
    detector, sha256 = load_detector(config.model_options)
    info = detector.info
    about = About(
        str(pictures), sha256, detector.threshold, detector.families, tuple(info.families), float(info.sharpness)
    )
    parts = ScoreParts(scores, about)
    del detector
    files = {path.name: path.read_bytes() for path in _model_files(model_file(config.model_options))}
    engine = Engine(ray, config, pictures, parts, (info.image_size, info.aspect), open_detector, files)
    try:
        new, gone = engine.score_missing()
    finally:
        engine.stop()
    return ScoredParts(parts.count(), new, gone, time.time() - started, about.threshold, str(scores))


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: scoring is not what waits here
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ScaleError(f"--engine ray needs Ray, which cannot be imported ({error}): {INSTALL}") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _model_files(model: Path) -> list[Path]:
    """The file of a model, and its weights beside it where OpenVINO keeps them there."""
    weights = model.with_suffix(".bin")
    return [model, weights] if model.suffix == ".xml" and weights.is_file() else [model]


def open_from_bytes(files: dict[str, bytes], options: dict[str, Any]) -> Detector:
    """Load a detector on a machine that does not have its files; the first is the one to load."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return Detector.load(Path(folder) / next(iter(files)), **options)


@dataclass
class Engine:
    """The stages on Ray, and the scores that they bring in."""

    ray: Any
    config: ScaleConfig
    pictures: Store
    parts: ScoreParts
    frame: tuple[int, Any]
    """Side of the squares that the model looks at, and how it sees what is not square."""
    open_detector: Callable[[], Judges] | None
    files: dict[str, bytes]
    """Of the model, by name."""
    own: bool = False
    """Whether this process has started Ray."""
    unfetched: list[str] = field(default_factory=list)

    def score_missing(self) -> tuple[int, int]:
        """Score what has no row, and take out rows of what is gone; returns how many were scored and taken out."""
        new, without_progress = 0, 0
        with progress_bar(None, "score", unit="img") as bar:
            while True:
                known, before = self.parts.known(), new
                try:
                    self.start()
                    for rows in self._written(self._shards(known), known):
                        new += rows
                        bar.update(rows)
                    break
                except self.ray.exceptions.RayError as error:
                    _raise_own(error)
                    without_progress = 0 if new > before else without_progress + 1
                    if without_progress == RESTARTS:
                        raise ScaleError(f"Ray loses its processes over and over ({_text(error)})") from error
                    logger.warning("Ray has lost a process (%s): going on behind what is written", _text(error))
                    self.stop()
        if self.unfetched:
            raise ScaleError(
                f"{len(self.unfetched)} pictures could not be fetched, the first {self.unfetched[0]}: "
                "the same command asks for them again"
            )
        return new, self.parts.forget_unseen(known)

    def _written(self, shards: Iterator[Shard], known: Known) -> Iterator[int]:
        """Write what comes in, now and then; yields how many pictures were scored."""
        waiting, n_waiting, began = list[pa.Table](), 0, time.monotonic()
        written, in_a_row = began, 0
        self.unfetched.clear()

        def write() -> None:
            nonlocal waiting, n_waiting, written
            if waiting:
                self.parts.append(pa.concat_tables(waiting))
            waiting, n_waiting, written = [], 0, time.monotonic()

        try:
            for shard in shards:
                known.seen[shard.known] = True
                self.unfetched.extend(shard.unfetched)
                in_a_row = in_a_row + len(shard.unfetched) if shard.rows is None else 0
                if in_a_row >= GIVE_UP:
                    raise ScaleError(f"pictures cannot be fetched any more: {self.unfetched[-1]}")
                if shard.rows is not None:
                    waiting.append(shard.rows)
                    n_waiting += len(shard.rows)
                    yield len(shard.rows)
                now = time.monotonic()
                if n_waiting >= PART_ROWS or now - written > max(WRITE_SECONDS, WRITE_SHARE * (now - began)):
                    write()
        finally:  # also after Ctrl-C, and when a process was lost
            write()

    def start(self) -> None:
        """Connect to the cluster, or start one on this machine; one that is there already is used."""
        if self.ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.config.address is None:
            options |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE}
        else:
            options |= {"address": self.config.address}
        try:
            self.ray.init(**options)
        except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:  # the last: no address
            raise ScaleError(
                f"no Ray cluster at {self.config.address} ({_text(error)}): ray start --head starts one"
            ) from error
        self.own = True

    def stop(self) -> None:
        """Leave the cluster, and end one that was started here."""
        if self.own:
            self.ray.shutdown()
            self.own = False

    def _shards(self, known: Known) -> Iterator[Shard]:
        """What comes out of the stages, in any order."""
        ray = self.ray
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = 1  # a block is a row, which is a shard
        context.enable_progress_bars = False
        digests, keeper = ray.put(known.digests), ray.remote(num_cpus=0)(Keeper).remote(self.files)
        pictures, (image_size, aspect) = self.pictures, self.frame

        def listing(_: Any) -> Iterator[dict[str, list[bytes]]]:
            if not ray.get(keeper.take_ticket.remote()):
                raise ListingLostError("the process that listed the pictures")
            yield from list_shards(pictures, ray.get(digests))

        resources, n_workers, n_threads = self._workers()
        device = "cuda" if resources.get("num_gpus") else "cpu"
        judging = self.config.model_options
        load = self.open_detector or partial(
            _open_from_keeper,
            keeper,
            {
                "threshold": judging.threshold,
                "device": device,
                "only": judging.only_families,
                "ignore": judging.ignored_families,
            },
        )
        batch_size = self.config.batch_size or (32 if device == "cuda" else 8)
        shards = (
            ray.data.from_items([0])
            .map_batches(listing, batch_size=None, num_cpus=0)
            .map(
                decode_shard,
                fn_kwargs={"store": pictures, "image_size": image_size, "aspect": aspect},
                num_cpus=DECODE_CPUS,
            )
            .map(
                ScoreShards,
                fn_constructor_args=(load, self.parts.about, batch_size, n_threads),
                compute=ray.data.ActorPoolStrategy(size=n_workers),
                **resources,
            )
        )
        for batch in shards.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            for content in batch["shard"].to_pylist():
                yield open_row({"shard": content})

    def _workers(self) -> tuple[dict[str, float], int, int]:
        """What a process with the model takes of the cluster, how many there are, and the threads of each."""
        there = self.ray.cluster_resources()
        cores, gpus = there.get("CPU", 1.0), int(there.get("GPU", 0))
        if self.config.device == "cuda" and not gpus:
            raise ScaleError("--device cuda: the cluster has no GPU, leave --device out")
        if gpus and self.config.device != "cpu":
            n_workers = self.config.workers or gpus
            return {"num_gpus": gpus / max(n_workers, gpus), "num_cpus": 1}, n_workers, 1
        n_workers = self.config.workers or max(1, int(cores) // CORES)
        share = max(0.1, min(1.0, (cores - DECODE_CPUS) / n_workers))  # at least one task that decodes has room
        return {"num_cpus": round(share, 2)}, n_workers, max(1, min(CORES, int(cores) // n_workers))


def _open_from_keeper(keeper: Any, options: dict[str, Any]) -> Detector:
    import ray

    return open_from_bytes(ray.get(keeper.model.remote()), options)


def _raise_own(error: BaseException) -> None:
    """Raise what a stage has raised on purpose, and what is a bug; return where a process was lost."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ListingLostError):
            return
        if isinstance(cause, ArtifactUtilsError):
            raise cause from error
        cause = getattr(cause, "cause", None) or cause.__cause__
    if type(error).__name__.startswith("RayTaskError"):
        raise error


def _text(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:200]
