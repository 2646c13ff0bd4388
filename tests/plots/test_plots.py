import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from artifact_utils import plots
from artifact_utils.audit import find_duplicates, scan
from artifact_utils.metrics import by_slice, evaluate


@pytest.fixture
def folder(tmp_path):
    """Five pictures, the first twice: once in each split."""
    places = ["train/no_artifacts", "test/no_artifacts", "train/no_artifacts", "train/artifacts", "test/artifacts"]
    for i, (place, seed) in enumerate(zip(places, (0, 0, 1, 2, 3), strict=True)):
        path = tmp_path / place / f"image_{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((300, 200)).save(path)
    return tmp_path


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], [90, 10])
    return np.clip(rng.normal(0.3 + 0.4 * targets, 0.15), 0, 1), targets


def drawn(figure):
    """Render it, which is when most drawing errors appear, and say how many visible panels it has."""
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg")
    assert len(buffer.getvalue()) < 300_000
    return sum(ax.get_visible() for ax in figure.axes)


def test_figures_of_an_audit(folder):
    table = scan(folder)
    assert drawn(plots.plot_class_balance(table)) == 1
    assert drawn(plots.plot_distributions(table, ["width", "bytes", "brightness", "sharpness"])) == 4
    assert drawn(plots.plot_samples(folder, table, per_class=2)) == 4
    assert drawn(plots.plot_duplicates(folder, find_duplicates(table))) == 2
    assert drawn(plots.plot_extremes(folder, table, ["brightness", "sharpness"], n=2)) == 8


def test_samples_and_pairs_come_from_the_table(folder):
    table = scan(folder)
    assert drawn(plots.plot_samples(folder, table.iloc[:0])) == 0
    assert drawn(plots.plot_duplicates(folder, find_duplicates(table.iloc[:1]))) == 0
    titles = [part.get_suptitle() for part in plots.plot_samples(folder, table).subfigs]
    assert titles == ["no_artifacts: 3 of 3", "artifacts: 2 of 2"]


def test_extremes_run_from_the_lowest_to_the_highest(folder):
    table = scan(folder)
    captions = [ax.get_xlabel() for ax in plots.plot_extremes(folder, table, ["brightness"], n=1).axes]
    assert captions == [f"{table['brightness'].min():.2f}", f"{table['brightness'].max():.2f}"]


def test_balance_counts_each_class_of_each_split(folder):
    ax = plots.plot_class_balance(scan(folder)).axes[0]
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[2, 1], [1, 1]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["train\n33% artifacts", "test\n50% artifacts"]


def test_an_empty_table_still_draws(folder):
    table = scan(folder).iloc[:0]
    assert drawn(plots.plot_distributions(table)) == 3


def test_learning_curves_draw_the_columns_there_are():
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3, 2, 1], "val_loss": [3, 2, 2.5]})
    figure = plots.plot_learning_curves(history)
    assert drawn(figure) == 2
    assert [line.get_label() for line in figure.axes[0].lines] == ["training loss", "validation loss"]
    figure = plots.plot_learning_curves(history.assign(val_macro_f1=[0.4, 0.9, 0.8], val_roc_auc=[0.5, None, 0.9]))
    assert figure.axes[1].lines[-1].get_label() == "best epoch: 2"
    assert drawn(figure) == 2


def test_confusion_matrix_shows_counts_and_shares():
    figure = plots.plot_confusion_matrix([[178, 2], [5, 15]])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["178\n98.9%", "2\n1.1%", "5\n25.0%", "15\n75.0%"]
    assert drawn(plots.plot_confusion_matrix([[0, 0], [0, 0]])) == 1


def test_metrics_are_drawn_with_their_intervals(scores):
    with_intervals = plots.plot_metrics(evaluate(*scores, 0.5))
    assert drawn(with_intervals) == 1
    assert [text.get_text() for text in with_intervals.axes[0].texts][-5] == f"{evaluate(*scores, 0.5)['macro_f1']:.3f}"
    without = plots.plot_metrics(evaluate([0.2], [0], 0.5, n_bootstrap=0))
    assert len(without.axes[0].lines) < len(with_intervals.axes[0].lines)


def test_curves_and_histogram_mark_the_threshold(scores):
    figure = plots.plot_roc_and_precision_recall(*scores, 0.5)
    assert drawn(figure) == 2
    recall = (scores[0][scores[1] == 1] >= 0.5).mean()
    assert figure.axes[0].lines[-1].get_ydata()[0] == recall
    assert figure.axes[1].lines[-1].get_xdata()[0] == recall
    assert drawn(plots.plot_probabilities(*scores, 0.5)) == 1


def test_a_summary_shows_the_numbers_of_the_run(scores):
    probabilities, targets = scores
    metrics = evaluate(probabilities, targets, 0.5, n_bootstrap=20)
    run = {"arch": "resnet18", "parameters": 11e6, "train_seconds": 90.0, "seed": 3, "best_epoch": 2, "threshold": 0.5}
    history = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [0.4, 0.2], "val_loss": [0.3, 0.2], "val_macro_f1": [0.5, 0.9]}
    )
    predictions = pd.DataFrame({"target": targets, "probability": probabilities})
    figure = plots.plot_summary(run | {"test": metrics}, history, predictions)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert f"{metrics['macro_f1']:.3f}" in texts
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.4, 0.2]
    untrained = plots.plot_summary(run | {"validation": metrics}, history[:0], predictions)
    assert drawn(untrained) == 6
    assert untrained.axes[2].get_title(loc="left").startswith("Validation set, 100 pictures")


def test_what_is_right_and_grounded_is_shown_beside_the_accuracy(scores):
    ground = {"share_right_and_grounded": 0.777, "interval": [0.6, 0.9]}
    metrics = evaluate(*scores, 0.5, n_bootstrap=20) | {"grounded": ground}
    titles = [label.get_text() for label in plots.plot_metrics(metrics).axes[0].get_yticklabels()]
    assert titles.index("right and grounded") == titles.index("accuracy") + 1
    run = {"arch": "resnet18", "parameters": 11e6, "train_seconds": 90.0, "seed": 3, "best_epoch": 2, "threshold": 0.5}
    predictions = pd.DataFrame({"target": scores[1], "probability": scores[0]})
    figure = plots.plot_summary(run | {"test": metrics}, pd.DataFrame({"epoch": []}), predictions)
    assert "0.777" in [text.get_text() for text in figure.axes[2].texts]


def test_one_class_has_no_curve_but_a_figure():
    assert drawn(plots.plot_roc_and_precision_recall([0.2, 0.9], [1, 1], 0.5)) == 2
    assert drawn(plots.plot_probabilities([0.2, 0.9], [1, 1], 0.5)) == 1
    assert drawn(plots.plot_probabilities([], [], 0.5)) == 1


def test_a_gallery_holds_one_kind_of_answer_from_the_surest_on(folder):
    predictions = scan(folder)[["path"]].assign(
        target=[1, 0, 0, 0, 0], predicted=[1, 0, 1, 0, 0], probability=[0.8, 0.3, 0.6, 0.1, 0.2]
    )
    figure = plots.plot_outcome(folder, predictions, "true negative")
    assert [ax.get_xlabel() for ax in figure.axes if ax.get_visible()] == ["0.100", "0.200", "0.300"]
    assert drawn(figure) == 3
    assert drawn(plots.plot_outcome(folder, predictions, "true negative", n=2)) == 2
    assert drawn(plots.plot_outcome(folder, predictions, "false negative")) == 0
    with pytest.raises(ValueError, match="unknown outcome 'hit'"):
        plots.plot_outcome(folder, predictions, "hit")


def test_a_gallery_of_pictures_has_a_name_per_row():
    picture, mask = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool)
    figure = plots.plot_gallery({"third_eye": [picture, mask], "seam": [picture]}, columns=["0.2", "1.0"])
    assert sum(bool(ax.images) for ax in figure.axes) == 3
    assert {text.get_text() for ax in figure.axes for text in ax.texts} == {"third\neye", "seam"}
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["0.2", "1.0"]
    assert len(plots.plot_gallery({str(i): [picture] for i in range(5)}, groups=2).axes) == 12


def test_drawing_leaves_no_trace_in_pyplot(scores):
    before = dict(mpl.rcParams)
    plots.plot_probabilities(*scores, 0.5)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_where_puts_every_map_under_its_picture():
    pictures = [np.full((40, 40, 3), 90, np.uint8)] * 3
    figure = plots.plot_where(pictures, [np.eye(40, dtype=np.float32)] * 3, ["a", "b", "c"], columns=2)
    drawn = [len(ax.images) for ax in figure.axes]
    assert drawn == [1, 1, 2, 2, 1, 0, 2, 0]
    assert figure.axes[0].get_title() == "a"


def test_answers_of_both_ends_are_shown_with_map_probability_and_kind(folder):
    predictions = scan(folder)[["path"]].assign(
        target=1, predicted=1, probability=[0.9, 0.6, 0.8, 0.7, 0.95], kind=["third_eye", "", None, "fist", "strap"]
    )
    asked = []

    def locate(picture):
        asked.append(picture.shape)
        return np.eye(8, dtype=np.float32)

    figure = plots.plot_answers(folder, predictions, "true positive", locate, n=4)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["0.950\nstrap", "0.900\nthird eye", "0.700\nfist", "0.600"]
    assert {text.get_text() for ax in figure.axes for text in ax.texts} == {"most certain", "least certain"}
    assert len(asked) == 4
    assert drawn(plots.plot_answers(folder, predictions, "false negative", locate)) == 0
    assert figure.get_suptitle() == "True positives: 4 of 5"
    named = plots.plot_answers(folder, predictions.assign(named="face"), "true positive", locate, n=4)
    assert [ax.get_title() for ax in named.axes if ax.get_title()][::3] == ["0.950 face\nstrap", "0.600 face"]


def test_reliability_shows_the_error_before_and_after(scores):
    figure = plots.plot_reliability({"before": scores[0], "after": scores[0] ** 2}, scores[1])
    assert drawn(figure) == 4
    assert figure.axes[0].get_title(loc="left").startswith("before: ECE 0.")
    assert drawn(plots.plot_reliability({"nothing": []}, [])) == 2


def test_slices_are_drawn_with_their_counts():
    table = pd.DataFrame(
        {"target": [1, 1, 0, 0], "predicted": [1, 0, 1, 0], "kind": ["fist", "strap", "", ""], "group": list("aabb")}
    )
    figure = plots.plot_slices(by_slice(table, ["kind", "group"]))
    assert drawn(figure) == 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "kind: fist", "kind: strap", "group: a", "group: b",
    ]  # fmt: skip
    assert "1 of 2" in [text.get_text() for text in figure.axes[0].texts]
    assert drawn(plots.plot_slices(by_slice(table.iloc[:0], ["kind"]))) == 2


def test_robustness_is_a_curve_for_each_perturbation():
    rows = [("none", np.nan, 0.9), ("blur", 2.0, 0.5), ("blur", 1.0, 0.7), ("noise", 8.0, 0.6)]
    table = pd.DataFrame(rows, columns=["perturbation", "degree", "macro_f1"])
    table = table.assign(recall=table["macro_f1"], false_alarms=0.1)
    figure = plots.plot_robustness(table)
    assert drawn(figure) == 2
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "2"]
    assert list(figure.axes[0].lines[1].get_ydata()) == [0.7, 0.5]


def test_feature_maps_are_shown_as_a_picture_and_as_sliders(monkeypatch):
    shown = []
    monkeypatch.setattr("artifact_utils.plots.features.display", lambda bundle, raw: shown.append(bundle))
    maps = {f"stage {i} of 2": np.random.default_rng(i).random((10, 6, 6), dtype=np.float32) for i in (1, 2)}
    plots.step_through(np.zeros((40, 40, 3), np.uint8), maps, n=4)
    assert Image.open(io.BytesIO(shown[0]["image/jpeg"])).width > 300
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    figure = plots.plot_feature_maps(np.zeros((40, 40, 3), np.uint8), maps, n=4, first=8)
    assert [ax.get_title() for ax in figure.axes if ax.get_title(loc="center")] == ["9", "10"] * 2
