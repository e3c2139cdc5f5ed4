"""People's own colours at their edge, and what is laid behind them."""

import numpy as np
import pytest

from portrait_anim.face.cutout import Cutout, _colours, _doubt
from portrait_anim.render.backed import _over, _straight, blurred, filling
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.unit

HAIR, WALL = np.array([60.0, 40.0, 30.0], np.float32), np.array([200.0, 210.0, 220.0], np.float32)


def picture() -> tuple[np.ndarray, np.ndarray]:
    """A dark head with a soft edge before a light wall, and its opacity."""
    alpha = np.zeros((200, 200), np.float32)
    cv2.circle(alpha, (100, 110), 55, 1.0, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 4.0)
    shown = alpha[..., None] * HAIR + (1 - alpha[..., None]) * WALL
    return np.rint(shown).astype(np.uint8), alpha


def test_the_old_wall_is_taken_out_of_the_edge() -> None:
    shown, alpha = picture()
    person, around = _colours(shown, shown, alpha, 40.0)
    assert person.shape == (200, 200, 4)
    edge = (alpha > 0.2) & (alpha < 0.8)
    assert edge.sum() > 500
    own = person[edge, :3] / (person[edge, 3:] / 255)
    assert np.abs(own - HAIR).mean() < 15
    assert np.abs(shown[edge].astype(float) - HAIR).mean() > 50  # what a plain cut would show
    assert (person[alpha == 0] == 0).all()
    assert (person[alpha == 1, :3] == shown[alpha == 1]).all()
    assert np.abs(around.astype(float) - HAIR).mean() < 12  # nothing of the wall anywhere


def test_colours_and_opacity_come_back_from_a_transparent_frame() -> None:
    shown, alpha = picture()
    person, around = _colours(shown, shown, alpha, 40.0)
    colours, opacity = np.ascontiguousarray(person[..., :3]), np.ascontiguousarray(person[..., 3])
    frame = np.zeros((200, 200, 4), np.uint8)
    _straight(colours, opacity, around, frame)
    assert (frame[..., 3] == opacity).all()
    assert (frame[opacity == 0, :3] == around[opacity == 0]).all()
    for behind in (0, 255, 128):
        direct = np.zeros((200, 200, 3), np.uint8)
        _over(colours, opacity, np.full_like(direct, behind), direct)
        share = frame[..., 3:] / 255.0
        later = share * frame[..., :3] + (1 - share) * behind
        assert np.abs(later - direct).max() < 6  # of faint pixels the colour is known roughly
        assert np.abs(later - direct).mean() < 0.5


def test_the_own_background_is_blurred_without_the_person() -> None:
    shown, alpha = picture()
    cut = Cutout(*_colours(shown, shown, alpha, 40.0), None)
    behind = blurred(shown, cut)
    assert behind.shape == shown.shape
    assert np.abs(behind.astype(float) - WALL).max() < 12  # a plain blur is 100 darker in the middle


@pytest.mark.parametrize("size", [(64, 64), (64, 32), (31, 77), (200, 100)])
def test_a_picture_fills_the_frame_and_its_middle_stays(size: tuple[int, int]) -> None:
    given = np.zeros((50, 80, 3), np.uint8)
    given[20:30, 35:45] = 255
    out = filling(given, size)
    assert out.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(out[..., 0] > 128)
    assert abs(rows.mean() - (size[1] - 1) / 2) < 1
    assert abs(columns.mean() - (size[0] - 1) / 2) < 1


def test_what_may_be_wrong_is_told() -> None:
    clear = np.zeros((100, 100), np.float32)
    clear[30:, 20:80] = 1
    assert _doubt(clear) is None
    assert "nothing of the picture" in str(_doubt(np.ones((100, 100), np.float32)))
    assert "hardly anything" in str(_doubt(np.zeros((100, 100), np.float32)))
    assert "half person" in str(_doubt(np.where(clear > 0, np.float32(0.5), clear)))
