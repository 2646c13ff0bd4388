from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import draw_portrait
from PIL import Image
from sklearn.metrics import roc_auc_score

from artifact_utils import detector as module
from artifact_utils.checkpoints import CheckpointError, ModelInfo, save_checkpoint
from artifact_utils.config import ConfigError
from artifact_utils.console import run_cli
from artifact_utils.detector import Detector
from artifact_utils.files import model_files
from artifact_utils.images import ImageError
from artifact_utils.labels import parse_label
from artifact_utils.metrics.calibration import scale_threshold
from artifact_utils.models import build_model
from artifact_utils.pretrained.__main__ import main

ROOT = Path(__file__).parent.parent


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


def test_a_temperature_changes_how_sure_it_is_and_no_answer(run, tmp_path):
    plain = Detector.load(run, device="cpu")
    info = replace(plain.info, temperature=0.4, threshold=scale_threshold(plain.threshold, 0.4))
    calibrated = Detector(plain.model, info)
    files = [tmp_path / f"{i}.png" for i in range(12)]
    for i, file in enumerate(files):
        draw_portrait(file, seed=i, artifact=i % 2 == 0)
    before, after = ([answer for _, answer in one.predict_files(files)] for one in (plain, calibrated))
    assert [answer.flagged for answer in after] == [answer.flagged for answer in before]
    expected = [scale_threshold(answer.probability, 0.4) for answer in before]
    assert [answer.probability for answer in after] == pytest.approx(expected)


def test_what_cannot_be_loaded_or_read(run, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        Detector.load(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        Detector.load(run).predict(tmp_path / "missing.png")


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """Where the packaged detector is looked for: nothing is there yet."""
    monkeypatch.setattr(model_files, "PRETRAINED", tmp_path / "package" / "portraits.safetensors")
    return model_files.PRETRAINED


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["artifact_utils.pretrained", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run_cli(main)
    return ended.value.code


def test_a_run_becomes_the_pretrained_detector(run, portrait, pretrained, monkeypatch, capsys):
    assert command(monkeypatch, run, "--threshold", "0.25") == 0
    assert f"{pretrained}: efficientnet_lite0 at 64 px, threshold 0.250" in capsys.readouterr().out
    assert pretrained.stat().st_size < 0.55 * (run / "best.safetensors").stat().st_size
    assert pretrained.stat().st_size < 10_000_000
    own, packaged = Detector.load(run, device="cpu"), Detector.from_pretrained(device="cpu")
    assert (own.threshold, packaged.threshold) == (0.5, 0.25)
    assert packaged.predict(portrait).probability == pytest.approx(own.predict(portrait).probability, abs=2e-3)
    assert Detector.from_pretrained(threshold=0.75, device="cpu").threshold == 0.75


def test_what_cannot_be_packaged(run, tmp_path, pretrained, monkeypatch, capsys):
    monkeypatch.setattr(module, "MAX_PRETRAINED_BYTES", 5_000_000)
    for arguments, message in (
        ([tmp_path / "nowhere"], "error: no checkpoint at"),
        ([run, "--threshold", "1.5"], "error: threshold 1.5 is out of range"),
        ([run], "error: efficientnet_lite0 takes 7 MB, 5 are allowed: train a smaller one"),
    ):
        assert command(monkeypatch, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not pretrained.exists()
    with pytest.raises(CheckpointError, match=r"no pretrained detector at .*: train one with python model_training.py"):
        Detector.from_pretrained()


def test_where_an_artifact_is_has_the_shape_of_the_picture(tmp_path):
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True)
    save_checkpoint(tmp_path / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.5, locates=True))
    detector = Detector.load(tmp_path, device="cpu")
    wide = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    heat = detector.locate(wide)
    assert heat.shape == (90, 150)
    assert 0 <= heat.min() <= heat.max() <= 1


def test_a_model_without_a_locator_says_so(run, portrait):
    with pytest.raises(ValueError, match="trained without masks"):
        Detector.load(run, device="cpu").locate(portrait)


@pytest.fixture(scope="module")
def packaged():
    return Detector.from_pretrained(device="cpu")


def test_the_detector_that_comes_with_the_package(portrait):
    detector = Detector.from_pretrained(device="cpu")
    assert model_files.PRETRAINED.stat().st_size <= module.MAX_PRETRAINED_BYTES
    assert 0.0 < detector.threshold < 1.0
    assert detector.locate(portrait).shape == np.asarray(Image.open(portrait)).shape[:2]


PROBABILITIES = {
    "image_00001_0.jpg": 0.015,
    "image_00008_0.jpg": 0.057,
    "image_00007_0.jpg": 0.019,
    "image_00028_1.jpg": 0.995,
    "image_00035_1.jpg": 0.995,
}
"""What the packaged detector said when it was packaged."""


@pytest.mark.parametrize(("name", "probability"), PROBABILITIES.items())
def test_its_answers_are_those_it_always_gave(packaged, name, probability):
    file = next((ROOT / "test_data").rglob(name))
    assert packaged.predict(file).probability == pytest.approx(probability, abs=0.03)  # 8, 16 or 32 bits


def test_weights_whose_answers_are_no_numbers_are_an_error(run, portrait):
    detector = Detector.load(run, device="cpu")
    with torch.no_grad():
        detector.model.head[1].weight.fill_(3e38)  # finite, but their sum is not
    with pytest.raises(CheckpointError, match="answers with numbers that are not finite"):
        detector.predict(portrait)


def test_it_tells_made_artifacts_on_people_it_does_not_know_from_clean_portraits():
    files = sorted((ROOT / "test_data").glob("t*/*.jpg"))
    labels = [parse_label(file) for file in files]
    scores = [answer.probability for _, answer in Detector.from_pretrained(device="cpu").predict_files(files)]
    assert roc_auc_score(labels, scores) > 0.95


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    """An untrained model that sees long pictures in several square looks and tells two families apart."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("looks")
    options = {"locates": True, "families": ("hands", "text"), "pooled": False}
    model = build_model("efficientnet_lite0", weights="none", image_size=64, **options)
    save_checkpoint(
        folder / "best.safetensors", model, ModelInfo("efficientnet_lite0", 64, 0.5, aspect="looks", **options)
    )
    return Detector.load(folder, device="cpu")


def test_of_a_long_picture_the_worst_square_look_counts(looking):
    halves = np.random.default_rng(0).integers(0, 255, (2, 150, 150, 3), dtype=np.uint8)
    halves[0] //= 4
    whole, parts = looking.predict(np.concatenate(halves)), [looking.predict(half) for half in halves]
    for family in ("hands", "text"):
        worst = max(parts, key=lambda part: part.families[family])
        assert whole.families[family] == pytest.approx(worst.families[family], abs=1e-6)
        below = 150 * (worst is parts[1])
        assert (whole.places[family].x, whole.places[family].y - below) == (
            worst.places[family].x,
            worst.places[family].y,
        )
    assert looking.locate(np.concatenate(halves)).shape == (300, 150)
    assert (looking.locate(halves[0], family="text") <= looking.locate(halves[0])).all()
    with pytest.raises(ConfigError, match="tells no family 'glitch' apart"):
        looking.locate(halves[0], family="glitch")
    np.testing.assert_allclose(looking.locate(np.concatenate(halves))[:150], looking.locate(halves[0]), atol=1e-5)


def test_families_that_count_make_the_verdict(looking):
    picture = np.random.default_rng(0).integers(0, 255, (150, 150, 3), dtype=np.uint8)
    text = Detector(looking.model, looking.info, ignore=("hands",))
    said = text.predict(picture)
    assert said.family == "text"
    assert said.probability == pytest.approx(looking.predict(picture).families["text"])
    assert looking.predict(picture).probability > said.probability
    squares = text.see(picture).squares
    assert float(text.probabilities(squares)[0]) == pytest.approx(said.probability)


def test_a_picture_below_128_px_a_side_is_not_judged(looking, tmp_path):
    sizes = {"small.png": (127, 400), "just.png": (128, 400)}
    for name, size in sizes.items():
        Image.effect_noise(size, 90).convert("RGB").save(tmp_path / name)
    small, just = (said for _, said in looking.predict_files([tmp_path / name for name in sizes]))
    assert small.too_small and not small.flagged and np.isnan(small.probability) and not small.places
    assert not just.too_small and 0 <= just.probability <= 1


def test_places_are_told_in_pixels_of_the_whole_picture_upright(looking, tmp_path):
    pixels = np.full((1200, 800, 3), 128, np.uint8)
    pixels[-300:, :300] = np.random.default_rng(0).integers(0, 255, (300, 300, 3))
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", quality=95)  # large: it is decoded at a part of its size
    turned, exif = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    assert looking.see(tmp_path / "plain.jpg").size == looking.see(tmp_path / "turned.jpg").size == (800, 1200)
    place = looking.predict(tmp_path / "plain.jpg").place
    assert 0 <= place.left <= place.x < place.right <= 800 and 0 <= place.top <= place.y < place.bottom <= 1200
