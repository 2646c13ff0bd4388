"""What a lesson would change, measured before anything is used, and the run folder that it becomes."""

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from artifact_utils.checkpoints import ModelInfo, load_checkpoint, save_checkpoint
from artifact_utils.evaluation.measuring import PREDICTION_COLUMNS
from artifact_utils.files.tables import read_csv, write_csv
from artifact_utils.files.writing import FileError, write_json
from artifact_utils.filtering.lessons import Labels, Lesson, cross_validate, scores, untaught
from artifact_utils.filtering.options import FilterError
from artifact_utils.labels import ARTIFACT
from artifact_utils.metrics import compare_models, evaluate
from artifact_utils.metrics.bootstrap import share_interval
from artifact_utils.models import ArtifactClassifier

RUN_FILES = ("config.json", "turned.csv", "best.safetensors", "metrics.json")
"""What ``write_run`` writes, in that order; the presence of the last says that the run is complete."""
TURNED_COLUMNS = ("path", "label", "before", "after", "flagged", "is_right")


@dataclass(frozen=True)
class Turned:
    """A picture whose verdict would turn."""

    path: str
    """Below the folder."""
    label: int
    """What the person says: 1 artifact, 0 none."""
    before: float
    """Probability of the model as it is."""
    after: float
    """Probability that the others' labels teach it."""
    flagged: bool
    """Whether it would be flagged now."""

    @property
    def is_right(self) -> bool:
        """Whether the new verdict is the person's."""
        return self.flagged == (self.label == ARTIFACT)


@dataclass(frozen=True)
class Learned:
    """What was learned and what it would change; as text, a report for people.

    Each picture is judged by what all others but those of its group have taught, so that the figures are those of
    pictures that were not learned from.
    """

    run: Path
    """The run folder: ``filter_images.py --run`` and ``Detector.load`` take it."""
    before: dict[str, Any]
    """``metrics.evaluate`` of the model as it is, at its threshold."""
    after: dict[str, Any]
    """The same of what was learned, at thresholds that were chosen without the picture."""
    differences: dict[str, Any]
    """``differences`` of ``metrics.compare_models``: value and interval of each metric, after minus before."""
    turned: list[Turned]
    """Pictures whose verdict turns, the surest first."""
    threshold: float

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """``found`` artifacts, ``false_alarms``: before and after."""
        (_, alarms), (_, found) = self.before["confusion_matrix"]
        (_, alarms_after), (_, found_after) = self.after["confusion_matrix"]
        return {"found": (found, found_after), "false_alarms": (alarms, alarms_after)}

    @property
    def count_intervals(self) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
        """95% Wilson intervals of the shares that ``counts`` are: before and after."""
        n_artifacts = self.before["n_artifacts"]
        of = {"found": n_artifacts, "false_alarms": self.before["n"] - n_artifacts}
        return {name: tuple(share_interval(k, of[name]) for k in counts) for name, counts in self.counts.items()}  # type: ignore[misc]

    @property
    def verdict(self) -> str:
        """``better``: the interval of the change in AUC or in macro-F1 is above 0 and neither falls; ``perhaps``: both
        rise, by no more than chance may do; else ``no better``."""
        changes = [self.differences[name] for name in ("roc_auc", "macro_f1")]
        if any(change["value"] is None or change["value"] < 0 for change in changes):
            return "no better"
        if any(change["interval"] is not None and change["interval"][0] > 0 for change in changes):
            return "better"
        return "perhaps" if any(change["value"] > 0 for change in changes) else "no better"

    @property
    def conclusion(self) -> str:
        """``verdict`` as a sentence."""
        return {
            "better": "It is better on pictures that it did not learn from.",
            "perhaps": "It seems better, but on so few pictures that may be chance: label more, or look at what turns.",
            "no better": "It is NO BETTER: keep the model that you have, or label more pictures and learn again.",
        }[self.verdict]

    def __str__(self) -> str:
        n, n_artifacts = self.before["n"], self.before["n_artifacts"]
        found, alarms = self.counts["found"], self.counts["false_alarms"]
        right = sum(turned.is_right for turned in self.turned)
        return "\n".join(
            [
                f"{n} pictures, {n_artifacts} with an artifact, each judged by what the others have taught:",
                f"  {'':<18}{'as it is':<24}{'taught':<24}change",
                _row("AUC", self.before["roc_auc"], self.after["roc_auc"], "roc_auc", self),
                _row("macro-F1", self.before["macro_f1"], self.after["macro_f1"], "macro_f1", self),
                f"  {'artifacts found':<18}{f'{found[0]} of {n_artifacts}':<24}{f'{found[1]} of {n_artifacts}':<24}"
                f"{found[1] - found[0]:+d}",
                f"  {'false alarms':<18}{f'{alarms[0]} of {n - n_artifacts}':<24}"
                f"{f'{alarms[1]} of {n - n_artifacts}':<24}{alarms[1] - alarms[0]:+d}",
                f"[95% bootstrap interval] {len(self.turned)} verdicts turn, {right} of them to the right: "
                f"{self.run / 'turned.csv'}",
                self.conclusion,
                f"Nothing uses it yet. To use it: python filter_images.py FOLDER --rescore --run {self.run}",
            ]
        )


def _row(title: str, before: float, after: float, name: str, learned: Learned) -> str:
    cells = []
    for value, metrics in ((before, learned.before), (after, learned.after)):
        interval = metrics["intervals"].get(name)
        cells.append(f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""))
    change = learned.differences[name]
    text = f"{change['value']:+.3f}" + ("[{:+.3f}, {:+.3f}]".format(*change["interval"]) if change["interval"] else "")
    return f"  {title:<18}{cells[0]:<24}{cells[1]:<24}{text.replace('[', ' [', 1)}"


def measure_lesson(
    run: Path, info: ModelInfo, labels: Labels, lesson: Lesson, names: list[str], seed: int,
    on_lesson: Callable[[], object] | None = None,
) -> Learned:  # fmt: skip
    """Measure by cross-validation what a lesson would change.

    Args:
        run: where it will lie.
        info: of the model as it is.
        labels: that the lesson was learned from.
        lesson: from all of them.
        names: of the pictures.
        seed: of folds and resampling.
        on_lesson: of ``cross_validate``.
    """
    plain = untaught(labels.views, info.temperature, info.threshold)
    before = torch.sigmoid(scores(labels.views, plain).double()).numpy()
    logits, verdicts = cross_validate(labels, info.temperature, seed=seed, on_lesson=on_lesson)
    after = torch.sigmoid(logits.double()).numpy()
    was = (before >= info.threshold).astype(int)
    targets, groups = labels.targets, labels.groups.astype(str)
    tables = [_table(names, targets, groups, p, answers) for p, answers in ((before, was), (after, verdicts))]
    turned = [
        Turned(names[i], int(targets[i]), float(before[i]), float(after[i]), bool(verdicts[i]))
        for i in sorted(np.flatnonzero(was != verdicts), key=lambda i: -abs(after[i] - before[i]))
    ]
    return Learned(
        run,
        _metrics(before, targets, was, groups, info.threshold, seed),
        _metrics(after, targets, verdicts, groups, lesson.threshold, seed),
        compare_models(*tables, seed=seed)["differences"],
        turned,
        lesson.threshold,
    )


def _metrics(
    probabilities: npt.NDArray[Any], targets: npt.NDArray[Any], answers: npt.NDArray[Any], groups: Any,
    threshold: float, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """``metrics.evaluate`` with the verdicts that were given, which need not come from one threshold."""
    metrics = evaluate(probabilities, targets, threshold, groups=groups, seed=seed)
    by_answer = evaluate(answers.astype(float), targets, 0.5, groups=groups, seed=seed)
    for name in ("accuracy", "macro_f1", "classes", "confusion_matrix"):
        metrics[name] = by_answer[name]
        if name in by_answer["intervals"]:
            metrics["intervals"][name] = by_answer["intervals"][name]
    return metrics


def _table(names: list[str], targets: Any, groups: Any, probabilities: Any, answers: Any) -> pd.DataFrame:
    columns = {"path": names, "group": groups, "kind": "", "strength": "", "target": targets}
    return pd.DataFrame(columns | {"probability": probabilities, "predicted": answers})[list(PREDICTION_COLUMNS)]


def taught_model(file: Path, lesson: Lesson, counted: list[int]) -> tuple[ArtifactClassifier, ModelInfo]:
    """A model with what it was taught, and what its checkpoint is to say.

    Args:
        file: checkpoint that the lesson was learned on.
        lesson: for the families ``counted`` of it, in that order.
    """
    before, info = load_checkpoint(file)
    model = ArtifactClassifier(
        info.arch,
        info.image_size,
        also_at=info.also_at,
        locates=True,
        families=info.families,
        pooled=info.pooled,
        taught=True,
    )
    model.backbone = before.backbone  # with where it comes from: weights of this package are not stored again
    own = model.state_dict()
    model.load_state_dict({name: before.state_dict().get(name, own[name]) for name in own})
    assert model.locator is not None and model.taught is not None
    with torch.no_grad():
        gain, bias = model.locator.gain.view(-1), model.locator.bias.view(-1)
        gain[counted] = gain[counted] * lesson.gains
        bias[counted] = bias[counted] * lesson.gains + lesson.families
        model.taught.weight.add_(lesson.weights)
        model.taught.bias.add_(lesson.constant)
    temperature = min(max(lesson.temperature, 1e-3), 1e3)
    return model.eval(), replace(
        info, taught=True, temperature=temperature, threshold=lesson.threshold, calibrated=True, metrics={}
    )


def write_run(learned: Learned, model: ArtifactClassifier, info: ModelInfo, said: dict[str, Any]) -> None:
    """Write the run folder with its ``RUN_FILES``.

    Args:
        learned: whose ``run`` is written; there must be no such folder.
        model, info: of ``taught_model``.
        said: what it was learned from, for ``config.json``.
    """
    run = learned.run
    run.mkdir(parents=True)
    write_json(run / "config.json", said | {"arch": info.arch, "eval_size": info.image_size})
    write_csv(run / "turned.csv", TURNED_COLUMNS, [(*astuple(t), t.is_right) for t in learned.turned])
    save_checkpoint(run / "best.safetensors", model, replace(info, metrics={"validation": learned.after}))
    metrics = {
        "arch": info.arch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_epoch": 0,
        "threshold": info.threshold,
        "temperature": info.temperature,
        "validation": learned.after,
        "before": learned.before,
        "differences": learned.differences,
        "verdict": learned.verdict,
    }
    write_json(run / "metrics.json", metrics)


def read_learned(run: Path) -> Learned:
    """What ``write_run`` has written to a run folder.

    Raises:
        FilterError: that was cut off, or is damaged.
    """
    try:
        metrics = json.loads((run / "metrics.json").read_text())
        turned = [
            Turned(row["path"], int(row["label"]), float(row["before"]), float(row["after"]), row["flagged"] == "True")
            for row in read_csv(run / "turned.csv", TURNED_COLUMNS)
        ]
        learned = Learned(
            run, metrics["before"], metrics["validation"], metrics["differences"], turned, float(metrics["threshold"])
        )
        str(learned)  # whatever is shown of it is there
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FileError) as error:  # a stranger's JSON
        raise FilterError(f"{run} does not say what was learned ({error}): learn again") from error
    return learned
