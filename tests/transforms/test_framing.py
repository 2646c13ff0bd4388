import numpy as np
import pytest
from helpers import draw_face

from artifact_utils.faces import Face
from artifact_utils.transforms.framing import SMALLEST, Frame, close_up, draw_frame, finish
from artifact_utils.transforms.looks import PAD_COLOUR

SQUARE = draw_face(128, 128)
FACE = Face.guess(128, 128)


def test_a_close_up_shows_its_part_and_the_face_where_it_then_is():
    square = np.zeros((100, 100, 3), np.uint8)
    square[40:60, 20:40] = 255
    shown, face = close_up(Frame(share=0.5, across=0.0, down=0.5), square, FACE)
    rows, columns = np.nonzero(shown[..., 0] > 128)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 69, 40, 79)
    assert face.eyes == pytest.approx([2 * FACE.eyes[0] + 0.5, 2 * (FACE.eyes[1] - 25) + 0.5])
    assert close_up(Frame(), square, None)[0] is square


def test_drawn_frames_keep_the_face_and_are_of_all_kinds():
    rng = np.random.default_rng(0)
    frames = [draw_frame(rng, FACE, 128) for _ in range(200)]
    for frame in frames:
        assert SMALLEST <= frame.share <= 1 and 0 <= frame.across <= 1
        _, face = close_up(frame, SQUARE, FACE)
        assert (face.at(0, 0.5) > 0).all() and (face.at(0, 0.5) < 128).all()
    assert 0.5 < np.mean([frame.share < 1 for frame in frames]) < 0.9
    assert 0.1 < np.mean([frame.resolution < 1 for frame in frames]) < 0.5
    assert 0.05 < np.mean([frame.visible < 1 for frame in frames]) < 0.4


def test_bars_are_padding_without_an_artifact_and_never_cover_most_of_one():
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 30:50] = 3
    barred, left = finish(Frame(visible=0.5), SQUARE, mask)
    assert (barred[:, :32] == PAD_COLOUR).all() and np.array_equal(barred[:, 32:96], SQUARE[:, 32:96])
    assert not left[:, :32].any() and (left[:, 32:50] == 3).all()
    kept, same = finish(Frame(visible=0.2), SQUARE, mask)
    assert np.array_equal(kept, SQUARE) and np.array_equal(same, mask)


def test_low_resolution_takes_detail_alone():
    coarse, _ = finish(Frame(resolution=0.5), SQUARE, None)
    assert coarse.shape == SQUARE.shape
    assert np.abs(np.diff(coarse.astype(int), axis=1)).mean() < np.abs(np.diff(SQUARE.astype(int), axis=1)).mean()
