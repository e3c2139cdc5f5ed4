"""An actor's measured motion brought to a photo: limits, lips that meet, room for a smile, lids, gaps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from portrait_anim.face.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER, MOUTH_CORNERS, topology
from portrait_anim.face.normalise import Pose
from portrait_anim.motion.action_units import ActionUnits, drawn_units
from portrait_anim.motion.lids import closures
from portrait_anim.motion.limits import FREE_TURN, FURTHEST_TURN, limited_turn
from portrait_anim.motion.performance import BRIDGED, Performance, analyse
from portrait_anim.motion.retarget import in_room, met, retargeted
from portrait_anim.motion.space import INNER_LIPS

pytestmark = pytest.mark.media

T = 60


def clip(
    shape: np.ndarray | None = None, turn: np.ndarray | None = None, scale: np.ndarray | None = None
) -> np.ndarray:
    """Return landmarks (T, 478, 3) px of a face that moves as said: displacement, rotation vectors, px an IOD."""
    vertices = topology().vertices
    shapes = vertices + (np.zeros((T, 478, 3)) if shape is None else shape)
    turns = Rotation.from_rotvec(np.zeros((T, 3)) if turn is None else turn).as_matrix()
    scales = np.full(T, 90.0) if scale is None else scale
    origin = np.array([128.0, 120.0, 0.0])
    return np.stack([Pose(r, s, origin).to_image(p) for p, r, s in zip(shapes, turns, scales, strict=True)])


def wave(amplitude: float, period: float = 20.0) -> np.ndarray:
    return amplitude * (1 - np.cos(2 * np.pi * np.arange(T) / period)) / 2


def test_a_jaw_that_drops_comes_over_as_it_was() -> None:
    jaw = drawn_units()["AU26"]
    track = wave(1.0)
    performance = analyse(clip(track[:, None, None] * jaw))
    upper, lower = INNER_LIPS
    real = track * (jaw[upper, 1] - jaw[lower, 1])
    np.testing.assert_allclose(performance.opening, real, atol=0.02)
    motion = retargeted(performance, topology().vertices, ActionUnits.from_weights("open").fields, 16)
    made = motion.mesh[:, upper, 1] - motion.mesh[:, lower, 1]
    np.testing.assert_allclose(made[12:-12], real[12:-12], atol=0.02)
    assert np.abs(np.rad2deg(motion.rotation)).max() < 1.5  # an open mouth is no nod


def test_the_head_turns_as_the_actors_does_and_size_does_not_matter() -> None:
    turn = np.stack([wave(0.1), wave(0.12, 30), wave(-0.08)], axis=1)
    a = analyse(clip(turn=turn))
    b = analyse(clip(turn=turn, scale=np.linspace(90, 104, T)))
    for performance in (a, b):
        moved = performance.rotation - performance.rotation.mean(0)
        np.testing.assert_allclose(moved, turn - turn.mean(0), atol=0.012)
        assert np.abs(performance.mesh).max() < 0.01  # nothing swells
        assert not performance.shift[:, 2].any()


def test_a_named_neutral_says_where_the_head_belongs() -> None:
    landmarks = clip()
    landmarks[30:, :, 0] += 9.0  # .1 IOD to the right, and it stays there
    found, named = analyse(landmarks), analyse(landmarks, neutral_frame=5)
    assert np.abs(found.shift[-5:, 0]).max() < 0.04
    np.testing.assert_allclose(named.shift[-5:, 0], 0.1, atol=0.02)
    np.testing.assert_allclose(named.shift[:5], 0, atol=1e-3)


def test_turns_are_limited_softly() -> None:
    small, large = np.deg2rad([[3.0, -5.0, 8.0]]), np.deg2rad([[40.0, -40.0, 40.0]])
    np.testing.assert_allclose(limited_turn(small), small, atol=1e-6)
    assert (np.abs(limited_turn(large)) <= FURTHEST_TURN + 1e-6).all()
    assert (np.abs(limited_turn(large)) > FREE_TURN).all()
    steps = limited_turn(np.deg2rad(np.linspace(-30, 30, 61))[:, None] * np.ones(3))
    assert (np.diff(steps, axis=0) > 0).all()


def test_lips_meet_where_the_actors_do() -> None:
    mesh = np.zeros((2, 478, 3), np.float32)
    mesh[:, list(LIPS_INNER_LOWER[1:-1]), 1] = -0.01
    out = met(mesh, np.array([0.0, 0.05], np.float32))
    gap = out[:, list(LIPS_INNER_UPPER), 1] - out[:, list(LIPS_INNER_LOWER), 1]
    np.testing.assert_allclose(gap[0], 0, atol=1e-6)
    np.testing.assert_array_equal(out[1], mesh[1])


def test_a_broad_smile_leaves_less_room() -> None:
    left, right = MOUTH_CORNERS
    mesh = np.zeros((2, 478, 3), np.float32)
    mesh[0, right, 0], mesh[0, left, 0] = 0.05, -0.05
    mesh[1, right, 0], mesh[1, left, 0] = -0.05, 0.05  # narrower: always as it is
    narrow = topology().vertices.copy()
    wide = narrow.copy()
    wide[right, 0] += 0.05
    wide[left, 0] -= 0.05
    widened = [in_room(mesh, shape)[:, right, 0] - in_room(mesh, shape)[:, left, 0] for shape in (narrow, wide)]
    assert widened[0][0] > widened[1][0] > 0.02
    assert widened[1][1] == pytest.approx(-0.1)


def lids(left: np.ndarray, right: np.ndarray, yaw: float = 0.0) -> np.ndarray:
    turns = Rotation.from_rotvec(np.tile([0, yaw, 0], (T, 1))).as_matrix()
    return closures(np.stack([left, right], axis=1), turns, np.ones(T, bool))


def test_lids_shut_together_unless_one_stays_shut() -> None:
    opened, blink, wink = np.full(T, 0.3), np.full(T, 0.3), np.full(T, 0.3)
    blink[20:23] = 0.06
    wink[20:35] = 0.06
    trembling = opened + 0.01 * np.sin(np.arange(T))
    assert lids(trembling, trembling).max() == 0
    both = lids(blink, blink)
    np.testing.assert_array_equal(both[:, 0], both[:, 1])
    assert both[21].min() == 1
    half = lids(blink, opened)  # one eye lost by the tracker for a moment
    np.testing.assert_array_equal(half[:, 0], half[:, 1])
    real = lids(wink, opened)
    assert real[27, 0] == 1
    assert real[27, 1] == 0
    assert lids(opened, blink, yaw=0.3)[21].max() < 0.3  # the far eye's opening counts little


def with_loss(first: int, n: int) -> Performance:
    landmarks = clip(turn=np.stack([wave(0.1), wave(0.1, 30), wave(0.05)], axis=1))
    landmarks[first : first + n] = np.nan
    return analyse(landmarks)


def test_gaps_are_bridged_or_eased_out() -> None:
    np.testing.assert_array_equal(with_loss(20, BRIDGED).weight, 1)
    weight = with_loss(20, 25).weight
    assert (weight[30:45] == 0).all()
    assert weight[19] == 1
    assert weight[-1] == 1
    assert np.abs(np.diff(weight)).max() < 0.2
    np.testing.assert_array_equal(with_loss(0, 20).weight[:20], 0)
    for first, n in ((0, 20), (20, 25), (50, 10)):
        assert np.isfinite(with_loss(first, n).mesh).all()


def test_it_can_last_longer_or_shorter() -> None:
    performance = analyse(clip())
    assert len(performance.lasting(20)) == 20
    longer = performance.lasting(100)
    assert len(longer) == len(longer.weight) == 100
    assert not longer.weight[T + 10 :].any()
    assert len(analyse(clip()[:3])) == 3  # shorter than any filter
    assert len(analyse(clip()[:1])) == 1
