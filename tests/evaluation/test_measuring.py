from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.datasets import ArtifactDataset
from artifact_utils.detector import Detector
from artifact_utils.evaluation.measuring import PREDICTION_COLUMNS, calibrated, measure, predict
from artifact_utils.images import ImageError
from artifact_utils.loaders import evaluation_loader
from artifact_utils.metrics.scores import evaluate
from artifact_utils.portraits import list_portraits, with_made_artifacts
from artifact_utils.squares import decode, decode_squares


@pytest.fixture
def detector(run):
    return Detector.load(run, device="cpu")


@pytest.fixture
def portraits(dataset_folder):
    return list_portraits(dataset_folder, "test")


@pytest.fixture
def dataset(portraits):
    return ArtifactDataset(portraits, 64, v2.Identity())


def test_logits_come_in_the_order_of_the_data_set_whatever_the_order_of_the_loader(detector, dataset):
    expected = [detector.run(dataset[i].image.unsqueeze(0)).logits.item() for i in range(len(dataset))]
    assert len({round(logit, 6) for logit in expected}) > 6  # a wrong row would be seen
    permuted = [[11, 0, 3], [5], [1, 2, 10, 9], [4, 8, 6, 7]]
    for loader in (
        evaluation_loader(dataset, 5),
        DataLoader(dataset, batch_sampler=permuted),
        DataLoader(dataset, 5, shuffle=True, generator=torch.Generator().manual_seed(3)),
        DataLoader(dataset, 4, shuffle=True),
    ):
        logits, targets = predict(detector.model, loader)
        assert logits.tolist() == pytest.approx(expected, abs=1e-5)
        assert targets.tolist() == [0] * 9 + [1] * 3


def test_batches_are_put_together_as_the_loader_does(detector, dataset):
    def darkened(samples):
        batch = default_collate(samples)
        return batch._replace(image=batch.image // 2)

    plain, _ = predict(detector.model, DataLoader(dataset, 5))
    dark, _ = predict(detector.model, DataLoader(dataset, 5, collate_fn=darkened))
    assert not torch.allclose(plain, dark, atol=1e-3)


@pytest.mark.parametrize("batches", [[[0, 1, 2]], [[*range(12)], [0]]])
def test_a_loader_that_leaves_pictures_out_or_repeats_them_is_an_error(detector, dataset, batches):
    with pytest.raises(ValueError, match="does not show each picture once"):
        predict(detector.model, DataLoader(dataset, batch_sampler=batches))


def test_predictions_and_metrics_of_labelled_portraits(detector, portraits, dataset_folder):
    measured = measure(detector, portraits, root=dataset_folder, batch_size=5, n_bootstrap=50)
    table = measured.predictions
    assert table.columns.tolist() == [*PREDICTION_COLUMNS, "grounded"]
    assert table["path"].tolist() == [portrait.path.relative_to(dataset_folder).as_posix() for portrait in portraits]
    assert table["target"].tolist() == [0] * 9 + [1] * 3
    assert set(table["group"]) == {"P100", "P101"}
    assert (table["predicted"] == (table["probability"] >= detector.threshold)).all()
    squares = [decode(portrait.path, 64).unsqueeze(0) for portrait in portraits]
    single = [float(detector.probabilities(square)[0]) for square in squares]
    assert table["probability"].tolist() == pytest.approx(single, abs=1e-5)
    expected = evaluate(table["probability"], table["target"], 0.5, groups=table["group"], n_bootstrap=50)
    assert {name: measured.metrics[name] for name in expected} == expected
    assert set(measured.metrics) - set(expected) == {"calibration", "grounded"}
    assert measured.metrics["calibration"]["temperature"] == 1.0


def test_batches_decoded_squares_and_known_logits_change_nothing(detector, portraits, dataset, dataset_folder):
    plain = measure(detector, portraits, root=dataset_folder, n_bootstrap=0)
    squares = decode_squares([portrait.path for portrait in portraits], 64)
    logits, _ = predict(detector.model, evaluation_loader(dataset, 4))
    for options in ({"batch_size": 1}, {"squares": squares}, {"logits": logits}):
        other = measure(detector, portraits, root=dataset_folder, n_bootstrap=0, **options)
        assert other.predictions["probability"].to_numpy() == pytest.approx(plain.predictions["probability"].to_numpy())
        assert other.metrics["roc_auc"] == plain.metrics["roc_auc"]


def test_made_artifacts_are_made_before_the_model_sees_them(detector, portraits, dataset_folder):
    clean = [portrait for portrait in portraits if not portrait.label][:4]
    measured = measure(detector, with_made_artifacts(clean), root=dataset_folder, n_bootstrap=0)
    table = measured.predictions
    assert table["target"].tolist() == [0] * 4 + [1] * 4
    assert table["path"].tolist()[:4] == table["path"].tolist()[4:]
    assert (table["probability"][:4].to_numpy() != table["probability"][4:].to_numpy()).any()
    assert table["kind"][4:].ne("").all()


def test_no_portraits_and_broken_ones(detector, own_copy):
    portraits = list_portraits(own_copy, "test")
    empty = measure(detector, [], root=own_copy)
    assert empty.predictions.columns.tolist() == [*PREDICTION_COLUMNS, "grounded"]
    assert empty.metrics["n"] == 0
    portraits[1].path.write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=portraits[1].path.name):
        measure(detector, portraits, root=own_copy)


def test_a_broken_mask_costs_what_is_read_from_it_and_nothing_else(run, own_copy, caplog):
    detector = Detector.load(run, threshold=0.0, device="cpu")  # all is flagged
    portraits = [
        replace(portrait, mask=own_copy / "mask.png" if portrait.label else None)
        for portrait in list_portraits(own_copy, "test")
    ]
    Image.new("L", (64, 64), 255).save(own_copy / "mask.png")
    assert measure(detector, portraits, root=own_copy, n_bootstrap=0).metrics["grounded"]["grounded"] == 3
    (own_copy / "mask.png").write_bytes(b"no picture")
    measured = measure(detector, portraits, root=own_copy, n_bootstrap=0)
    assert "grounded" not in measured.metrics
    assert measured.metrics["n"] == 12
    assert "heat maps point at the artifacts was not measured" in caplog.text


def test_calibrating_twice_is_calibrating_once_and_is_noted():
    info, logits = ModelInfo("resnet18", 64, 0.3), torch.tensor([-1.0, 0.0, 0.5, 2.0])
    once = calibrated(info, logits, torch.tensor([0, 1, 0, 1]))
    again = calibrated(once, logits, torch.tensor([0, 1, 0, 1]))
    assert again.threshold == pytest.approx(once.threshold)
    assert again.temperature == once.temperature
    assert (info.calibrated, once.calibrated) == (False, True)


def test_a_fitted_temperature_of_1_counts_as_calibrated():
    info = calibrated(ModelInfo("resnet18", 64, 0.3), torch.tensor([-1.0, 2.0]), torch.tensor([0, 0]))  # one class
    assert info.temperature == 1.0
    assert info.calibrated
