import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from artifact_utils.metrics.slices import by_slice, worst_slices


@pytest.fixture
def answers():
    """The detector misses most lettering and flags the dark pictures of one person."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"target": np.repeat([1, 0], [60, 240])})
    rows["kind"] = np.where(rows["target"] == 1, np.tile(["watermark", "strap", "fist"], 100), "")
    rows["group"] = np.tile(["anna", "bert", "carl", "dora"], 75)
    rows["brightness"] = rng.random(300)
    dark = (rows["group"] == "carl") & (rows["brightness"] < 0.5)
    rows["predicted"] = ((rows["target"] == 1) & (rows["kind"] != "watermark")) | ((rows["target"] == 0) & dark)
    return rows.astype({"predicted": int})


def test_the_worst_slices_are_the_planted_ones(answers):
    slices = by_slice(answers, ["kind", "group", "brightness"])
    recall, alarms = worst_slices(slices)
    assert recall.startswith("least recall: kind watermark, 0 of 20 artifacts found, 0.00 [0.00, 0.16]")
    assert alarms.startswith("most false alarms: group carl")
    assert slices.groupby("slice")["artifacts"].sum().eq(60).all()
    counts = slices.set_index("value").loc["strap"]
    assert (counts["found"], counts["artifacts"], counts["clean"]) == (20, 20, 0)
    assert np.isnan(counts["false_alarms"])


def test_a_slice_has_an_area_of_its_own_and_one_of_artifacts_is_set_against_all_clean_pictures(answers):
    rows = answers.assign(probability=answers["predicted"] * 0.9)
    slices = by_slice(rows, ["kind", "group"]).set_index("value")
    clean, watermark = rows[rows["target"] == 0], rows[rows["kind"] == "watermark"]
    both, anna = pd.concat([clean, watermark]), rows[rows["group"] == "anna"]
    assert slices.loc["watermark", "roc_auc"] == roc_auc_score(both["target"], both["probability"])
    assert slices.loc["anna", "roc_auc"] == roc_auc_score(anna["target"], anna["probability"])
    assert by_slice(answers, ["kind"])["roc_auc"].isna().all()


def test_ranges_of_numbers_hold_about_equally_many_pictures(answers):
    slices = by_slice(answers, ["brightness"], n_bins=4)
    assert (slices["artifacts"] + slices["clean"]).tolist() == [75] * 4
    one = by_slice(answers.assign(size=256), ["size"])
    assert one["value"].tolist() == ["256"]


def test_a_slice_of_one_unlucky_picture_is_not_the_worst(answers):
    answers.loc[0, "kind"] = "seam"
    answers.loc[0, "predicted"] = 0
    assert worst_slices(by_slice(answers, ["kind"]))[0].startswith("least recall: kind watermark")
    assert worst_slices(by_slice(answers.iloc[:0], ["kind", "group"])) == []
