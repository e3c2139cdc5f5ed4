"""ARKit's values: signs, exactness of lids, gaze and head, the fit of the rest, and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portrait_anim.audio.load import load_audio
from portrait_anim.face.mesh import BROW_LEFT, BROW_RIGHT
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.arkit import FACE, LOOK_RAD, LOOK_UP_RAD, VALUES, ShapeFit
from portrait_anim.motion.arkit_shapes import SHAPES
from portrait_anim.motion.emotion import emotion_activations
from portrait_anim.motion.metrics import amplitude, correlation
from portrait_anim.motion.model import shared_model
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.options import WEIGHT_SETS, parse_emotion

pytestmark = pytest.mark.media

Array = np.ndarray


@pytest.fixture(scope="module", params=tuple(WEIGHT_SETS))
def space(request: pytest.FixtureRequest) -> MotionSpace:
    return MotionSpace.from_weights(request.param)


def shown(space: MotionSpace, **values: float) -> Array:
    """Return the displacement (478, 3) of one frame with these values."""
    motion = Motion.from_arkit({name: np.array([value]) for name, value in values.items()})
    return space.displacement(motion, 0)


def opening(moved: Array) -> Array:
    return moved[..., 13, 1] - moved[..., 14, 1]


def width(moved: Array) -> Array:
    return moved[..., 291, 0] - moved[..., 61, 0]


def test_names_are_apples() -> None:
    assert len(FACE) == 52
    assert len(VALUES) == 61
    assert len(set(VALUES)) == 61
    lids_and_gaze = {name for name in FACE if name.startswith(("EyeBlink", "EyeLook"))}
    assert set(SHAPES) == set(FACE) - lids_and_gaze - {"TongueOut"}


def test_left_is_the_performers_own(space: MotionSpace) -> None:
    for name, left_points, right_points, axis in (
        ("MouthSmile", [291], [61], 1), ("BrowOuterUp", BROW_RIGHT, BROW_LEFT, 1), ("MouthStretch", [291], [61], 0),
        ("NoseSneer", [294, 327], [64, 98], 1), ("EyeWide", [386], [159], 1), ("MouthFrown", [291], [61], 1),
        ("MouthUpperUp", [269, 270], [39, 40], 1), ("MouthLowerDown", [321, 405], [91, 181], 1),
    ):  # fmt: skip
        moved = shown(space, **{f"{name}Left": 1.0})
        strong, weak = np.abs(moved[list(left_points), axis]).mean(), np.abs(moved[list(right_points), axis]).mean()
        assert strong > 3 * weak, name
        mirrored = shown(space, **{f"{name}Right": 1.0})
        assert np.abs(mirrored[list(right_points), axis]).mean() == pytest.approx(strong, rel=0.2), name
    assert shown(space, MouthLeft=1.0)[13, 0] > 0.05  # to the performer's left: the picture's right
    assert shown(space, JawRight=1.0)[152, 0] < -0.05
    motion = Motion.from_arkit({"EyeBlinkLeft": np.array([0.7]), "EyeBlinkRight": np.array([0.2])})
    np.testing.assert_allclose(motion.blink, [[0.2, 0.7]])


def test_shapes_do_what_they_are_called(space: MotionSpace) -> None:
    assert 0.3 < opening(shown(space, JawOpen=1.0)) < 0.6
    assert opening(shown(space, JawOpen=0.4, MouthClose=0.4)) == pytest.approx(0, abs=1e-3)
    assert shown(space, JawOpen=0.4, MouthClose=0.4)[152, 1] < -0.05  # the jaw stays down
    assert width(shown(space, MouthPucker=1.0)) < -0.15
    assert width(shown(space, MouthStretchLeft=1.0, MouthStretchRight=1.0)) > 0.1
    assert opening(shown(space, MouthFunnel=1.0)) > 0.08
    assert opening(shown(space, MouthUpperUpLeft=1.0, MouthUpperUpRight=1.0)) > 0.05
    assert opening(shown(space, MouthLowerDownLeft=1.0, MouthLowerDownRight=1.0)) > 0.08
    assert shown(space, BrowInnerUp=1.0)[[55, 107, 285, 336], 1].min() > 0.05
    assert shown(space, BrowDownLeft=1.0, BrowDownRight=1.0)[[55, 285], 1].max() < -0.03
    assert shown(space, JawForward=1.0)[152, 2] > 0.05
    assert shown(space, CheekPuff=1.0)[[425, 205], 2].min() > 0.03


def test_no_sum_of_shapes_lets_the_lips_cross(space: MotionSpace) -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0, 1, 200) * rng.integers(0, 2, 200) for name in SHAPES}
    moved = space.displacement(Motion.from_arkit(values), slice(None))
    assert opening(moved).min() > -1e-3
    assert opening(shown(space, MouthClose=1.0)) == 0  # nothing to close


def test_lids_gaze_and_head_are_exact() -> None:
    rng = np.random.default_rng(1)
    n = 50
    motion = Motion(
        mouth=np.zeros((n, 16), np.float32), blink=rng.uniform(0, 1, (n, 2)).astype(np.float32),
        brows=np.zeros((n, 2), np.float32), gaze=rng.uniform(-0.4, 0.4, (n, 2)).astype(np.float32),
        rotation=rng.uniform(-0.5, 0.5, (n, 3)).astype(np.float32), shift=np.zeros((n, 3), np.float32), fps=30,
    )  # fmt: skip
    values = motion.to_arkit(MotionSpace.from_weights())
    back = Motion.from_arkit(values, 30)
    np.testing.assert_allclose(back.blink, motion.blink, atol=1e-6)
    np.testing.assert_allclose(back.gaze, motion.gaze, atol=1e-6)
    assert np.degrees(np.abs(back.rotation - motion.rotation).max()) < 1e-3
    assert back.fps == 30
    angles = {name: values[name] for name in VALUES if name.endswith(("Yaw", "Pitch", "Roll"))}
    np.testing.assert_allclose(Motion.from_arkit(angles).gaze, motion.gaze, atol=1e-6)  # without Look values


def test_signs_of_the_angles() -> None:
    turned = Motion.from_arkit({"HeadYaw": np.array([0.1]), "HeadPitch": np.array([0.2]), "HeadRoll": np.array([0.0])})
    assert turned.rotation[0, 1] < 0 < turned.rotation[0, 0]  # to the picture's left, and down
    assert Motion.from_arkit({"HeadRoll": np.array([0.1])}).rotation[0, 2] == pytest.approx(-0.1)  # clockwise
    looks = {"EyeLookOutLeft": np.array([0.5]), "EyeLookInRight": np.array([0.5])}
    np.testing.assert_allclose(Motion.from_arkit(looks).gaze, [[0.5 * LOOK_RAD, 0]], rtol=1e-5)
    looks = {f"EyeLookUp{side}": np.array([0.5]) for side in ("Left", "Right")}
    np.testing.assert_allclose(Motion.from_arkit(looks).gaze, [[0, 0.5 * LOOK_UP_RAD]], rtol=1e-5)


@pytest.mark.parametrize("emotion", [None, "happy", "fearful"])
def test_a_voices_motion_comes_back(space: MotionSpace, speech: Path, emotion: str | None) -> None:
    name = next(name for name in WEIGHT_SETS if MotionSpace.from_weights(name).digest == space.digest)
    motion = shared_model(name).motion(load_audio(speech)[:64_000], emotion=parse_emotion(emotion), blinks=3.0)
    values = motion.to_arkit(space)
    back = Motion.from_arkit(values)
    a, b = (space.displacement(one, slice(None)) for one in (back, motion))
    assert correlation(opening(a), opening(b)) > 0.99
    assert 0.9 < amplitude(opening(a), opening(b)) < 1.1
    assert correlation(width(a), width(b)) > 0.9
    for name in SHAPES:
        assert 0 <= values[name].min() <= values[name].max() <= 1
    assert not values["TongueOut"].any()
    assert not values["CheekPuff"].any()
    assert np.minimum(values["JawLeft"], values["JawRight"]).max() < 0.05  # one of two opposites


def test_an_expression_is_told_by_its_own_shapes(space: MotionSpace) -> None:
    def told(emotion: str) -> dict[str, float]:
        motion = Motion.rest(1)
        level = np.zeros((1, len(TRACKS)), np.float32) + emotion_activations(emotion)
        held = Motion(**{**motion.tracks(), "expression": level})
        return {name: float(value[0]) for name, value in held.to_arkit(space).items()}

    happy, angry, surprised = told("happy"), told("angry"), told("surprised")
    assert min(happy["MouthSmileLeft"], happy["MouthSmileRight"]) > 0.6
    assert min(angry["BrowDownLeft"], angry["BrowDownRight"]) > 0.6
    assert surprised["BrowInnerUp"] > 0.3
    assert surprised["JawOpen"] > 0.3
    assert max(happy["MouthFrownLeft"], angry["MouthSmileLeft"], surprised["BrowDownLeft"]) < 0.1


def test_values_survive_a_second_export(space: MotionSpace) -> None:
    rng = np.random.default_rng(2)
    values = {name: rng.uniform(0, 1, 5) for name in SHAPES if name != "MouthClose"}
    again = Motion.from_arkit(values).to_arkit(space)
    for name, value in values.items():
        np.testing.assert_allclose(again[name], value, atol=1e-6)


def test_a_mesh_is_fitted_too(space: MotionSpace) -> None:
    field = space.shapes[SHAPES.index("NoseSneerLeft")] + 0.5 * space.shapes[SHAPES.index("JawOpen")]
    motion = Motion(**{**Motion.rest(1).tracks(), "mesh": field[None]})
    values = motion.to_arkit(space)
    assert values["NoseSneerLeft"][0] > 0.8
    assert values["JawOpen"][0] == pytest.approx(0.5, abs=0.05)
    assert values["NoseSneerRight"][0] < 0.1


def test_fit_of_nothing_is_nothing(space: MotionSpace) -> None:
    assert not ShapeFit(space.shapes)(np.zeros((3, 478, 3), np.float32)).any()
    assert len(Motion.rest(0).to_arkit(space)["JawOpen"]) == 0


def test_names_that_are_missing_count_as_nothing() -> None:
    motion = Motion.from_arkit({"JawOpen": np.array([0.0, 0.5])}, fps=60)
    assert len(motion) == 2
    assert motion.fps == 60
    assert motion.expression.shape == (2, len(TRACKS) + len(SHAPES))
    assert np.count_nonzero(motion.expression) == 1
    assert not motion.rotation.any()
