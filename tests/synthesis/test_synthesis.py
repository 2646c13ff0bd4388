"""Injected artifacts are deterministic, visible, and lie where their mask says; harmless edits have no such mask."""

import cv2
import numpy as np
import pytest

from artifact_utils.faces import Face
from artifact_utils.synthesis import FAMILIES, KINDS, harmless_edit, inject
from artifact_utils.synthesis.compositing import grain, seamless, settle, skin_mask, skin_ramp
from artifact_utils.synthesis.glyphs import SCRIPTS, script_line
from artifact_utils.synthesis.harmless import EDITS


def draw_portrait(height: int = 128, width: int = 128) -> np.ndarray:
    """A head with eyes, nose and mouth where `Face.guess` expects them, on a grey backdrop with a little grain."""
    face = Face.guess(height, width)
    portrait = np.full((height, width, 3), (120, 122, 126), np.uint8)

    def oval(
        centre: np.ndarray | tuple[float, float], radii: tuple[float, float], colour: tuple[int, int, int]
    ) -> None:
        axes = tuple(max(round(r * face.unit), 1) for r in radii)
        cv2.ellipse(portrait, (round(centre[0]), round(centre[1])), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(face.at(0, 0.2), (1.25, 1.8), (50, 35, 28))
    oval(face.at(0, 3.2), (2.0, 1.3), (225, 225, 225))
    oval(face.at(0, 0.45), (1.0, 1.25), (200, 150, 125))
    for eye in (face.left_eye, face.right_eye):
        oval(eye, (0.2, 0.1), (240, 240, 240))
        oval(eye, (0.08, 0.08), (40, 30, 25))
    oval(face.nose, (0.14, 0.1), (170, 120, 100))
    oval(face.mouth, (0.32, 0.1), (160, 70, 75))
    noise = np.random.default_rng(0).normal(0, 2, portrait.shape)
    return np.clip(portrait + noise, 0, 255).astype(np.uint8)


PORTRAIT = draw_portrait()


@pytest.mark.parametrize("kind", KINDS)
def test_same_generator_state_gives_the_same_artifact(kind: str) -> None:
    first, second = (inject(PORTRAIT, np.random.default_rng(3), kind=kind, strength=0.7) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)
    assert (first.kind, first.strength) == (second.kind, second.strength)


@pytest.mark.parametrize("kind", KINDS)
def test_only_pixels_under_the_mask_change_and_visibly(kind: str) -> None:
    before = PORTRAIT.copy()
    injected = inject(PORTRAIT, np.random.default_rng(1), kind=kind, strength=0.6)
    assert np.array_equal(PORTRAIT, before)  # the input is left alone
    assert injected.image.dtype == np.uint8 and injected.image.shape == PORTRAIT.shape
    assert injected.mask.dtype == bool and injected.mask.shape == PORTRAIT.shape[:2]
    change = np.abs(injected.image.astype(int) - PORTRAIT).max(axis=2)
    assert not change[~injected.mask].any()
    assert change[injected.mask].mean() > 12
    assert 0.0015 <= injected.mask.mean() < 0.75
    assert (change >= 4)[injected.mask].mean() > 0.4  # the mask is not just a box around a speck


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(64, 64), (96, 150), (150, 96)])
def test_works_on_small_and_oblong_pictures_without_a_face(kind: str, shape: tuple[int, int]) -> None:
    for strength in (0.0, 1.0):
        injected = inject(draw_portrait(*shape), np.random.default_rng(5), kind=kind, strength=strength)
        assert injected.image.shape == (*shape, 3)
        assert injected.mask.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_artifact_follows_the_face(family: str) -> None:
    upper_right_quarter = np.array([[0.5, 0, 64.0], [0, 0.5, 0]])
    face = Face.guess(128, 128).moved(upper_right_quarter)
    kind = {"text": "lettering_on_face", "objects": "torn_shape"}.get(family, FAMILIES[family][0])
    injected = inject(PORTRAIT, np.random.default_rng(0), kind=kind, strength=0.5, face=face)
    rows, columns = np.nonzero(injected.mask)
    assert rows.mean() < 64 < columns.mean()


@pytest.mark.parametrize("kind", ["doubled_eye", "third_eye", "merged_faces", "hand_on_mouth", "swollen_feature"])
@pytest.mark.parametrize("way", [-1, 1])
def test_side_views_are_possible(kind: str, way: int) -> None:
    eye = (64 + way * 12.0, 56.0)
    face = Face(eye, eye, (64 + way * 26.0, 70.0), (64 + way * 18.0, 82.0), (64 + way * 14.0, 98.0))
    assert face.is_profile and np.sign(face.facing) == way
    assert inject(PORTRAIT, np.random.default_rng(2), kind=kind, face=face).mask.any()


def test_family_or_nothing_draws_a_kind() -> None:
    rng = np.random.default_rng(0)
    assert {inject(PORTRAIT, rng, kind="glitch").kind for _ in range(20)} <= set(FAMILIES["glitch"])
    drawn = [inject(PORTRAIT, rng) for _ in range(30)]
    assert len({injected.kind for injected in drawn}) > 10
    assert all(0.2 <= injected.strength <= 1 for injected in drawn)


def test_more_strength_changes_more() -> None:
    for family in FAMILIES:
        weak, strong = (
            np.mean(
                [inject(PORTRAIT, np.random.default_rng(i), kind=family, strength=s).mask.mean() for i in range(12)]
            )
            for s in (0.1, 1.0)
        )
        assert strong > weak, family


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ghost"}, "unknown artifact 'ghost'"),
        ({"strength": 1.5}, "strength must lie in"),
        ({"image": PORTRAIT[..., 0]}, "expected a uint8 picture"),
        ({"image": PORTRAIT / 255}, "expected a uint8 picture"),
        ({"image": PORTRAIT[:20]}, "at least 32 x 32 pixels, not 128 x 20"),
    ],
)
def test_wrong_arguments_are_named(change: dict, message: str) -> None:
    arguments = {"image": PORTRAIT, "rng": np.random.default_rng(0), **change}
    with pytest.raises(ValueError, match=message):
        inject(**arguments)


def test_harmless_edits_are_deterministic_and_mild() -> None:
    seen = set()
    for seed in range(150):
        edited, name = harmless_edit(PORTRAIT, np.random.default_rng(seed))
        again, _ = harmless_edit(PORTRAIT, np.random.default_rng(seed))
        assert np.array_equal(edited, again)
        assert edited.dtype == np.uint8 and edited.shape == PORTRAIT.shape
        assert np.abs(edited.astype(int) - PORTRAIT).mean() < 30
        seen.add(name)
    assert seen == {edit.__name__ for edit in EDITS}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_harmless_edit_leaves_eyes_nose_and_mouth_where_they_are(edit) -> None:
    face = Face.guess(*PORTRAIT.shape[:2])
    for seed in range(3):
        edited = edit(PORTRAIT.astype(np.float32), np.random.default_rng(seed), face)
        for point in (face.left_eye, face.right_eye, face.nose, face.mouth):
            x, y = (round(v) for v in point)
            before, after = (
                cv2.GaussianBlur(np.float32(picture), (0, 0), 2)[y, x].mean() for picture in (PORTRAIT, edited)
            )
            assert abs(after - before) < 40


@pytest.mark.parametrize("name", ["warped_and_back", "copied_in_place", "resized_and_back", "recoded"])
def test_steps_without_a_fault_change_next_to_nothing(name: str) -> None:
    for seed in range(5):
        edited, _ = harmless_edit(PORTRAIT, np.random.default_rng(seed), kinds=(name,))
        assert 0 < np.abs(edited.astype(int) - PORTRAIT).mean() < 4


def test_harmless_edits_can_be_chosen() -> None:
    chosen = ("freckles", "sharpened")
    assert {harmless_edit(PORTRAIT, np.random.default_rng(i), kinds=chosen)[1] for i in range(12)} == set(chosen)
    with pytest.raises(ValueError, match=r"unknown harmless edit in .*third_eye"):
        harmless_edit(PORTRAIT, np.random.default_rng(0), kinds=("third_eye",))


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_give_lines_of_the_size_asked_for(script: str) -> None:
    for size in (7, 30):
        line = script_line(np.random.default_rng(1), size, script, 2)
        assert line.shape[0] == int(1.5 * size) and line.shape[1] > 3 * size
        assert line.min() >= 0 and 0.5 < line.max() <= 1
        assert 0.03 < line.mean() < 0.6
    assert np.array_equal(line, script_line(np.random.default_rng(1), 30, script, 2))
    assert not np.array_equal(line[:, :60], script_line(np.random.default_rng(2), 30, script, 2)[:, :60])


def test_families_are_deep() -> None:
    assert len(KINDS) == len(set(KINDS))
    assert all(len(kinds) >= 10 for kinds in FAMILIES.values())


def test_a_black_and_white_picture_stays_black_and_white() -> None:
    grey = np.repeat(cv2.cvtColor(PORTRAIT, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    for kind in ("odd_eye", "glowing_eyes", "held_pen", "logo", "beads", "half_denoised", "overlong_tongue"):
        changed = inject(grey, np.random.default_rng(4), kind=kind, strength=0.8).image.astype(int)
        assert np.abs(changed.max(axis=2) - changed.min(axis=2)).max() <= 24, kind


@pytest.mark.parametrize("shape", [(64, 64), (96, 150)])
def test_harmless_edits_work_on_small_and_oblong_pictures(shape: tuple[int, int]) -> None:
    portrait = draw_portrait(*shape)
    face = Face.guess(*shape)
    for edit in EDITS:
        assert edit(portrait.astype(np.float32), np.random.default_rng(0), face).shape == (*shape, 3)
    assert harmless_edit(portrait, np.random.default_rng(0))[0].shape == (*shape, 3)


def test_settle_undoes_invisible_steps() -> None:
    changed = PORTRAIT.astype(np.float32) + 2
    changed[40:60, 40:60] += 50
    image, mask = settle(PORTRAIT, changed)
    assert np.array_equal(image[~mask], PORTRAIT[~mask])
    assert mask[42:58, 42:58].all() and mask.sum() < 500


def test_skin_ramp_takes_the_colour_of_the_face() -> None:
    portrait = PORTRAIT.astype(np.float32)
    ramp = skin_ramp(portrait, skin_mask(portrait, Face.guess(128, 128)))
    assert ramp.shape == (256, 3)
    assert (np.diff(ramp.sum(axis=1)) >= -1e-3).all()  # from dark to light
    assert np.abs(ramp - [200, 150, 125]).max(axis=1).min() < 12


def test_grain_is_measured() -> None:
    noise = np.random.default_rng(0).normal(0, 5, (64, 64, 1)).astype(np.float32)
    assert grain(np.full((64, 64, 3), 128, np.float32) + noise) == pytest.approx(5, rel=0.25)


def test_seamless_blend_takes_the_tone_of_its_surroundings() -> None:
    image = np.full((64, 64, 3), 100, np.float32)
    patch = np.full((64, 64, 3), 140, np.float32)
    patch[30:34, 30:34] = 20  # the feature that is to be seen
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:44, 20:44] = 1
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)
    blended = seamless(image, patch, alpha, 10)
    assert blended[32, 22].mean() == pytest.approx(100, abs=8)
    assert blended[32, 32].mean() < 30


def test_mirrored_face_swaps_its_eyes() -> None:
    face = Face.guess(100, 100)
    mirrored = face.moved(np.array([[-1.0, 0, 100], [0, 1, 0]]), mirrored=True)
    assert mirrored.left_eye == pytest.approx(face.left_eye)
    assert mirrored.right == pytest.approx(face.right)
