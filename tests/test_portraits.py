import shutil
from collections import Counter

import pytest

from artifact_utils.labels import Portrait
from artifact_utils.portraits import DataError, list_portraits, split_by_group


def test_the_label_comes_from_the_folder_name_not_its_place_in_the_alphabet(dataset_folder):
    portraits = list_portraits(dataset_folder, "train")
    assert {portrait.path.parent.name: portrait.label for portrait in portraits} == {"no_artifacts": 0, "artifacts": 1}
    assert Counter(portrait.label for portrait in portraits) == {0: 30, 1: 10}
    assert {portrait.group for portrait in portraits} == {"P000", "P001", "P002", "P003", "P004"}


def test_a_missing_folder_and_an_empty_class_are_named(own_copy):
    shutil.rmtree(own_copy / "train" / "artifacts")
    with pytest.raises(DataError, match=r"no folder .*artifacts: make it with python organize_dataset.py"):
        list_portraits(own_copy, "train")
    (own_copy / "train" / "artifacts").mkdir()
    with pytest.raises(DataError, match=r"no pictures in .*artifacts"):
        list_portraits(own_copy, "train")


def test_the_kind_of_an_artifact_comes_from_a_table_if_there_is_one(own_copy):
    name = list_portraits(own_copy, "train")[-1].path.relative_to(own_copy).as_posix()
    (own_copy / "artifacts.csv").write_text(f"path,kind\n{name},strap\n")
    portraits = list_portraits(own_copy, "train")
    assert [p.kind for p in portraits if p.kind] == ["strap"] == [portraits[-1].kind]


def test_what_is_said_of_an_artifact_is_read_and_old_tables_say_less(own_copy):
    path = "test/artifacts/image_00000_1.png"
    (own_copy / "artifacts.csv").write_text(f"path,kind\n{path},strap\n")
    first = list_portraits(own_copy, "test")[-3]
    assert (first.kind, first.strength, first.mask) == ("strap", None, None)
    (own_copy / "artifacts.csv").write_text(f"path,kind,strength,mask\n{path},strap,0.7,.masks/a.png\n")
    first = list_portraits(own_copy, "test")[-3]
    assert (first.kind, first.strength, first.mask) == ("strap", 0.7, own_copy / ".masks" / "a.png")
    (own_copy / "artifacts.csv").write_text(f"path,kind,unlabelled\n{path},,gaze text\n")
    assert list_portraits(own_copy, "test")[-3].unlabelled == ("gaze", "text")
    (own_copy / "artifacts.csv").write_text(f"path,kind,unlabelled\n{path},,ears\n")
    with pytest.raises(DataError, match=r"artifacts.csv cannot be read .*no family 'ears'"):
        list_portraits(own_copy, "test")
    (own_copy / "artifacts.csv").write_text(f"path,kind,strength\n{path},strap,gross\n")
    with pytest.raises(DataError, match=r"artifacts.csv cannot be read .*gross"):
        list_portraits(own_copy, "test")


@pytest.mark.parametrize("seed", range(5))
def test_no_person_is_on_both_sides_of_the_split(dataset_folder, seed):
    portraits = list_portraits(dataset_folder, "train")
    training, validation = split_by_group(portraits, seed=seed)
    assert not {p.group for p in training} & {p.group for p in validation}
    assert {p.label for p in training} == {p.label for p in validation} == {0, 1}
    assert Counter(training) + Counter(validation) == Counter(portraits)
    assert split_by_group(portraits, seed=seed) == (training, validation)


def test_without_groups_near_duplicates_stay_together(own_copy):
    (own_copy / "manifest.csv").unlink()
    for class_name in ("artifacts", "no_artifacts"):
        folder = own_copy / "train" / class_name
        for file in list(folder.iterdir()):
            shutil.copy(file, folder / f"copy_{file.name}")
    training, validation = split_by_group(list_portraits(own_copy, "train"))
    names = [{p.path.name.removeprefix("copy_") for p in side} for side in (training, validation)]
    assert not names[0] & names[1]


def test_a_copy_without_a_group_stays_with_its_original(own_copy):
    for class_name in ("artifacts", "no_artifacts"):
        for file in list((own_copy / "train" / class_name).iterdir()):
            shutil.copy(file, file.with_name(f"copy_{file.name}"))
    training, validation = split_by_group(list_portraits(own_copy, "train"))
    names = [{p.path.name.removeprefix("copy_") for p in side} for side in (training, validation)]
    assert not names[0] & names[1]
    assert not {p.group for p in training if p.group} & {p.group for p in validation if p.group}


def test_too_few_people_to_split():
    portraits = [Portrait(f"{i}.png", i % 2, "P001") for i in range(10)]
    with pytest.raises(DataError, match="fewer than two groups"):
        split_by_group(portraits)


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1, 1, 1]])
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_a_few_pictures_of_a_person_each_are_split_or_refused(labels):
    portraits = [Portrait(f"{i}.png", label, f"P{i}") for i, label in enumerate(labels)]
    if min(Counter(labels).values()) > 1:
        assert all({p.label for p in side} == {0, 1} for side in split_by_group(portraits))
    else:
        with pytest.raises(DataError, match="too few"):
            split_by_group(portraits)
