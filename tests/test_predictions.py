import numpy as np
import pytest

from artifact_utils.config import ConfigError
from artifact_utils.predictions import Place, Prediction, counting, doubts, find_place, most_probable, verdict

KNOWN = ("hands", "text", "gaze")


def test_gaze_counts_only_where_it_is_asked_for():
    assert counting(KNOWN) == ("hands", "text")
    assert counting(KNOWN, only=("gaze", "text")) == ("text", "gaze")
    assert counting(KNOWN, ignore=("text",)) == ("hands",)
    assert counting(()) == ()
    for only, ignore, message in (
        (("feet",), (), "tells no family 'feet' apart"),
        (None, ("hands", "text"), "no family of artifacts is left"),
    ):
        with pytest.raises(ConfigError, match=message):
            counting(KNOWN, only, ignore)


def test_the_verdict_is_the_smooth_maximum_of_the_logits():
    chances = {"hands": 0.2, "text": 0.7, "gaze": 0.99}
    assert verdict(chances, ("text",), 2.0) == pytest.approx(0.7)
    logits = np.log([0.25, 7 / 3])
    expected = np.log(np.exp(3 * logits).sum()) / 3
    assert verdict(chances, ("hands", "text"), 3.0) == pytest.approx(1 / (1 + np.exp(-expected)))
    assert verdict({"hands": 1.0, "text": 0.5}, ("hands", "text"), 2.0) == 1.0
    assert verdict({"hands": 0.0}, ("hands",), 2.0) == 0.0
    assert most_probable(chances, ("hands", "text")) == "text"
    assert most_probable({}, ()) == ""


def test_a_place_is_the_peak_and_what_hangs_together_with_it_in_pixels_of_the_picture():
    heat = np.zeros((4, 4), np.float32)
    heat[1, 1], heat[1, 2], heat[2, 2] = 0.8, 0.7, 0.3
    heat[3, 0] = 0.79  # another one
    assert find_place(heat, (0, 0, 400), (400, 400)) == Place(150, 150, 100, 100, 300, 200)
    assert find_place(heat, (-100, 0, 400), (200, 400)) == Place(50, 150, 0, 100, 200, 200)  # a padded tall picture
    assert find_place(heat, (0, 200, 400), (400, 600)) == Place(150, 350, 100, 300, 300, 400)  # the lower of two looks


def test_the_place_of_a_prediction_is_that_of_its_family():
    place = Place(1, 2, 0, 0, 3, 4)
    assert Prediction(0.5, True, "text", {"text": 0.5}, {"text": place}).place == place
    assert Prediction(0.5, True, places={"": place}).place == place
    assert Prediction(0.5, True).place is None


def test_doubts_name_a_near_threshold_and_other_families():
    assert doubts(0.95, {}, (), 0.6) == []
    assert doubts(0.62, {}, (), 0.6) == ["close to the threshold: 0.62 is just above 0.60"]
    assert doubts(0.5, {}, (), 0.6) == ["close to the threshold: 0.50 is just below 0.60"]
    families = {"hands": 0.9, "text": 0.5, "face": 0.2, "gaze": 0.8}
    assert doubts(0.95, families, ("hands", "text", "face"), 0.6) == [
        "may be another family: text 0.50",
        "does not count here: gaze 0.80",
    ]
    assert doubts(1.0, {"hands": 1.0, "text": 0.0}, ("hands", "text"), 0.6) == []
