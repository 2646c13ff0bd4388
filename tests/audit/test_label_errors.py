import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from artifact_utils.audit import embed, find_label_errors


@pytest.mark.parametrize("seed", range(3))
def test_most_flipped_labels_are_among_the_most_suspicious(seed):
    rng = np.random.default_rng(seed)
    truth = (rng.random(600) < 0.1).astype(int)
    embeddings = rng.normal(size=(600, 20)).astype(np.float32)
    embeddings[:, :10] += 1.5 * truth[:, None]
    flipped = rng.permutation(600)[:30]
    labels = truth.copy()
    labels[flipped] = 1 - labels[flipped]
    errors = find_label_errors(embeddings, labels, np.arange(600) // 2)
    assert (errors["rank"].to_numpy()[flipped] <= 60).mean() >= 0.8
    assert errors["quality"].between(0, 1).all()
    assert sorted(errors["rank"]) == list(range(1, 601))


def test_no_group_judges_itself():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    people = rng.normal(size=(40, 50)).astype(np.float32) * 5
    labels = rng.integers(0, 2, 40)[groups]  # only who is on it tells the label
    probability = find_label_errors(people[groups], labels, groups)["probability"]
    assert roc_auc_score(labels, probability) < 0.75
    assert roc_auc_score(labels, find_label_errors(people[groups], labels)["probability"]) > 0.9


def test_label_errors_need_two_groups_of_each_class():
    with pytest.raises(ValueError, match=r"two groups .* \[9, 1\]"):
        find_label_errors(np.zeros((10, 3), np.float32), [0] * 9 + [1])


def test_an_unreadable_picture_has_no_embedding(dataset_folder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no")
    good = next((dataset_folder / "train" / "artifacts").iterdir())
    embeddings = embed([good, tmp_path / "broken.png"])
    assert np.isfinite(embeddings[0]).all()
    assert np.isnan(embeddings[1]).all()
    assert np.isnan(embed([tmp_path / "broken.png"])).all()
