import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from artifact_utils.filtering import lessons
from artifact_utils.filtering.lessons import (
    NO_LOOK,
    Labels,
    Views,
    cross_validate,
    folds,
    joined,
    scores,
    teach,
    untaught,
)


def views_of(families, averages=None):
    """One look a picture."""
    families = torch.tensor(families, dtype=torch.float32)
    averages = torch.zeros(len(families), 1) if averages is None else torch.tensor(averages, dtype=torch.float32)
    return Views(families[:, None], averages[:, None])


def labels_of(views, targets, groups=None, rule="macro_f1"):
    targets = np.asarray(targets, dtype=np.int64)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    return Labels(views, targets, groups, views[:0], targets[:0], rule)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def auc(labels, lesson):
    return roc_auc_score(labels.targets, scores(labels.views, lesson))


def test_the_lesson_that_changes_nothing_gives_the_scores_of_the_model():
    views = views_of([[1.0, -3.0], [-2.0, 0.5]])
    said = scores(views, untaught(views, 0.5, 0.4))
    assert torch.allclose(said, torch.logsumexp(2 * views.families[:, 0], dim=1) / 2 / 0.5)


def test_a_family_that_a_person_calls_no_fault_stops_counting(rng):
    hands, text = rng.normal(size=(2, 80))
    labels = labels_of(views_of(np.stack([hands, text + 1], axis=1)), hands > 0.3)
    lesson = teach(labels, 1.0)
    assert auc(labels, untaught(labels.views, 1.0, 0.5)) < 0.8 < 0.97 < auc(labels, lesson)
    only_text = scores(views_of([[-3.0, 2.0]]), lesson)
    only_hands = scores(views_of([[2.0, -3.0]]), lesson)
    assert only_text < 0 < only_hands


def test_what_the_whole_picture_says_is_learned_in_whatever_units(rng):
    families = rng.normal(size=(80, 1))
    channel = rng.normal(size=80)
    labels = labels_of(views_of(families, np.stack([1000 + 50 * channel, np.ones(80)], axis=1)), channel > 0)
    lesson = teach(labels, 1.0)
    assert auc(labels, lesson) > 0.95
    assert lesson.weights[1] == pytest.approx(0, abs=1e-4)


def test_made_artifacts_beside_the_labels_are_not_forgotten(rng):
    families = np.concatenate([rng.normal(size=(40, 1)), rng.normal(3, 1, (40, 1)), rng.normal(-3, 1, (40, 1))])
    targets = np.array([*rng.integers(0, 2, 40), *[1] * 40, *[0] * 40])
    opposite = views_of(-families[:40], np.ones((40, 1)))  # labels that say nothing, and clean ones score higher
    beside, beside_targets = views_of(families[40:], np.ones((80, 1))), targets[40:]
    labels = Labels(opposite, targets[:40], np.arange(40), beside, beside_targets)
    assert roc_auc_score(beside_targets, scores(beside, teach(labels, 1.0))) > 0.95


def test_the_clearest_look_at_each_family_counts(rng):
    families = torch.full((1, 3, 2), NO_LOOK)
    families[0, 0], families[0, 1] = torch.tensor([2.0, -1.0]), torch.tensor([-1.0, 1.0])
    lesson = untaught(views_of([[0.0, 0.0]]), 1.0, 0.5)
    seen = scores(Views(families, torch.zeros(1, 3, 1)), lesson)
    assert torch.allclose(seen, scores(views_of([[2.0, 1.0]]), lesson))
    both = joined(views_of([[2.0, 1.0]]), Views(families, torch.zeros(1, 3, 1)))
    assert torch.allclose(scores(both, lesson), seen.repeat(2))


def test_the_threshold_keeps_the_rule_on_pictures_that_were_left_out(rng):
    targets = np.repeat([0, 1], 60)
    labels = labels_of(views_of(rng.normal(targets * 1.5, 1)[:, None]), targets, rule="false_alarms=0.05")
    lesson = teach(labels, 1.0)
    flagged = torch.sigmoid(scores(labels.views, lesson)).numpy() >= lesson.threshold
    assert flagged[:60].mean() <= 0.1
    assert flagged[60:].mean() > 0.2


def test_cross_validation_sees_through_labels_that_only_name_the_group(rng):
    """Pictures of a group are alike and have one label, which says nothing of other groups."""
    groups = np.repeat(np.arange(20), 4)
    averages = rng.normal(size=(20, 60))[groups]
    targets = rng.integers(0, 2, 20)[groups]
    labels = labels_of(views_of(np.zeros((80, 1)), averages), targets, groups)
    assert auc(labels, teach(labels, 1.0)) > 0.95
    said, verdicts = cross_validate(labels, 1.0)
    assert roc_auc_score(targets, said) < 0.75
    assert (verdicts == targets).mean() < 0.75


def test_cross_validation_agrees_where_there_is_something_to_learn(rng, monkeypatch):
    monkeypatch.setattr(lessons, "REPEATS", 1)
    targets = np.repeat([0, 1], 30)
    labels = labels_of(views_of(np.stack([rng.normal(targets), 2 * rng.normal(size=60)], axis=1)), targets)
    said, verdicts = cross_validate(labels, 1.0)
    before = auc(labels, untaught(labels.views, 1.0, 0.5))
    assert roc_auc_score(targets, said) > before
    assert (verdicts == targets).mean() > 0.6
    again, _ = cross_validate(labels, 1.0)
    assert torch.equal(said, again)


@pytest.mark.parametrize("groups", [np.zeros(20, dtype=int), np.arange(20) // 10])
def test_few_groups_are_parted_as_often_as_they_allow(groups):
    labels = labels_of(views_of(np.zeros((20, 1))), np.arange(20) % 2, groups)
    for learn, held in folds(labels, 0):
        assert len(learn) and len(held)
        if len(set(groups)) > 1:
            assert not set(groups[learn]) & set(groups[held])
