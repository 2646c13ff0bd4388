import pytest

from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN, LabelError, parse_label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("image_00002_1.png", ARTIFACT),
        ("image_00001_0.PNG", CLEAN),
        ("some/folder_0/портрет_1.JpEg", ARTIFACT),
        ("a.b_0.webp", CLEAN),
    ],
)
def test_the_label_is_the_last_digit_of_the_stem(name, label):
    assert parse_label(name) == label


def test_a_set_labelled_the_other_way_round():
    assert parse_label("image_00002_0.png", artifact_label=0) == ARTIFACT
    assert parse_label("image_00002_1.png", artifact_label=0) == CLEAN


@pytest.mark.parametrize("name", ["portrait.png", "image_2.png", "image_01.png", "image_1_.png", "_1x.png", ""])
def test_a_name_without_a_label_is_an_error_that_names_the_file(name):
    with pytest.raises(LabelError, match="expected a name ending in _0 or _1"):
        parse_label(name)


def test_artifact_label_must_be_a_class_number():
    with pytest.raises(ValueError, match="must be 0 or 1, not 2"):
        parse_label("image_1.png", artifact_label=2)


def test_artifact_is_the_positive_class():
    assert CLASS_NAMES[ARTIFACT] == "artifacts"
