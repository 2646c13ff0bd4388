"""A small labelled data set that the tests draw themselves: plain faces, some with a torn block across them."""

import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch
from helpers import draw_dataset

from artifact_utils.audit.picture_statistics import printable
from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.config import TrainConfig
from artifact_utils.models import build_model


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """File names that are not UTF-8 may be in what a test printed; xdist ends at them."""
    report = yield
    report.sections = [(title, printable(text)) for title, text in report.sections]
    if report.failed and (text := report.longreprtext) != printable(text):
        report.longrepr = printable(text)
    return report


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """``run_cli`` means to end its process, and leaves the handlers of both signals as it needs them until then."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("data") / "dataset")


def make_run(folder: Path) -> Path:
    """Store an untrained model in a run folder."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model("efficientnet_lite0", image_size=64)
    save_checkpoint(folder / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.5))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an untrained model: its answers are arbitrary, but the same every time."""
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def own_copy(dataset_folder: Path, tmp_path: Path) -> Path:
    """A data set that a test may change."""
    return shutil.copytree(dataset_folder, tmp_path / "dataset")


@pytest.fixture
def config(dataset_folder: Path, tmp_path: Path) -> TrainConfig:
    """A run of seconds: small pictures, random weights, no worker processes."""
    return TrainConfig(
        data=dataset_folder, out=tmp_path / "run", arch="efficientnet_lite0", weights="none", image_size=32,
        epochs=3, batch_size=8, device="cpu", workers=0, augment="light",
    )  # fmt: skip
