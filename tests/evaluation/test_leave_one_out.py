import csv
import json
import sys

import pandas as pd
import pytest

from artifact_utils.config import ConfigError, TrainConfig, resolve
from artifact_utils.evaluation.experiment_tables import ExperimentError
from artifact_utils.evaluation.leave_one_out import by_generator, common_threshold, leave_one_out, main
from artifact_utils.portraits import list_portraits, read_sides


@pytest.fixture
def two_generators(own_copy):
    """The drawn data set, as if its first two people were of one generator and the others of another."""
    portraits = [p for split in ("train", "test") for p in list_portraits(own_copy, split)]
    names = {portrait.group: "one" if portrait.group < "P002" else "two" for portrait in portraits}
    with (own_copy / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "group"])
        writer.writerows([p.path.relative_to(own_copy).as_posix(), f"{names[p.group]}/{p.group}"] for p in portraits)
    return own_copy


def small(data, **options):
    return TrainConfig(
        data=data, arch="efficientnet_lite0", weights="none", image_size=32, epochs=1, batch_size=4,
        device="cpu", workers=0, synthetic_fraction=1.0, **options,
    )  # fmt: skip


def test_a_generator_that_is_left_out_is_in_no_part_of_training_and_validation(two_generators):
    sides = read_sides(resolve(small(two_generators, without_generator="one")))
    assert {portrait.generator for name in ("train", "validation") for portrait in sides[name]} == {"two"}
    assert read_sides(resolve(small(two_generators)))["train"] != sides["train"]


def test_each_generator_is_scored_by_the_model_that_never_saw_it(two_generators, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    arguments = ["leave_one_out", "--data", two_generators, "--folder", folder, "--arch", "efficientnet_lite0"]
    arguments += ["--weights", "none", "--image-size", "32", "--epochs", "1", "--batch-size", "4", "--workers", "0"]
    arguments += ["--synthetic-fraction", "1", "--false-alarms-of", "two=0.5"]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    main()
    for name in ("one", "two"):
        stored = json.loads((folder / f"without {name}-0" / "config.json").read_text())
        assert stored["without_generator"] == name and not stored["test"]
    scored = pd.read_csv(folder / "left_out.csv", keep_default_na=False)
    clean, made = scored[scored["target"] == 0], scored[scored["artifacts"] == "made"]
    assert sorted(clean["path"]) == sorted(made["path"])
    natural = scored[scored["artifacts"] == "natural"]
    listed = [p for split in ("train", "test") for p in list_portraits(two_generators, split)]
    assert len(natural) == sum(p.label for p in listed) and len(clean) == len(listed) - len(natural)
    table = pd.read_csv(folder / "by_generator.csv")
    assert table["slice"].unique().tolist() == ["made artifacts", "natural artifacts"]
    assert (folder / "by_generator.png").stat().st_size > 1000
    monkeypatch.setattr("artifact_utils.evaluation.experiments.train", lambda config: pytest.fail("trained again"))
    assert leave_one_out(folder, small(two_generators))["probability"].tolist() == scored["probability"].tolist()


def test_one_generator_cannot_be_left_out(dataset_folder, tmp_path):
    with pytest.raises(ExperimentError, match="names 0 generators: two are needed"):
        leave_one_out(tmp_path, small(dataset_folder))


def predictions():
    rows = [("photos", 0, x / 100) for x in range(20)] + [("paintings", 0, x / 25) for x in range(10)]
    rows += [("photos", 1, 0.15), ("photos", 1, 0.9), ("paintings", 1, 0.3)]
    table = pd.DataFrame(rows, columns=["generator", "target", "probability"])
    return table.assign(artifacts=["natural" if target else "" for target in table["target"]], kind="")


@pytest.mark.parametrize(
    ("most", "most_of", "threshold"),
    [
        (0.0, {}, (0.36 + 1) / 2),  # nothing clean is flagged
        (0.05, {}, (0.36 + 1) / 2),  # one of 20 photos may be, none of 10 paintings
        (0.05, {"paintings": 0.1}, (0.32 + 0.36) / 2),
        (0.05, {"paintings": 0.9}, (0.18 + 0.19) / 2),  # now the photos decide
    ],
)
def test_no_generator_has_more_than_its_share_of_false_alarms(most, most_of, threshold):
    assert common_threshold(predictions(), most, most_of) == pytest.approx(threshold)


def test_equal_scores_are_flagged_together_or_not_at_all():
    table = predictions().assign(probability=0.4)
    assert common_threshold(table, 0.2) == pytest.approx((0.4 + 1) / 2)
    assert common_threshold(table.assign(probability=1.0), 0.2) == 1.0


def test_unknown_generators_and_impossible_shares_are_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no generator 'films': there are paintings, photos"):
        common_threshold(predictions(), 0.05, {"films": 0.1})
    with pytest.raises(ConfigError, match=r"a share of 1.5 false alarms for photos"):
        common_threshold(predictions(), 0.05, {"photos": 1.5})
    monkeypatch.setattr(sys, "argv", ["leave_one_out", "--false-alarms-of", "films"])
    with pytest.raises(ConfigError, match="'films': expected GENERATOR=SHARE"):
        main()


@pytest.mark.parametrize(
    ("asked", "message"),
    [(["--false-alarms", "2"], "a share of 2.0"), (["--false-alarms-of", "films=0.1"], "no generator 'films'")],
)
def test_impossible_shares_are_told_before_anything_is_trained(two_generators, tmp_path, monkeypatch, asked, message):
    folder = tmp_path / "models"
    data = ["--data", str(two_generators), "--folder", str(folder)]
    monkeypatch.setattr(sys, "argv", ["leave_one_out", *data, *asked])
    with pytest.raises(ConfigError, match=message):
        main()
    assert not folder.exists()


def test_found_artifacts_and_false_alarms_are_counted_by_generator():
    table = by_generator(predictions(), 0.2).set_index("value")
    assert table.loc["photos", ["artifacts", "found", "clean", "flagged"]].tolist() == [2, 1, 20, 0]
    assert table.loc["paintings", ["artifacts", "found", "clean", "flagged"]].tolist() == [1, 1, 10, 5]
