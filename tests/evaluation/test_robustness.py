import numpy as np
import pytest

from artifact_utils.detector import Detector
from artifact_utils.evaluation.measuring import measure
from artifact_utils.evaluation.robustness import PERTURBATIONS, measure_robustness
from artifact_utils.portraits import list_portraits


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_picture_stays_one_and_more_is_more(picture, name):
    perturb, degrees = PERTURBATIONS[name]
    original = picture.copy()
    for degree in degrees:
        spoilt = perturb(picture, degree, np.random.default_rng(0))
        assert spoilt.dtype == np.uint8
        assert spoilt.ndim == 3
    assert np.array_equal(picture, original)
    if name in ("JPEG quality", "blur", "noise"):
        changes = [
            np.abs(perturb(picture, d, np.random.default_rng(0)) - picture.astype(float)).mean() for d in degrees
        ]
        assert changes == sorted(changes)


def test_degrees_mean_what_they_say(picture):
    rng = np.random.default_rng(0)
    assert PERTURBATIONS["short side"][0](picture, 24, rng).shape == (24, 40, 3)
    assert PERTURBATIONS["short side"][0](picture, 500, rng).shape == picture.shape
    assert PERTURBATIONS["brightness"][0](picture, 0.5, rng).mean() == pytest.approx(picture.mean() / 2, abs=0.5)
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert PERTURBATIONS["noise"][0](grey, 8, rng).std() == pytest.approx(8, rel=0.05)


def test_a_table_with_a_row_a_degree(run, dataset_folder):
    detector = Detector.load(run, device="cpu")
    portraits = list_portraits(dataset_folder, "test")
    asked = {"blur": (1, 3), "noise": (8,)}
    table = measure_robustness(detector, portraits, perturbations=asked, n_bootstrap=20, batch_size=5)
    assert table["perturbation"].tolist() == ["none", "blur", "blur", "noise"]
    assert table["n"].eq(12).all()
    unchanged = measure(detector, portraits, root=dataset_folder, n_bootstrap=0).metrics
    assert table["accuracy"][0] == pytest.approx(unchanged["accuracy"])
    assert ((table["recall_low"] <= table["recall"]) & (table["recall"] <= table["recall_high"])).all()
    again = measure_robustness(detector, portraits, perturbations=asked, n_bootstrap=0, batch_size=12)
    assert again["roc_auc"].to_numpy() == pytest.approx(table["roc_auc"].to_numpy())  # batches change nothing
    with pytest.raises(ValueError, match="unknown perturbation 'fog': choose among JPEG quality, blur"):
        measure_robustness(detector, portraits, perturbations={"fog": (1,)})


def test_what_is_done_to_a_picture_does_not_depend_on_its_class(run, dataset_folder):
    """The same files with the labels turned round score the same, and so the AUC is mirrored."""
    detector = Detector.load(run, device="cpu")
    portraits = list_portraits(dataset_folder, "test")
    turned = [type(p)(p.path, 1 - p.label) for p in portraits]
    tables = [
        measure_robustness(detector, ps, perturbations={"noise": (16,)}, n_bootstrap=0) for ps in (portraits, turned)
    ]
    assert tables[0]["roc_auc"].to_numpy() == pytest.approx(1 - tables[1]["roc_auc"].to_numpy())
