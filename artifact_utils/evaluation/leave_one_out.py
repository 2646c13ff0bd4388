"""Leave one generator out: what a detector is worth on portraits of a generator that it has never met.

    python -m artifact_utils.evaluation.leave_one_out --data portraits --arch efficientnet_lite2 --synthetic-fraction 1
    python -m artifact_utils.evaluation.leave_one_out --data portraits --false-alarms-of "Midjourney=0.1"

groups.csv names the generator of a portrait before a slash: GENERATOR/PERSON. For each, a model is trained on the
portraits of the others (all options of model_training.py), and scores the clean ones of the one that was left out, the
same with an artifact made on each, and its labelled artifacts. One threshold for all is chosen so that no generator has
more false alarms than --false-alarms. Finished models are kept, so the command can be interrupted.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from artifact_utils.config import ConfigError, TrainConfig, resolve
from artifact_utils.console import read_arguments, run_cli

if TYPE_CHECKING:
    import pandas as pd

    from artifact_utils.labels import Portrait


@dataclass(frozen=True, kw_only=True)
class Arguments(TrainConfig):
    """The config of each model, and what is asked of all."""

    folder: Path = Path("runs/leave-one-out")
    """Where the models and the results go."""
    false_alarms: float = 0.05
    """Share of the clean portraits of any generator that may be flagged at the common threshold."""
    false_alarms_of: tuple[str, ...] = ()
    """GENERATOR=SHARE for those that may have another share."""


def main() -> None:
    arguments = read_arguments(Arguments, __doc__)
    limits = dict(_limit(text) for text in arguments.false_alarms_of)
    config = TrainConfig(**{field.name: getattr(arguments, field.name) for field in fields(TrainConfig)})
    from artifact_utils.files.tables import write_frame
    from artifact_utils.plots import plot_slices

    check_shares(_generators(config, [p for side in _sides(config) for p in side]), arguments.false_alarms, limits)
    predictions = leave_one_out(arguments.folder, config)
    threshold = common_threshold(predictions, arguments.false_alarms, limits)
    table = by_generator(predictions, threshold)
    for name, content in (("left_out", predictions), ("by_generator", table)):
        write_frame(arguments.folder / f"{name}.csv", content)
    plot_slices(table).savefig(arguments.folder / "by_generator.png")
    print(table.drop(columns="slice").round(3).to_string(index=False))
    print(f"\nthreshold {threshold:.3f}; everything is in {arguments.folder}")


def _limit(text: str) -> tuple[str, float]:
    generator, _, share = text.rpartition("=")
    try:
        return generator, float(share)
    except ValueError as error:  # not a number
        raise ConfigError(f"--false-alarms-of {text!r}: expected GENERATOR=SHARE, such as Midjourney=0.1") from error


def leave_one_out(folder: Path, config: TrainConfig) -> "pd.DataFrame":
    """Train once without each generator, and score its portraits.

    Args:
        folder: of the models, ``without GENERATOR-SEED``; finished ones are kept.
        config: of each; ``without_generator``, ``test`` and ``out`` are filled in.

    Returns:
        One row for each portrait of a generator that was left out: ``path``, ``generator``, ``artifacts`` ("made" or
        "natural"; empty for a clean one), ``kind``, ``target``, ``probability``.

    Raises:
        ExperimentError: fewer than two generators, or a finished model of the name was trained with another config.
        DataError: the data set cannot be used.
    """
    import pandas as pd

    from artifact_utils.evaluation.experiments import train_variants

    listed = _sides(config)
    portraits = [portrait for side in listed for portrait in side]
    generators = _generators(config, portraits)
    variants = {
        f"without {name}": replace(config, without_generator=name, test=False, draws=_draws(config, listed[0], name))
        for name in generators
    }
    train_variants(folder, variants, seeds=(config.seed,))
    tables = []
    for name in generators:
        own = [portrait for portrait in portraits if portrait.generator == name]
        tables.append(_score(folder / f"without {name}-{config.seed}", own, config.data).assign(generator=name))
    table = pd.concat(tables, ignore_index=True)
    return table[["path", "generator", "artifacts", "kind", "target", "probability"]]


def _sides(config: TrainConfig) -> "list[list[Portrait]]":
    """The portraits of each part of the data set, the training ones first."""
    from artifact_utils.portraits import list_portraits

    splits = [split for split in ("train", "val", "test") if (config.data / split).is_dir()]
    return [list_portraits(config.data, s, need_artifacts=False, skip_broken=config.skip_broken) for s in splits]


def _generators(config: TrainConfig, portraits: "list[Portrait]") -> list[str]:
    """Those that have clean portraits.

    Raises:
        ExperimentError: fewer than two.
    """
    from artifact_utils.evaluation.experiment_tables import ExperimentError
    from artifact_utils.labels import ARTIFACT

    generators = sorted({p.generator for p in portraits if p.generator and p.label != ARTIFACT})
    if len(generators) < 2:
        raise ExperimentError(
            f"{config.data} names {len(generators)} generators: two are needed, as GENERATOR/PERSON in groups.csv"
        )
    return generators


def _draws(config: TrainConfig, portraits: "list[Portrait]", generator: str) -> int:
    """As many rounds of the training portraits without a generator as of all: what was seen of them is kept."""
    left = sum(portrait.generator != generator for portrait in portraits)
    return resolve(config).draws * left // len(portraits)


def _score(run: Path, portraits: "list[Portrait]", root: Path) -> "pd.DataFrame":
    """The portraits of one generator, and each clean one with a made artifact, by the model that never saw it."""
    import pandas as pd

    from artifact_utils.datasets import unchanged
    from artifact_utils.detector import Detector, checkpoint_file
    from artifact_utils.evaluation.measuring import predict
    from artifact_utils.files.tables import write_frame
    from artifact_utils.labels import ARTIFACT
    from artifact_utils.loaders import evaluation_loader
    from artifact_utils.metrics import scale_logits
    from artifact_utils.portraits import with_made_artifacts

    stored = run / "left_out.csv"
    if stored.exists() and stored.stat().st_mtime_ns > checkpoint_file(run).stat().st_mtime_ns:
        return pd.read_csv(stored, keep_default_na=False)
    detector = Detector.load(run)
    clean = [portrait for portrait in portraits if portrait.label != ARTIFACT]
    natural = [portrait for portrait in portraits if portrait.label == ARTIFACT]
    shown = [*with_made_artifacts(clean), *natural]
    dataset = unchanged(shown, detector.info.image_size)
    logits, targets = predict(detector.model, evaluation_loader(dataset, 32))
    table = pd.DataFrame(
        {
            "path": [portrait.path.relative_to(root).as_posix() for portrait in dataset.portraits],
            "artifacts": [
                "made" if p.made is not None else "natural" if p.label == ARTIFACT else "" for p in dataset.portraits
            ],
            "kind": [portrait.kind for portrait in dataset.portraits],
            "target": targets.numpy(),
            "probability": scale_logits(logits, detector.info.temperature),
        }
    )
    write_frame(stored, table)
    return table


def check_shares(generators: Collection[str], most: float, most_of: Mapping[str, float]) -> dict[str, float]:
    """The share of clean portraits that may be flagged, of each generator.

    Raises:
        ConfigError: a share is out of range, or there is no such generator.
    """
    if unknown := sorted(most_of.keys() - set(generators)):
        raise ConfigError(f"no generator {unknown[0]!r}: there are {', '.join(sorted(generators))}")
    shares = {generator: most_of.get(generator, most) for generator in generators}
    for generator, share in shares.items():
        if not 0 <= share < 1:
            raise ConfigError(f"a share of {share} false alarms for {generator}: choose one from 0 to below 1")
    return shares


def common_threshold(predictions: "pd.DataFrame", most: float, most_of: Mapping[str, float] | None = None) -> float:
    """The lowest threshold at which no generator has more than its share of clean portraits flagged.

    Args:
        predictions: of ``leave_one_out``.
        most: that share, in [0, 1).
        most_of: another share for some generators.

    Returns:
        In (0, 1]: halfway between the last score that may be flagged and the next one down.

    Raises:
        ConfigError: a share is out of range, or there is no such generator.
    """
    from artifact_utils.labels import CLEAN

    clean = predictions[predictions["target"] == CLEAN]
    threshold = 0.0
    for generator, share in check_shares(clean["generator"].unique(), most, most_of or {}).items():
        scores = sorted(clean.loc[clean["generator"] == generator, "probability"], reverse=True)
        n_allowed = int(share * len(scores))
        passed = scores[n_allowed]  # the highest that must not be flagged
        flagged = min((score for score in scores[:n_allowed] if score > passed), default=1.0)
        threshold = max(threshold, (passed + flagged) / 2 if flagged > passed else 1.0)
    return threshold


def by_generator(predictions: "pd.DataFrame", threshold: float) -> "pd.DataFrame":
    """False alarms and found artifacts of each generator that was left out, made and natural ones apart.

    Args:
        predictions: of ``leave_one_out``.
        threshold: of all.

    Returns:
        The table of ``metrics.by_slice``, with the slice ``made artifacts`` or ``natural artifacts``.
    """
    import pandas as pd

    from artifact_utils.metrics import by_slice

    judged = predictions.assign(predicted=(predictions["probability"] >= threshold).astype(int))
    tables = []
    for artifacts in ("made", "natural"):
        rows = judged[judged["artifacts"].isin(["", artifacts])]
        if (rows["artifacts"] == artifacts).any():
            tables.append(by_slice(rows, ["generator"]).assign(slice=f"{artifacts} artifacts"))
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    run_cli(main)
