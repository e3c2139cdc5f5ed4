"""Matting: the opacity of hair before a wall."""

import numpy as np
import pytest

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.alpha import person_alpha
from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.unit

SIZE, IOD = 200, 40.0


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head with single hairs before a wall that gets lighter: picture, its opacity, coarse matte without hairs."""
    alpha = np.zeros((SIZE, SIZE), np.float32)
    cv2.circle(alpha, (100, 110), 45, 1.0, -1, cv2.LINE_AA)
    coarse = cv2.GaussianBlur(alpha, (0, 0), 5.0)
    for angle in np.linspace(-2.8, -0.3, 24):
        way = np.array([np.cos(angle), np.sin(angle)])
        start, end = np.array([100, 110]) + 40 * way, np.array([100, 110]) + 55 * way
        cv2.line(alpha, tuple(start.round().astype(int)), tuple(end.round().astype(int)), 1.0, 1, cv2.LINE_AA)
    wall = np.repeat(np.linspace(150, 220, SIZE)[None, :, None], SIZE, axis=0) * [0.9, 1.0, 1.0]
    hair = np.array([60.0, 40.0, 30.0])
    picture = alpha[..., None] * hair + (1 - alpha[..., None]) * wall
    return np.rint(picture).astype(np.uint8), alpha, coarse


def landmarks() -> np.ndarray:
    points = np.full((N_LANDMARKS, 3), 100, np.float32)
    around = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), 0] = 100 + 25 * np.sin(around)
    points[list(FACE_OVAL), 1] = 115 - 30 * np.cos(around)
    return points


@pytest.mark.parametrize("enlarged", [1, 3], ids=["small", "large"])
def test_single_hairs_are_told_from_the_wall(enlarged: int) -> None:
    picture, truth, coarse = scene()
    grow = (SIZE * enlarged, SIZE * enlarged)
    large, points = cv2.resize(picture, grow, interpolation=cv2.INTER_CUBIC), (landmarks() + 0.5) * enlarged - 0.5
    to_matte = np.array([[1 / enlarged, 0, 0.5 / enlarged - 0.5], [0, 1 / enlarged, 0.5 / enlarged - 0.5]])
    found = person_alpha(large, coarse, to_matte, points.astype(np.float32), IOD * enlarged)
    assert found.shape == large.shape[:2]
    found = cv2.resize(found, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    hairs = (truth > 0.4) & (coarse < 0.2)
    assert hairs.sum() > 100
    assert found[hairs].mean() > 0.6
    between = (truth < 0.05) & (coarse > 0.05)
    assert found[between].mean() < 0.15
    assert np.abs(found - truth).mean() < 0.4 * np.abs(coarse - truth).mean()


def test_beyond_what_is_looked_at_it_is_the_coarse_matte() -> None:
    picture, _, coarse = scene()
    found = person_alpha(picture, coarse, np.eye(2, 3), landmarks(), IOD)
    assert (found[:40] == 0).all()
    assert (found[100:130, 90:110] == 1).all()
