"""The audit and training, killed: the pictures stay, and the next run ends with the same tables and weights."""

import json
import random
import shutil
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import torch
from helpers import assert_same_state, draw_dataset, draw_portrait, files_below, weights_of

from artifact_utils import training
from artifact_utils.audit.command import AuditConfig, run_audit
from artifact_utils.config import TrainConfig
from faults.killing import Ended, Moment, import_what_it_needs, moment_at, run_child


class Audit:
    """Portraits without labels, one twice and one broken; rows are saved every three pictures."""

    name = "audit"

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        stack.enter_context(patch("artifact_utils.audit.scanning.PART_ROWS", 3))
        stack.enter_context(patch("os.fsync"))  # a kill is no power cut
        self.folder, self.pictures = folder, folder / "pictures"
        for i in range(24):
            draw_portrait(self.pictures / "train" / f"{i:02d}.png", seed=i, artifact=i % 2 == 0)
        shutil.copy(self.pictures / "train/00.png", self.pictures / "train/twin.png")
        (self.pictures / "train/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        self.before = files_below(self.pictures)
        self.out = folder / "audit"
        import_what_it_needs(self.run, folder)
        self.audited = files_below(self.out)

    def start(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def run(self) -> None:
        run_audit(AuditConfig(self.pictures, self.out, labels=False))

    def check(self) -> None:
        assert files_below(self.pictures) == self.before, "the audit has changed a picture"
        for name, content in files_below(self.out).items():
            assert name not in self.audited or content == self.audited[name], f"half of {name}"

    def finish(self, rng: random.Random) -> int:
        kills = 0
        if rng.random() < 0.3:
            kills += run_child(self.run, self.folder, Moment(seconds=rng.uniform(0.0, 0.3))).killed
            self.check()
        run_child(self.run, self.folder)
        assert files_below(self.out) == self.audited, "run again, it does not end as one without kills"
        return kills


class Training:
    """A network of milliseconds, trained for some epochs; whatever happens, it ends with the same bits."""

    name = "training"

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        stack.enter_context(patch("os.fsync"))  # a kill is no power cut
        for name in ("plot_learning_curves", "plot_confusion_matrix", "plot_summary", "plot_duplicates"):
            stack.enter_context(patch(f"artifact_utils.evaluation.run_results.{name}"))  # half of the time
        torch.set_num_threads(1)  # a forked process has no other threads to wait for
        self.folder = folder
        self.data = draw_dataset(folder / "dataset", n_train=12, n_test=4, n_people=3)
        self.straight, self.killed = folder / "straight", folder / "killed"
        import_what_it_needs(lambda: self.train(self.straight), folder)
        self.whole = run_child(lambda: self.train(self.killed), folder)
        self.compare()

    def train(self, run: Path) -> None:
        if (run / "config.json").exists():
            training.train(TrainConfig(out=run, resume=True, device="cpu", workers=0))
            return
        training.train(
            TrainConfig(
                data=self.data, out=run, arch="test_resnet", weights="none", image_size=32, epochs=3, batch_size=4,
                device="cpu", workers=0, ema=0.9, layer_decay=0.8,
            )
        )  # fmt: skip

    def start(self) -> None:
        shutil.rmtree(self.killed, ignore_errors=True)

    def run(self) -> None:
        self.train(self.killed)

    def check(self) -> None:
        """Whatever is there under its own name can be read; what is missing is trained again."""

    def finish(self, rng: random.Random) -> int:
        kills = 0
        while rng.random() < 0.4:
            kills += self.resume(moment_at(rng.random(), self.whole, rng)).killed
        self.resume(Moment())
        self.compare()
        return kills

    def resume(self, moment: Moment) -> Ended:
        ended = run_child(self.run, self.folder, moment)
        assert "cannot be read" not in ended.output, "half a state was left"
        return ended

    def compare(self) -> None:
        assert_same_state(weights_of(self.straight), weights_of(self.killed))
        assert_same_state(*(torch.load(run / "last.pt", weights_only=True) for run in (self.straight, self.killed)))
        for name in ("validation.csv", "predictions.csv"):
            assert (self.killed / name).read_bytes() == (self.straight / name).read_bytes(), name
        metrics = [json.loads((run / "metrics.json").read_text()) for run in (self.straight, self.killed)]
        assert metrics[0] | {"train_seconds": 0} == metrics[1] | {"train_seconds": 0}
