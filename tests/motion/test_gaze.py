"""Where the eyes look: they stay on the camera while the head turns, dart a little, and never turn too far."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from portrait_anim.face.gaze import Sight, direction
from portrait_anim.motion.gaze import DRAWN, MAX_DART, Gaze
from portrait_anim.motion.space import Motion
from portrait_anim.options import MotionOptions

pytestmark = pytest.mark.unit

T = 100
ASIDE = Sight(Rotation.from_rotvec([0.05, -0.15, 0.02]).as_matrix(), np.array([-0.1, 0.02]))


def moving(gaze: float = 0.0) -> Motion:
    """Return a head that sways and nods, and eyes that jump between two directions every .6 s."""
    at = np.arange(T)[:, None] / 25
    turns = np.concatenate([0.08 * np.sin(3 * at), 0.18 * np.sin(2 * at), 0.05 * np.cos(at)], axis=1)
    jumps = gaze * np.sign(np.sin(at * np.pi / 0.6)) * [1, 0.5]
    return replace(Motion.rest(T), rotation=turns.astype(np.float32), gaze=jumps.astype(np.float32))


def looks(motion: Motion, sight: Sight) -> np.ndarray:
    """Return (T, 3) unit vectors in which the eyes look, in the camera's axes."""
    turns = Rotation.from_rotvec(motion.rotation).as_matrix()
    ways = [direction(sight.eyes + gaze) for gaze in motion.gaze.astype(float)]
    return np.stack([sight.rotation @ turn @ way for turn, way in zip(turns, ways, strict=True)])


def past(motion: Motion, sight: Sight) -> np.ndarray:
    """Return (T,) how many degrees the eyes look past the camera."""
    return np.rad2deg(np.arccos(np.clip(looks(motion, sight)[:, 2], -1, 1)))


def led(moved: Motion, sight: Sight = ASIDE, **options: object) -> Motion:
    return Gaze(MotionOptions(**options), [(0.0, sight)]).led(moved)  # type: ignore[arg-type]


def test_eyes_stay_on_the_camera_while_the_head_turns() -> None:
    motion = moving()
    seen = led(motion, gaze="camera")
    assert past(motion, ASIDE).max() > 15
    assert past(seen, ASIDE).max() < 2  # of nods of 5 degrees the eyes make up a little less than all
    assert np.corrcoef(seen.gaze[:, 0], motion.rotation[:, 1])[0, 1] < -0.95  # counter to the turn
    assert seen.turned_eyes
    for part in fields(Motion):
        if part.name not in ("gaze", "turned_eyes"):
            assert np.array_equal(getattr(seen, part.name), getattr(motion, part.name))


def test_eyes_keep_small_darts() -> None:
    darting, still = led(moving(0.1), gaze="camera"), led(moving(), gaze="camera")
    darts = darting.gaze - still.gaze
    assert 0.01 < np.abs(darts[:, 0]).max() < MAX_DART + 1e-6
    assert np.corrcoef(darts[:, 0], moving(0.1).gaze[:, 0])[0, 1] > 0.5
    assert past(darting, ASIDE).max() < 4


def test_eyes_never_turn_further_than_can_be_drawn() -> None:
    far = Sight(Rotation.from_rotvec([0.4, -0.6, 0]).as_matrix(), np.array([-0.4, 0.3]))
    seen = led(moving(), far, gaze="camera")
    assert (np.abs(seen.gaze) < DRAWN).all()
    assert np.abs(seen.gaze[:, 0]).max() > 0.8 * DRAWN[0]


@pytest.mark.parametrize("options", [{}, {"gaze": "photo"}, {"actor": "a.mp4"}, {"actor": "a.mp4", "gaze": "actor"}])
def test_a_drivers_own_gaze_is_not_touched(options: dict[str, str]) -> None:
    motion = moving(0.1)
    assert led(motion, **options) is motion


@pytest.mark.parametrize("options", [{"actor": "a.mp4"}, {"motion": "a.npz"}])
def test_as_in_the_photo_leaves_an_actors_looks_out_and_keeps_darts(options: dict[str, str]) -> None:
    motion = moving()
    aside = replace(motion, gaze=np.full((T, 2), 0.3, np.float32), turned_eyes=True)
    seen = led(aside, gaze="photo", **options)
    assert not seen.turned_eyes
    np.testing.assert_allclose(seen.gaze, 0, atol=1e-6)
    darts = led(moving(0.2), gaze="photo", **options).gaze
    assert 0.01 < np.abs(darts).max() <= MAX_DART
    np.testing.assert_array_equal(darts[[0, -1]], 0)


def test_pieces_of_live_motion_look_as_the_whole() -> None:
    motion = moving(0.1)
    live = Gaze(MotionOptions(gaze="camera"), [(0.0, ASIDE), (1.0, ASIDE), (2.0, Sight(np.eye(3), np.zeros(2)))])
    whole = Gaze(MotionOptions(gaze="camera"), live._sights).led(motion)
    pieces = []
    for begin, end in ((0, 7), (7, 7), (7, 60), (60, T)):
        cut = {name: track[begin:end] for name, track in motion.tracks().items()}
        pieces.append(live.led(replace(motion, **cut), whole=False).gaze)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.concatenate(pieces), whole.gaze, atol=1e-6)


def test_each_photo_of_a_changing_face_looks_into_the_camera() -> None:
    other = Sight(Rotation.from_rotvec([0, 0.1, 0]).as_matrix(), np.array([0.12, 0.0]))
    motion = moving()
    seen = Gaze(MotionOptions(gaze="camera"), [(0.0, ASIDE), (1.0, ASIDE), (2.0, other)]).led(motion)
    assert past(seen, ASIDE)[:25].max() < 2
    assert past(seen, other)[51:].max() < 2
    assert past(seen, ASIDE)[51:].max() > 5
    assert np.abs(np.diff(seen.gaze, axis=0)).max() < 0.05  # no jump
