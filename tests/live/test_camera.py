"""A camera drives a live face: beside the film that the same video makes, lost faces, sound that is passed on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS
from portrait_anim.errors import VideoError
from portrait_anim.live.camera import EASE_S, LOST_S, TRACKS
from portrait_anim.live.engine import LiveFace
from portrait_anim.motion.metrics import correlation
from portrait_anim.motion.space import INNER_LIPS, Motion
from portrait_anim.provenance.watermark import read_mark
from portrait_anim.video.reader import read_frames

pytestmark = pytest.mark.media

PHOTO, ACTOR = EXAMPLES / "astronaut.jpg", EXAMPLES / "address.mp4"
START_S = 100.0  # of a clock
SETTLED = 2 * FPS  # frames after which the face is learned and shown wholly
UPPER, LOWER = INNER_LIPS


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(read_frames(ACTOR, FPS, 640))


def new_face(**choices: object) -> tuple[LiveFace, list[Motion]]:
    """Return a face and the list of motions that its camera makes."""
    face = LiveFace(PHOTO, max_size=256, seed=3, **choices)  # type: ignore[arg-type]
    made: list[Motion] = []
    over = face.camera.over

    def noted(idle: Motion) -> Motion:
        made.append(over(idle))
        return made[-1]

    face.camera.over = noted  # type: ignore[method-assign]
    return face, made


def opening(motions: list[Motion]) -> np.ndarray:
    return np.array(
        [motion.mesh[0, UPPER, 1] - motion.mesh[0, LOWER, 1] if motion.mesh.size else 0.0 for motion in motions]
    )


def shown(face: LiveFace, pictures: list[np.ndarray], start: int = 0) -> None:
    for i, picture in enumerate(pictures, start):
        face.see(picture, START_S + i / FPS)
        face.step(draw=False)


def test_the_face_does_what_the_film_of_the_same_video_does(pictures: list[np.ndarray]) -> None:
    face, made = new_face()
    shown(face, pictures)
    (film,) = Animator(PHOTO, max_size=256).motions(actor=ACTOR)
    inside = slice(SETTLED, len(pictures) - FPS)
    wanted = film.mesh[:, UPPER, 1] - film.mesh[:, LOWER, 1]
    assert correlation(opening(made)[inside], wanted[inside]) > 0.95
    assert opening(made)[inside].std() == pytest.approx(wanted[inside].std(), rel=0.2)
    rotation = np.array([motion.rotation[0] for motion in made])
    for axis in range(3):
        assert correlation(rotation[inside, axis], film.rotation[inside, axis]) > 0.95
    lids = np.array([motion.blink[0].mean() for motion in made])
    assert correlation(lids[inside], film.blink[inside].mean(1)) > 0.95
    assert face.camera.how == "driven"


def test_nothing_jumps_when_the_face_comes_goes_for_long_and_comes_again(pictures: list[np.ndarray]) -> None:
    face, made = new_face(blinks=0)
    wall = np.full_like(pictures[0], 128)
    shown(face, pictures[:60])
    shown(face, [wall] * 100, 60)
    gone = len(made)
    assert face.camera.how == "lost"
    shown(face, pictures[100:160], 160)
    assert face.camera.how == "driven"
    # the first second idles; then motion comes in softly
    assert not any(motion.mesh.any() for motion in made[: FPS - 1])
    lost = 60 + round((LOST_S + EASE_S) * FPS) + 1
    assert not any(motion.mesh.any() for motion in made[lost:gone])
    held = np.array([motion.mesh[0, LOWER] for motion in made[60 : 60 + round(LOST_S * FPS) - 1]])
    np.testing.assert_allclose(held, held[:1].repeat(len(held), 0), atol=1e-6)
    for name in ("rotation", "shift"):
        track = np.array([getattr(motion, name)[0] for motion in made])
        step = np.abs(np.diff(track, axis=0)).max(1)
        changes = [*range(FPS - 2, FPS + 15), *range(58, 62), *range(105, lost + 2), *range(gone - 1, gone + 10)]
        assert step[changes].max() < 0.09, name  # the actor's own greatest is .08, this lively face's .06
    lips = opening(made)
    assert np.abs(np.diff(lips[105 : lost + 2])).max() < 0.02
    assert abs(lips[gone] - lips[gone - 1]) < 0.02


def test_what_is_learned_anew_goes_over_softly(pictures: list[np.ndarray]) -> None:
    face, made = new_face()
    larger = [np.pad(picture, ((40, 40), (40, 40), (0, 0))) for picture in pictures]
    shown(face, larger[:50])
    face.camera.recalibrate()
    shown(face, larger[50:100], 50)
    assert face.camera.how == "driven"
    turned = np.array([motion.rotation[0] for motion in made])
    assert np.abs(np.diff(turned, axis=0))[FPS:].max() < 0.08


def test_sound_beside_it_is_passed_on_as_it_is_and_frames_are_marked(pictures: list[np.ndarray]) -> None:
    face, _ = new_face(sample_rate=16_000)
    speech = load_audio(EXAMPLES / "speech.flac")[: 50 * 640]
    frames = []
    for i in range(50):
        face.see(pictures[i], START_S + i / FPS)
        face.feed(speech[i * 640 : (i + 1) * 640], 16_000)
        frames.append(face.step())
    np.testing.assert_array_equal(np.concatenate([frame.samples for frame in frames]), speech)
    assert {frame.state for frame in frames[FPS + 2 :]} == {"driven"}
    assert read_mark([frame.pixels for frame in frames if frame.pixels is not None]).found


def test_other_than_pictures_are_refused_and_older_ones_left_out(pictures: list[np.ndarray]) -> None:
    face, made = new_face()
    for wrong in (pictures[0].astype(np.float32), pictures[0][..., 0], "picture", np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(VideoError, match="uint8 RGB"):
            face.see(wrong)
    assert face.camera.how is None  # it speaks as before
    shown(face, pictures[:40])
    newest = face.camera.seen_s
    face.see(pictures[90], START_S)
    assert face.camera.seen_s == newest
    assert set(TRACKS) <= set(vars(replace(made[-1])))
