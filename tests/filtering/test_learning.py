import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import draw_portrait
from PIL import Image

from artifact_utils.checkpoints import load_checkpoint, save_checkpoint
from artifact_utils.detector import Detector
from artifact_utils.filtering import FilterConfig, FilterError, fit_generator, learn, score_folder
from artifact_utils.filtering.lesson_report import read_learned, taught_model
from artifact_utils.filtering.lesson_views import Seer
from artifact_utils.filtering.lessons import Lesson, scores
from artifact_utils.filtering.state import open_state

pytestmark = pytest.mark.usefixtures("few_folds")


@pytest.fixture(scope="module")
def labelled(located_run, tmp_path_factory):
    """A scored folder of 44 portraits, one of them not square, half with a torn block; 40 are labelled."""
    folder = tmp_path_factory.mktemp("data") / "portraits"
    for i in range(44):
        draw_portrait(folder / f"{i:02d}.png", seed=i, artifact=i % 2 == 1, size=128)
    with Image.open(folder / "07.png") as image:
        image.resize((128, 256)).save(folder / "07.png")
    config = FilterConfig(folder, located_run, device="cpu")
    score_folder(config)
    with open_state(config) as state:
        for i in range(40):
            state.corrections.add(f"{i:02d}.png".encode(), i % 2)
    return config


@pytest.fixture(scope="module")
def learned(labelled):
    progress = []
    return learn(labelled, on_progress=lambda done, total: progress.append((done, total))), progress


def test_what_was_learned_is_a_run_beside_the_folder_and_nothing_uses_it(labelled, learned):
    result, progress = learned
    assert result.run == labelled.folder.with_name("portraits.learned")
    assert {file.name for file in result.run.iterdir()} == {
        "best.safetensors", "config.json", "metrics.json", "turned.csv",
    }  # fmt: skip
    metrics = json.loads((result.run / "metrics.json").read_text())
    assert metrics["validation"]["n"] == 40 and metrics["verdict"] == result.verdict
    assert json.loads((result.run / "config.json").read_text())["artifacts"] == 20
    assert progress[-1][0] >= 40 and [done for done, _ in progress] == list(range(1, len(progress) + 1))
    assert score_folder(labelled).new == 0  # the scores are those of the old model


def test_the_report_compares_before_and_after(learned):
    result, _ = learned
    assert result.before["n_artifacts"] == result.after["n_artifacts"] == 20
    assert result.verdict in ("better", "perhaps", "no better")
    text = str(result)
    for expected in ("AUC", "artifacts found", "of 20", "verdicts turn", f"--rescore --run {result.run}"):
        assert expected in text
    found_before, found_after = result.counts["found"]
    turned_up = sum(t.flagged and t.label == 1 for t in result.turned)
    turned_down = sum(not t.flagged and t.label == 1 for t in result.turned)
    assert found_after - found_before == turned_up - turned_down


def test_the_report_is_read_from_the_run_again(learned, tmp_path):
    result, _ = learned
    again = read_learned(result.run)
    assert str(again) == str(result)
    assert again.turned == result.turned
    low, high = again.count_intervals["found"][1]
    assert low <= result.counts["found"][1] / 20 <= high
    for damage in ("{}", "[1]", "{", '{"before": {}, "validation": {}, "differences": {}, "threshold": "x"}'):
        (tmp_path / "metrics.json").write_text(damage)
        with pytest.raises(FilterError, match="does not say what was learned"):
            read_learned(tmp_path)


def test_a_lesson_that_is_stopped_writes_nothing(labelled, tmp_path):
    class StoppedError(Exception):
        pass

    for when in (3, 52):  # among the pictures, and in the cross-validation

        def stop(done, total, when=when):
            if done == when:
                raise StoppedError

        with pytest.raises(StoppedError):
            learn(replace(labelled, learned=tmp_path / "learned"), on_progress=stop)
    assert not (tmp_path / "learned").exists()


def test_torn_blocks_are_told_from_plain_faces_after_the_lesson(labelled, learned):
    detector = Detector.load(learned[0].run)
    said = {i: detector.predict(labelled.folder / f"{i:02d}.png").probability for i in range(44)}
    assert np.mean([said[i] for i in range(1, 40, 2)]) > np.mean([said[i] for i in range(0, 40, 2)]) + 0.1


def test_a_taught_model_scores_as_its_lesson_does(labelled, tmp_path):
    """Through gains, biases, the layer on the averages and the temperature, at two sides and in several looks."""
    detector = Detector.load(labelled.run, device="cpu")
    files = sorted(labelled.folder.iterdir())[5:9]
    with Seer(detector, len(files), None) as seer:
        kept, views = seer.see(files)
    assert kept == [0, 1, 2, 3] and views.families.shape[1] == 2
    generator = torch.Generator().manual_seed(0)
    k, c = views.families.shape[2], views.averages.shape[2]
    lesson = Lesson(
        torch.rand(k, generator=generator) + 0.5, torch.randn(k, generator=generator),
        0.1 * torch.randn(c, generator=generator), 0.3, 0.7, 0.42,
    )  # fmt: skip
    model, info = taught_model(labelled.run / "best.safetensors", lesson, list(range(k)))
    save_checkpoint(tmp_path / "best.safetensors", model, info)
    taught = Detector.load(tmp_path, device="cpu")
    assert taught.threshold == 0.42
    expected = torch.sigmoid(scores(views, lesson)).tolist()
    assert [taught.predict(file).probability for file in files] == pytest.approx(expected, abs=1e-4)


def test_learning_again_goes_on_from_what_was_learned(labelled, learned, tmp_path):
    again = learn(replace(labelled, run=learned[0].run, learned=tmp_path / "again"))
    _, info = load_checkpoint(again.run / "best.safetensors")
    assert info.taught
    assert again.before["roc_auc"] > learned[0].before["roc_auc"] - 0.05


def test_scoring_anew_with_the_new_run_keeps_the_labels(labelled, learned, tmp_path):
    folder = tmp_path / "portraits"
    shutil.copytree(labelled.folder, folder)
    config = FilterConfig(folder, labelled.run, device="cpu")
    score_folder(config)
    with open_state(config) as state:
        state.corrections.add(b"00.png", 1)
    taught = replace(config, run=learned[0].run)
    with pytest.raises(FilterError, match="or --rescore"):
        score_folder(taught)
    assert score_folder(replace(taught, rescore=True)).new == 44
    assert score_folder(replace(taught, rescore=True)).new == 0
    assert score_folder(taught).new == 0
    with open_state(config) as state:
        assert [(c.path, c.verdict) for c in state.corrections.list()] == [(b"00.png", 1)]


def test_too_few_labels_are_told_before_a_model_is_loaded(labelled, tmp_path):
    shutil.copytree(labelled.folder, tmp_path / "portraits")
    config = FilterConfig(tmp_path / "portraits", labelled.run, device="cpu")
    with pytest.raises(FilterError, match="was not scored yet"):
        learn(config)
    score_folder(config)
    with open_state(config) as state:
        for i in range(40):
            state.corrections.add(f"{i:02d}.png".encode(), int(i < 4))
    with pytest.raises(
        FilterError, match=r"40 pictures of .* are labelled, 4 with an artifact: learning needs 30, at l"
    ):
        learn(replace(config, run=tmp_path / "nowhere"))


def test_a_model_without_a_locator_is_told(labelled, run, tmp_path):
    with pytest.raises(FilterError, match="does not say where artifacts are"):
        learn(replace(labelled, run=run, learned=tmp_path / "learned"))


def test_no_run_is_written_over(labelled, learned):
    with pytest.raises(FilterError, match="is there already"):
        learn(replace(labelled, learned=learned[0].run))


def test_a_model_is_fitted_to_clean_portraits_alone(located_run, tmp_path):
    folder = tmp_path / "clean"
    for i in range(36):
        draw_portrait(folder / f"{i:02d}.png", seed=100 + i, artifact=False, size=128)
    (folder / "broken.png").write_bytes(b"no picture")
    fitted = fit_generator(FilterConfig(folder, located_run, device="cpu"))
    assert fitted.after["n"] == 72 and fitted.after["n_artifacts"] == 36
    detector = Detector.load(fitted.run, device="cpu")
    flagged = [detector.predict(folder / f"{i:02d}.png").flagged for i in range(36)]
    assert np.mean(flagged) <= 0.1
    assert (fitted.run / "metrics.json").exists()


def test_fitting_needs_thirty_clean_portraits(located_run, tmp_path):
    draw_portrait(tmp_path / "clean" / "0.png", seed=0, artifact=False)
    with pytest.raises(FilterError, match=r"1 clean portraits in .*: fitting needs 30"):
        fit_generator(FilterConfig(tmp_path / "clean", located_run, device="cpu"))
