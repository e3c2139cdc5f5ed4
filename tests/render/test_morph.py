"""A face that becomes others': one face at every moment, the motion runs through, what shall stay stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES, run_cli

from portrait_anim import Animator, animate, verify
from portrait_anim.errors import NoFaceError, OptionError
from portrait_anim.face.choose import choose_faces
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.face.normalise import Pose, normalise
from portrait_anim.face.photo import load_photo
from portrait_anim.face.state import NECK, FaceState
from portrait_anim.motion.space import INNER_LIPS, Motion, MotionSpace
from portrait_anim.options.morph import MorphChange
from portrait_anim.render.head import HeadMesh
from portrait_anim.render.morph import MAX_TURN, Morph, between, fitting, moved, turned
from portrait_anim.render.portrait import Portrait
from portrait_anim.render.swap import Guest
from portrait_anim.system.fingerprint import Fingerprint
from portrait_anim.system.opencv import cv2

pytestmark = pytest.mark.media

SIZE_PX = 256
HOST = EXAMPLES / "astronaut.jpg"
GUESTS = ("leonardo_mona_lisa_1503", "moller_gogol_1841")
Image = npt.NDArray[np.uint8]


def guest(path: Path) -> Guest:
    photo = load_photo(path, SIZE_PX)
    return Guest(photo, choose_faces(photo, shared_landmarker("facemesh"))[0])


@pytest.fixture(scope="module", params=["face", "photo"])
def scene(request: pytest.FixtureRequest) -> Morph:
    """The astronaut becomes two paintings at 1 s and 3 s, in 1 s each, and herself again at 5 s."""
    host = guest(HOST)
    others = [guest(EXAMPLES / "portraits" / f"{name}.jpg") for name in GUESTS]
    changes = [MorphChange("", at, 1.0) for at in (1.0, 3.0, 5.0)]
    return Morph(host.photo, host.face, changes, [*others, guest(HOST)], request.param)


@pytest.fixture(scope="module")
def states() -> list[FaceState]:
    """A few moments of a voice."""
    space = MotionSpace.from_weights()
    rng = np.random.default_rng(0)
    motion = Motion.rest(6)
    motion.mouth[:] = 0.1 * rng.standard_normal(motion.mouth.shape)
    motion.rotation[:] = rng.uniform(-0.1, 0.1, (6, 3))
    return [space.state(motion, i) for i in range(6)]


def shown(scene: Morph, time_s: float, state: FaceState | None = None) -> Image:
    out = scene.still.copy()
    x0, y0, x1, y1 = scene.draw([state or FaceState.rest()], time_s, out)
    outside = np.ones(out.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(out[outside], scene.still[outside])
    return out


def edge_energy(scene: Morph, image: Image) -> float:
    """Mean gradient of the luma within the first face's oval."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(np.float32)
    first = scene.portraits[0]
    inside = np.zeros(grey.shape, np.uint8)
    oval = first.pose.to_image(first.rest)[list(FACE_OVAL), :2]
    cv2.fillPoly(inside, [np.round(oval.mean(0) + 0.85 * (oval - oval.mean(0))).astype(np.int32)], 1)
    return float(np.hypot(*np.gradient(grey))[inside > 0].mean())


def test_before_the_first_change_it_is_the_plain_film(scene: Morph, states: list[FaceState]) -> None:
    plain = Portrait(scene.portraits[0].photo, guest(HOST).face)
    for state in states:
        out = scene.still.copy()
        plain.draw(out, scene._seen.shown(state))
        np.testing.assert_array_equal(shown(scene, 0.9, state), out)
        np.testing.assert_array_equal(shown(scene, 6.0, state), out)  # the same photo once more
    assert len(scene.portraits) == 3


def test_one_face_at_every_moment(scene: Morph, states: list[FaceState]) -> None:
    for start in (1.0, 3.0, 5.0):
        for state in (FaceState.rest(), states[2]):
            ends = [edge_energy(scene, shown(scene, start + done, state)) for done in (0.0, 1.0)]
            for done in (0.2, 0.35, 0.5, 0.65, 0.8):
                assert edge_energy(scene, shown(scene, start + done, state)) <= 1.15 * max(ends)


def test_the_change_is_steady(scene: Morph) -> None:
    inside = np.s_[scene.portraits[0].box[1] : scene.portraits[0].box[3]]
    first, last = (shown(scene, time_s)[inside].astype(np.float32) for time_s in (1.0, 2.0))
    left = [float(np.abs(shown(scene, 1 + k / 10)[inside] - last).mean()) for k in range(11)]
    assert left[0] == pytest.approx(float(np.abs(first - last).mean()))
    assert left[-1] == 0
    assert all(after <= 1.01 * before for before, after in pairwise(left))


def test_both_faces_open_their_mouths_in_the_middle(scene: Morph) -> None:
    """In the middle of a change the landmarker sees one face, whose lips open as far as the state says."""
    space = MotionSpace.from_weights()
    jaw = np.zeros(space.n_components, np.float32)
    jaw[0] = 0.15 / float(space.aperture(np.eye(space.n_components, dtype=np.float32)[0]))
    state = replace(FaceState.rest(), displacement=space.decode(jaw))
    for time_s in (1.5, 3.5):
        found = shared_landmarker("facemesh").detect(shown(scene, time_s, state))
        assert len(found) == 1
        shape, _ = normalise(found[0].landmarks)
        opening = float(np.linalg.norm(np.subtract(*shape[list(INNER_LIPS)])))
        assert 0.08 < opening < 0.25


def test_what_stays(scene: Morph) -> None:
    corner = np.s_[:20, :20]
    after = shown(scene, 2.5)
    same = np.array_equal(after[corner], scene.still[corner])
    face = scene.portraits[0].pose.origin[:2].astype(int)
    eyes = np.s_[face[1] - 8 : face[1] + 8, face[0] - 20 : face[0] + 20]
    assert same == (scene.portraits[1].photo.pixels.shape == scene.still.shape and scene._changes[0].when is None)
    assert np.abs(after[eyes].astype(int) - scene.still[eyes]).mean() > 5


def test_threads_and_repeats_give_the_same_pixels(scene: Morph, states: list[FaceState]) -> None:
    jobs = [(1 + k / 7, states[k % len(states)]) for k in range(28)]
    alone = [shown(scene, *job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: shown(scene, *job), jobs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_monochrome_host_stays_monochrome_and_lends_no_colour() -> None:
    grey = cv2.cvtColor(load_photo(HOST, SIZE_PX).pixels, cv2.COLOR_RGB2GRAY)
    photo = load_photo(np.repeat(grey[..., None], 3, 2))
    host = Guest(photo, choose_faces(photo, shared_landmarker("facemesh"))[0])
    mona = guest(EXAMPLES / "portraits" / "leonardo_mona_lisa_1503.jpg")
    into_grey = Morph(host.photo, host.face, [MorphChange("", 0, 1)], [mona])
    assert np.ptp(into_grey.portraits[1].photo.pixels.astype(int), axis=2).max() <= 2
    into_colour = Morph(mona.photo, mona.face, [MorphChange("", 0, 1)], [host])
    box = [int(v) for v in into_colour.portraits[1].pose.origin[:2]]
    skin = into_colour.portraits[1].photo.pixels[box[1] + 5 : box[1] + 15, box[0] - 15 : box[0] + 15].astype(int)
    assert (skin[..., 0] - skin[..., 2]).mean() > 20  # of her own colour


def turned_head(points: np.ndarray, state: FaceState) -> np.ndarray:
    turn, shift = HeadMesh.motion(state)
    return (points - NECK) @ turn.T + NECK + shift


def test_poses() -> None:
    turn = cv2.Rodrigues(np.array([0.0, 0.3, 0.0]))[0]
    a, b = Pose(np.eye(3), 80.0, np.array([100.0, 90.0, 0.0])), Pose(turn, 96.0, np.array([110.0, 80.0, 5.0]))
    np.testing.assert_allclose(between(a, b, 1.0).rotation, b.rotation, atol=1e-9)
    assert between(a, b, 0.6).scale == between(b, a, 0.4).scale == 96.0
    left = fitting(b, a).rotation.T @ turn
    assert float(np.linalg.norm(cv2.Rodrigues(left)[0])) == pytest.approx(MAX_TURN, abs=1e-6)
    state = replace(FaceState.rest(), rotation=np.array([0.1, 0.05, 0.02], np.float32))
    points = np.random.default_rng(1).standard_normal((5, 3))
    wanted = Pose(b.rotation, a.scale, a.origin).to_image(turned_head(points, state))[:, :2]
    there = a.to_image(turned_head(points, turned(state, a, b)))[:, :2]
    np.testing.assert_allclose(there, wanted, atol=1e-3)


def test_a_frame_is_brought_to_another_size_and_place() -> None:
    frame = np.zeros((80, 120, 3), np.uint8)
    frame[30, 40] = 255
    a, b = (Pose(np.eye(3), scale, np.array([*at, 0.0])) for scale, at in ((20, (40, 30)), (30, (55, 42))))
    assert np.unravel_index(moved(frame, a, b)[..., 0].argmax(), (80, 120)) == (42, 55)
    assert moved(frame, a, a) is frame


def test_through_animate(tmp_path: Path, second_of_speech: Path) -> None:
    mona = EXAMPLES / "portraits" / "leonardo_mona_lisa_1503.jpg"
    choices: dict[str, Any] = {"max_size": 192, "morph": f"{mona}@0.2:0.4"}
    film = animate(
        HOST, second_of_speech, tmp_path / "film.mp4", morph_style="photo", emotion="happy", seed=3, **choices
    )
    assert verify(film.path).mark.found
    animator, plain = Animator(HOST, **choices), Animator(HOST, max_size=192)
    (source,) = animator._scene.facts.more["morph"]
    assert isinstance(source, Fingerprint)
    assert source.path == mona
    frames, others = (list(one.frames(second_of_speech, emotion="happy", seed=3)) for one in (animator, plain))
    assert len(frames) == len(others) == film.n_frames
    (motion,), (other,) = (one.motions(second_of_speech, emotion="happy", seed=3) for one in (animator, plain))
    np.testing.assert_array_equal(motion.mouth, film.motion.mouth)
    np.testing.assert_array_equal(motion.mouth, other.mouth)  # whoever it becomes: the motion runs through


def test_command_line_and_lrc(tmp_path: Path, small_astronaut: Path, second_of_speech: Path) -> None:
    mona = (EXAMPLES / "portraits" / "leonardo_mona_lisa_1503.jpg").read_bytes()
    (tmp_path / "mona, lisa@home.jpg").write_bytes(mona)
    (tmp_path / "when.lrc").write_text("[00:00.30]mona, lisa@home.jpg\n", "utf-8")
    for number, morph in enumerate(("when.lrc", "mona, lisa@home.jpg@0.3:0.5")):
        out = tmp_path / f"{number}.mp4"
        done = run_cli([small_astronaut, second_of_speech, "-o", out, "--morph", morph], tmp_path)
        assert done.returncode == 0, done.stderr
        assert out.is_file()


@pytest.mark.parametrize(
    ("morph", "said"),
    [("grey.png@0.3", "no face"), ("none.jpg@0.3", "not found"), ("small.png@1.5", "film ends at 1.00 s"),
     ("small.png#2@0.5", "no face number 2"), ("small.png@0.5,small.png@0.1", "order of time")],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(
    morph: str, said: str, tmp_path: Path, small_astronaut: Path, second_of_speech: Path
) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    (tmp_path / "small.png").write_bytes(small_astronaut.read_bytes())
    before = sorted(tmp_path.iterdir())
    done = run_cli([small_astronaut, second_of_speech, "--morph", morph], tmp_path)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert said in errors[0]
    assert sorted(tmp_path.iterdir()) == before


def test_several_faces_are_refused() -> None:
    half = load_photo(HOST, SIZE_PX).pixels
    with pytest.raises(OptionError, match="morph changes one face, and 2 move"):
        Animator(np.concatenate([half, half], axis=1), face="all", morph=[(HOST, 1)])
    with pytest.raises(NoFaceError, match="no face found"):
        Animator(HOST, morph=[(np.full((99, 99, 3), 99, np.uint8), 1)])


def test_the_face_of_several_is_the_one_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("moller_gogol_1841", "raphael_la_donna_velata_1516")
    halves = [cv2.resize(guest(EXAMPLES / "portraits" / f"{name}.jpg").photo.pixels, (200, 200)) for name in names]
    picture = tmp_path / "both.png"
    cv2.imwrite(str(picture), np.concatenate(halves, axis=1)[..., ::-1])
    first, second = (
        Animator(HOST, max_size=400, morph=f"{picture}#{number}@0")._scene.portraits[1].photo.pixels
        for number in (1, 2)
    )
    assert np.abs(first.astype(int) - second).max() > 30
    with caplog.at_level("INFO"):
        Animator(HOST, max_size=400, morph=f"{picture}@0")
    assert "PHOTO#N in --morph (morph=) takes another" in caplog.text
