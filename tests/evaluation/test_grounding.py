import numpy as np
import pandas as pd
import pytest
from helpers import draw_portrait
from PIL import Image
from torchvision.transforms import v2

from artifact_utils.checkpoints import ModelInfo
from artifact_utils.datasets import ArtifactDataset
from artifact_utils.detector import Detector
from artifact_utils.evaluation.grounding import (
    measure_grounding,
    peak,
    point_at_made_artifacts,
    pointing_game,
    points_at,
    read_mask,
)
from artifact_utils.labels import Portrait
from artifact_utils.models import build_model
from artifact_utils.portraits import DataError, list_portraits, with_made_artifacts
from artifact_utils.synthesis import inject


def test_the_peak_of_a_plateau_is_its_middle():
    heat = np.zeros((9, 9))
    heat[2:5, 4:9] = 1
    assert peak(heat) == (3, 6)
    assert peak(np.zeros((9, 9))) == (4, 4)


def test_the_pointing_game_against_chance_and_the_centre():
    masks = [np.zeros((10, 10), bool) for _ in range(4)]
    for mask in masks:
        mask[:5, :4] = True
    masks[3][5, 5] = True
    right, wrong = np.zeros((10, 10)), np.zeros((10, 10))
    right[1, 1] = wrong[8, 8] = 1
    table = pointing_game({"mine": [right, right, right, wrong]}, masks).set_index("method")
    assert table.loc["mine", ["n", "hits", "share"]].tolist() == [4, 3, 0.75]
    assert table.loc["mine", "low"] < 0.75 < table.loc["mine", "high"]
    assert table.loc["centre prior", "hits"] == 1
    assert table.loc["random", "share"] == pytest.approx((3 * 0.2 + 0.21) / 4)
    assert pointing_game({"mine": []}, [])["share"].isna().all()
    with pytest.raises(ValueError, match="not of one picture"):
        points_at(right, np.zeros((5, 5), bool))


def test_made_artifacts_are_pointed_at_with_their_exact_masks(dataset_folder):
    """A detector that flags everything, so that every portrait is asked about."""
    detector = Detector(build_model("resnet18", weights="none", image_size=64), ModelInfo("resnet18", 64, 0.0))
    clean = [portrait for portrait in list_portraits(dataset_folder, "test") if not portrait.label]
    table, found = point_at_made_artifacts(detector, clean, kinds=("strap", "checkerboard"), methods=("grad_cam",))
    assert found == 1.0
    assert table["method"].tolist() == ["grad_cam", "centre prior", "random"]
    assert table["n"].eq(len(clean)).all()
    assert 0.006 <= table["share"].iloc[-1] < 0.6  # the masks cover what artifacts cover
    nothing = Detector(detector.model, ModelInfo("resnet18", 64, 1.0))
    assert point_at_made_artifacts(nothing, clean[:2])[1] == 0.0
    with pytest.raises(ValueError, match="no clean portraits"):
        point_at_made_artifacts(detector, [])


def test_right_and_grounded_is_a_share_of_what_was_flagged(tmp_path, monkeypatch):
    """Two found and pointed at or not, one found without a mask, one missed, one false alarm, one clean."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    portraits = []
    for i, (label, masked) in enumerate([(1, True), (1, True), (1, False), (1, True), (0, False), (0, False)]):
        draw_portrait(tmp_path / f"{i}.png", seed=i, artifact=bool(label))
        portraits.append(Portrait(tmp_path / f"{i}.png", label, mask=tmp_path / "mask.png" if masked else None))
    predictions = pd.DataFrame({"target": [1, 1, 1, 1, 0, 0], "predicted": [1, 1, 1, 0, 1, 0]})
    heats = iter([np.eye(1, 64 * 64, 5).reshape(64, 64), np.eye(1, 64 * 64, 64 * 60).reshape(64, 64)])
    monkeypatch.setattr("artifact_utils.evaluation.grounding.heat_map", lambda *args, **kwargs: next(heats))
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True)
    detector = Detector(model, ModelInfo("efficientnet_lite0", 64, 0.5, locates=True))
    answers, summary = measure_grounding(detector, portraits, predictions)
    assert answers.tolist() == [True, False, None, None, None, None]
    assert summary["method"] == "locator"
    assert [summary[name] for name in ("flagged", "right", "with_mask", "grounded")] == [4, 3, 2, 1]
    assert summary["share_right_and_grounded"] == pytest.approx(1 / 3)  # of two with a mask and a false alarm
    assert (summary["centre_prior"], summary["random"]) == (0, 0.5)  # masks of the upper half: the middle is below
    assert read_mask(portraits[0]).sum() == 32 * 64


def test_made_artifacts_are_made_again_to_see_whether_the_map_points_at_them(dataset_folder, monkeypatch):
    detector = Detector(build_model("resnet18", weights="none", image_size=64), ModelInfo("resnet18", 64, 0.0))
    clean = [portrait for portrait in list_portraits(dataset_folder, "test") if not portrait.label][:2]
    portraits = with_made_artifacts(clean, kinds=("strap",))
    shown = []
    monkeypatch.setattr(
        "artifact_utils.evaluation.grounding.heat_map", lambda _, picture, **kw: shown.append(picture) or made.mask
    )
    made = inject(
        ArtifactDataset(clean[:1], 64, v2.Identity())[0].image.permute(1, 2, 0).numpy(),
        np.random.default_rng(portraits[2].made),
        kind="strap",
    )
    predictions = pd.DataFrame({"target": [0, 0, 1, 1], "predicted": [0, 0, 1, 0]})
    answers, summary = measure_grounding(detector, portraits, predictions)
    assert np.array_equal(shown[0], made.image)
    assert answers.tolist() == [None, None, True, None]
    assert summary["share_right_and_grounded"] == 1.0
    assert summary["random"] == pytest.approx(made.mask.mean())


def test_nobody_said_where(run):
    detector = Detector.load(run, device="cpu")
    answers, summary = measure_grounding(detector, [], pd.DataFrame({"target": [], "predicted": []}, dtype=int))
    assert len(answers) == 0
    assert summary["share_right_and_grounded"] is None


def test_a_mask_of_another_size_than_its_picture_is_named(tmp_path):
    draw_portrait(tmp_path / "portrait.png", seed=0, artifact=True, size=64)
    Image.new("L", (32, 64), 255).save(tmp_path / "mask.png")
    portrait = Portrait(tmp_path / "portrait.png", 1, mask=tmp_path / "mask.png")
    model = build_model("efficientnet_lite0", weights="none", image_size=64, locates=True)
    detector = Detector(model, ModelInfo("efficientnet_lite0", 64, 0.5, locates=True))
    predictions = pd.DataFrame({"target": [1], "predicted": [1]})
    with pytest.raises(DataError, match=r"mask.png is 32 x 64 pixels and its picture 64 x 64"):
        measure_grounding(detector, [portrait], predictions)
