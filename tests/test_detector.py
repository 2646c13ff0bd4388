import numpy as np
import pytest
from conftest import draw_portrait
from PIL import Image

from artifact_utils.config import ConfigError
from artifact_utils.detector import Detector
from artifact_utils.images import ImageError
from artifact_utils.models import CheckpointError


@pytest.fixture
def portrait(tmp_path):
    draw_portrait(tmp_path / "portrait.png", seed=1, artifact=False)
    return tmp_path / "portrait.png"


def test_a_path_an_image_and_an_array_get_the_same_answer(run, portrait):
    detector = Detector.load(run, device="cpu")
    image = Image.open(portrait)
    answers = [detector.predict(source) for source in (portrait, str(portrait), image, np.array(image))]
    assert len(set(answers)) == 1
    assert 0.0 <= answers[0].probability <= 1.0
    assert answers[0].flagged == (answers[0].probability >= 0.5)


def test_files_are_answered_in_order_and_like_single_ones(run, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(7)]
    for i, path in enumerate(paths):
        draw_portrait(path, seed=i, artifact=i % 2 == 0)
    paths[3].write_bytes(b"not a picture")
    detector = Detector.load(run / "best.safetensors", device="cpu")
    answers = list(detector.predict_files(paths, batch_size=3))
    assert [path for path, _ in answers] == paths
    assert isinstance(answers[3][1], ImageError)
    for path, answer in answers[:3] + answers[4:]:
        assert answer.probability == pytest.approx(detector.predict(path).probability, abs=1e-5)


def test_no_files(run):
    assert list(Detector.load(run).predict_files([])) == []


def test_the_threshold_can_be_chosen(run, portrait):
    assert Detector.load(run, threshold=0.0, device="cpu").predict(portrait).flagged
    assert not Detector.load(run, threshold=1.0, device="cpu").predict(portrait).flagged
    with pytest.raises(ConfigError, match=r"threshold 1.5 is out of range"):
        Detector.load(run, threshold=1.5)


def test_what_cannot_be_loaded_or_read(run, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        Detector.load(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        Detector.load(run).predict(tmp_path / "missing.png")
