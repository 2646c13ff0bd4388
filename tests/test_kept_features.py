import shutil
from dataclasses import replace

import pytest
import torch
from helpers import draw_portrait, weights_of

from artifact_utils.checkpoints import initial_model
from artifact_utils.config import resolve
from artifact_utils.evaluation.measuring import predict
from artifact_utils.kept_features import CODE, PACKAGE, FeatureStore, KeptFeatures, keep_features
from artifact_utils.loaders import build_loaders
from artifact_utils.runs import TrainingInterrupted
from artifact_utils.training import train


@pytest.fixture
def frozen(config, own_copy):
    """A run of seconds with a frozen backbone, on a data set whose cache is the test's own."""
    return replace(config, data=own_copy, frozen=1.0, draws=2, weights="imagenet", epochs=2)


def kept_files(config):
    return {file.name: file for file in (config.data / ".cache" / "features").iterdir()}


class BackboneRanError(Exception):
    """Raised in place of a look at pictures."""


def forbid_looks(monkeypatch, *, after=0):
    """Let the backbone look at so many files' pictures and then at none."""
    looks, see = [], FeatureStore._see

    def counted(store, batch):
        looks.append(batch)
        if len(looks) > after:
            raise BackboneRanError
        return see(store, batch)

    monkeypatch.setattr(FeatureStore, "_see", counted)


def test_a_frozen_backbone_looks_once_and_a_second_run_finds_what_it_saw(frozen, monkeypatch):
    first = train(frozen)
    files = kept_files(frozen)
    assert files
    forbid_looks(monkeypatch)
    second = train(replace(frozen, out=frozen.out.with_name("second")))
    assert kept_files(frozen).keys() == files.keys()
    one, other = weights_of(first), weights_of(second)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_interrupted_command_goes_on_with_what_was_kept(frozen, monkeypatch):
    expected = weights_of(train(frozen))
    shutil.rmtree(frozen.data / ".cache")
    again = replace(frozen, out=frozen.out.with_name("again"))
    with monkeypatch.context() as patch:
        forbid_looks(patch, after=1)
        with pytest.raises(BackboneRanError):
            train(again)
    (kept,) = kept_files(frozen).values()
    number = kept.stat().st_ino
    found = weights_of(train(again))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(kept_files(frozen)) > 1
    assert kept.stat().st_ino == number  # it was not written again


def test_without_a_cache_features_are_kept_in_memory_and_are_the_same(frozen):
    expected = weights_of(train(frozen))
    found = weights_of(train(replace(frozen, cache_gb=0.0, out=frozen.out.with_name("in_memory"))))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(frozen):
    expected = weights_of(train(frozen))
    stopped = replace(frozen, out=frozen.out.with_name("stopped"))

    def stop(row):
        raise TrainingInterrupted("enough")

    with pytest.raises(TrainingInterrupted):
        train(stopped, on_epoch_end=stop)
    found = weights_of(train(replace(stopped, resume=True)))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_logits_of_kept_features_are_those_of_the_pictures(frozen):
    config = resolve(replace(frozen, synthetic_fraction=1.0))
    pictures = build_loaders(config)
    model = initial_model(config)
    kept = keep_features(config, model, pictures)
    assert isinstance(kept.validation.dataset, KeptFeatures)
    assert len(kept.train.dataset) == 2 * len(pictures.train.sampler)  # the least
    more = keep_features(replace(config, draws=4 * len(pictures.train.sampler) - 1), model, pictures)
    assert len(more.train.dataset) == 3 * len(pictures.train.sampler)
    (seen, targets), (expected, expected_targets) = predict(model, kept.validation), predict(model, pictures.validation)
    assert torch.equal(targets, expected_targets)
    torch.testing.assert_close(seen, expected, atol=5e-3, rtol=5e-3)  # 16 bits


def test_a_draw_is_named_by_all_that_its_features_depend_on(frozen):
    def names(**changes):
        config = resolve(replace(frozen, **changes))
        loaders = build_loaders(config)
        return FeatureStore(config, initial_model(config)).names(loaders.train.dataset, list(loaders.train.sampler))

    usual = names()
    assert names() == usual
    for changes in ({"augment": "heavy"}, {"seed": 1}, {"image_size": 48}, {"harmless_fraction": 0.5}, {"frames": 0.5}):
        assert not set(names(**changes)) & set(usual)
    train_folder = frozen.data / "train" / "no_artifacts"
    draw_portrait(min(train_folder.iterdir()), seed=99, artifact=False)
    changed = names()
    assert changed != usual
    assert set(changed) & set(usual)  # those of the other pictures stay


def test_runs_on_some_of_the_pictures_share_what_was_seen_of_them(frozen, monkeypatch):
    seen, see = [], FeatureStore._see
    monkeypatch.setattr(FeatureStore, "_see", lambda store, batch: seen.append(len(batch.target)) or see(store, batch))
    train(replace(frozen, synthetic_fraction=1.0, out=frozen.out.with_name("all")))
    n_of_all = sum(seen)
    n_clean = len(list((frozen.data / "train" / "no_artifacts").iterdir()))
    for file in sorted((frozen.data / "train" / "no_artifacts").iterdir())[: n_clean // 4]:
        file.unlink()
    train(replace(frozen, synthetic_fraction=1.0, out=frozen.out.with_name("some")))
    assert sum(seen) - n_of_all < n_of_all / 2


def test_all_code_that_makes_a_draw_is_part_of_the_names():
    assert all(list(PACKAGE.glob(pattern)) for pattern in CODE)


def test_what_is_not_used_is_given_up_for_what_is(frozen):
    train(frozen)
    old = kept_files(frozen)
    n_bytes = sum(file.stat().st_size for file in old.values())
    squares = sum(file.stat().st_size for file in (frozen.data / ".cache").glob("squares-*.bin"))
    limit = (squares + 1.5 * n_bytes) / 1e9
    train(replace(frozen, out=frozen.out.with_name("other"), augment="heavy", cache_gb=limit))
    left = kept_files(frozen)
    assert len(old.keys() - left.keys()) >= 1
    assert sum(file.stat().st_size for file in left.values()) <= 1.5 * n_bytes


def test_where_nothing_fits_every_epoch_runs_the_whole_network(frozen, caplog):
    config = resolve(replace(frozen, cache_gb=1e-6))
    loaders = build_loaders(config)
    assert keep_features(config, initial_model(config), loaders) is loaders
    assert "no room for features in the cache" in caplog.text


def test_a_damaged_file_is_made_anew(frozen):
    expected = weights_of(train(frozen))
    for file in kept_files(frozen).values():
        file.write_bytes(file.read_bytes()[:1000])
    found = weights_of(train(replace(frozen, out=frozen.out.with_name("again"))))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_frozen_clip_leaves_its_backbone_out_of_checkpoint_and_state(frozen):
    run = train(replace(frozen, arch="clip_vit_b16", epochs=1))
    assert sum(file.stat().st_size for file in run.iterdir() if file.suffix in (".pt", ".safetensors")) < 4e6
    assert not [name for name in weights_of(run) if name.startswith("backbone.")]
