"""Learning from the labels of a scored folder what a person calls a fault, and fitting a model to one's own generator.

Every picture is seen once, what the model makes of it is kept in memory, and all lessons are learned from that, see
``lessons``. The result is a run folder like any other; nothing uses it until somebody names it.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from artifact_utils.audit.duplicates import near_duplicate_groups
from artifact_utils.detector import Detector
from artifact_utils.device import one_thread
from artifact_utils.filtering.judging import Judge
from artifact_utils.filtering.labelled import Labelled, groups_of, labelled_pictures, path_below
from artifact_utils.filtering.lesson_report import Learned, measure_lesson, taught_model, write_run
from artifact_utils.filtering.lesson_views import OnProgress, Seer
from artifact_utils.filtering.lessons import FOLDS, REPEATS, Labels, joined, teach
from artifact_utils.filtering.listing import list_pictures
from artifact_utils.filtering.moving import settle_moves
from artifact_utils.filtering.options import FilterConfig, FilterError, Outputs
from artifact_utils.filtering.renamed_folder import follow_rename
from artifact_utils.filtering.scoring import load_detector, model_file, with_run_in_use
from artifact_utils.filtering.state import State, open_state
from artifact_utils.labels import ARTIFACT, CLEAN
from artifact_utils.runs import free_folder

logger = logging.getLogger(__name__)

MIN_LABELS, MIN_OF_A_CLASS = 30, 5
MOST_LABELS = 300
"""Pictures that are learned from, the latest; more take more than a minute."""
N_BESIDE = 50
"""Clean portraits that are learned beside the labels, each once more with a made artifact."""
N_FITTED = 150
"""Clean portraits that a model is fitted to a generator with."""
MADE = " with a made artifact"
"""What is put behind the name of such a picture."""
FALSE_ALARMS = 0.05
"""Share of the clean portraits of the generator that may be flagged after that."""


@dataclass(frozen=True)
class Material:
    """What there is to learn from in a folder; ``gather`` reads it from a state."""

    labelled: list[Labelled]
    clean: list[Path]
    """Pictures that nobody labelled and the model passes."""
    folder: Path


def gather(state: State, config: FilterConfig) -> Material:
    """What people have labelled in a state that is open, and the pictures that pass."""
    labelled = labelled_pictures(state)
    judge, known = Judge.of(config, state), {picture.file for picture in labelled}
    clean = []
    for score in state.scores() if judge is not None else ():
        file = state.folder / path_below(score.path)
        if score.probability is not None and file not in known and judge is not None and not judge(score).flagged:
            clean.append(file)
    return Material(labelled, clean, state.folder)


def learn(
    config: FilterConfig, material: Material | None = None, *, on_progress: OnProgress | None = None, seed: int = 0
) -> Learned:
    """Learn from the labels of ``config.folder`` what this person calls a fault.

    Takes less than a minute on two cores. Learned is by how much to stretch and move the families of ``--only`` and
    ``--ignore``, and what of the picture as a whole speaks for a fault; made artifacts on clean portraits of the folder
    are learned beside, so that nothing is forgotten.

    Args:
        config: of the folder; ``run`` is the model to start from, ``learned`` the new run folder (by default
            ``FOLDER.learned`` beside the table of scores).
        material: of ``gather``, where the state is open already; by default it is read here.
        on_progress: called after every picture, and after every lesson of the cross-validation. What it raises ends
            the lesson, with nothing written.
        seed: of the made artifacts and the folds.

    Returns:
        The new run, and what cross-validation on the labelled pictures says would change, see ``Learned``.

    Raises:
        FilterError: fewer than 30 labels, or than 5 of either class; or the model has no locator.
        CheckpointError, ConfigError: as ``Detector.load``.
    """
    if material is None:
        config, material = with_run_in_use(config), _material(config)
    labelled = material.labelled[-MOST_LABELS:]
    counts = np.bincount([picture.label for picture in labelled], minlength=2)
    if counts.sum() < MIN_LABELS or counts.min() < MIN_OF_A_CLASS:
        raise FilterError(
            f"{counts.sum()} pictures of {material.folder} are labelled, {counts[ARTIFACT]} with an artifact: learning "
            f"needs {MIN_LABELS}, at least {MIN_OF_A_CLASS} of each class"
        )
    detector, sha256 = load_detector(config)
    rng = np.random.default_rng(seed)
    beside = [material.clean[i] for i in rng.permutation(len(material.clean))[:N_BESIDE]]
    beside += [p.file for p in labelled if p.label == CLEAN][: max(N_BESIDE - len(beside), 0)]
    steps = Steps(len(labelled) + 2 * len(beside), on_progress)
    with Seer(detector, steps.n_pictures, steps.one_more) as seer:
        seen, views = seer.see(picture.file for picture in labelled)
        _, clean, made = seer.see_with_made(beside, rng)
    labelled = [labelled[i] for i in seen]
    targets = np.array([picture.label for picture in labelled])
    groups, _ = pd.factorize(np.array(groups_of(material.folder, labelled)))
    labels = Labels(views, targets, groups, joined(clean, made), _halves(len(clean)))
    names = [os.fsdecode(picture.correction.path) for picture in labelled]
    return _write(config, detector, sha256, labels, names, seed, steps)


def fit_generator(
    config: FilterConfig, material: Material | None = None, *, on_progress: OnProgress | None = None, seed: int = 0
) -> Learned:
    """Fit a model to one generator, from clean portraits of it alone and artifacts that are made on them.

    The portraits are those that are labelled clean; where nothing is labelled, all pictures below ``config.folder``
    are taken for clean. Afterwards at most ``FALSE_ALARMS`` of such portraits are flagged.

    Args, returns and errors are those of ``learn``; what the report calls artifacts are the made ones.
    """
    if material is None:
        material = _material(config) if Outputs.of(config).state.exists() else Material([], [], config.folder)
        config = with_run_in_use(config)
    files = [picture.file for picture in material.labelled if picture.label == CLEAN]
    if not material.labelled:
        below = list_pictures(material.folder, config.move_flagged)
        files = [material.folder / os.fsdecode(path) for path, _ in below]
    detector, sha256 = load_detector(config)
    rng = np.random.default_rng(seed)
    files = [files[i] for i in rng.permutation(len(files))[:N_FITTED]]
    steps = Steps(2 * len(files), on_progress)
    with Seer(detector, steps.n_pictures, steps.one_more) as seer:
        seen, clean, made = seer.see_with_made(files, rng)
    if len(seen) < MIN_LABELS:
        raise FilterError(f"{len(seen)} clean portraits in {material.folder}: fitting needs {MIN_LABELS}")
    files = [files[i] for i in seen]
    groups = np.tile(near_duplicate_groups(files).to_numpy(), 2)
    nothing, rule = np.zeros(0, dtype=np.int64), f"false_alarms={FALSE_ALARMS}"
    labels = Labels(joined(clean, made), _halves(len(clean)), groups, clean[:0], nothing, rule)
    names = [os.path.relpath(file, material.folder) for file in files]
    return _write(config, detector, sha256, labels, [*names, *(n + MADE for n in names)], seed, steps)


def _halves(n: int) -> npt.NDArray[np.int64]:
    """The classes of n clean pictures and of the same with an artifact."""
    return np.repeat([CLEAN, ARTIFACT], n)


def _material(config: FilterConfig) -> Material:
    follow_rename(config)
    if not Outputs.of(config).state.exists():
        raise FilterError(f"{config.folder} was not scored yet, so nothing is labelled in it")
    with open_state(config) as state:
        settle_moves(state)
        return gather(state, config)


class Steps:
    """How far a lesson is: its pictures first, then the lessons of the cross-validation.

    Args:
        n_pictures: that are going to be seen.
        on_progress: told the number of steps done and of all.
    """

    def __init__(self, n_pictures: int, on_progress: OnProgress | None) -> None:
        self.n_pictures, self.on_progress, self.done = n_pictures, on_progress, 0

    def one_more(self, *_: int) -> None:
        """One more picture was seen, or lesson learned."""
        self.done += 1
        if self.on_progress is not None:
            self.on_progress(self.done, self.n_pictures + FOLDS * REPEATS)


def _write(
    config: FilterConfig, detector: Detector, sha256: str, labels: Labels, names: list[str], seed: int, steps: Steps
) -> Learned:
    """Learn, measure and write the run."""
    beside = Outputs.of(config).beside("learned")
    run = config.learned or free_folder(beside.parent, beside.name)
    if run.exists():
        raise FilterError(f"--learned {run} is there already: name a new folder")
    with one_thread():
        lesson = teach(labels, detector.info.temperature, seed=seed)
        learned = measure_lesson(run, detector.info, labels, lesson, names, seed, steps.one_more)
    counted = [detector.info.families.index(name) for name in detector.families] or [0]
    file = model_file(config)
    model, info = taught_model(file, lesson, counted)
    said = {
        "learned_from": config.folder,
        "model": file.absolute(),
        "model_sha256": sha256,
        "pictures": len(labels.targets),
        "artifacts": int(labels.targets.sum()),
        "families": detector.families,
        "threshold_for": labels.rule,
        "seed": seed,
    }
    write_run(learned, model, info, said)
    return learned
