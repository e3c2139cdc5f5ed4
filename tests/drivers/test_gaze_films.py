"""Films whose eyes look into the camera, whatever moves the face; a film without the option is as ever."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, run_cli

from portrait_anim import Animator, animate
from portrait_anim.errors import OptionError
from portrait_anim.face.gaze import Sight, eyes_on_camera
from portrait_anim.motion.files import read_motion
from portrait_anim.motion.space import Motion

pytestmark = pytest.mark.media

PAINTING = EXAMPLES / "portraits" / "moller_gogol_1841.jpg"


@pytest.fixture(scope="module")
def animator(small_astronaut: Path) -> Animator:
    return Animator(small_astronaut)


def sound() -> tuple[np.ndarray, int]:
    import soundfile

    samples, rate = soundfile.read(EXAMPLES / "speech.flac", dtype="float32")
    return samples[: 2 * rate], rate


def test_a_voices_film_is_as_ever_without_the_option_and_with_photo(animator: Animator) -> None:
    plain, photo, camera = (
        list(islice(animator.frames(sound(), **options), 30)) for options in ({}, {"gaze": "photo"}, {"gaze": "camera"})
    )
    np.testing.assert_array_equal(plain, photo)
    assert any((a != b).any() for a, b in zip(plain, camera, strict=True))
    (motion,) = animator.motions(sound())
    assert not motion.turned_eyes


def test_eyes_turn_against_the_head_of_a_voice(animator: Animator) -> None:
    (plain,), (camera,) = (animator.motions(sound(), head_motion=2, **o) for o in ({}, {"gaze": "camera"}))
    np.testing.assert_array_equal(plain.rotation, camera.rotation)
    np.testing.assert_array_equal(plain.mouth, camera.mouth)
    assert np.corrcoef(camera.gaze[:, 0], camera.rotation[:, 1])[0, 1] < -0.8


def test_saved_and_played_again_it_is_the_same_motion(tmp_path: Path, animator: Animator) -> None:
    saved = tmp_path / "saved.npz"
    film = animator.animate(sound(), tmp_path / "film.mp4", gaze="camera", save_motion=saved)
    kept = read_motion(saved, animator._nets.space)
    assert kept.turned_eyes
    np.testing.assert_array_equal(kept.gaze, film.motion.gaze)
    (again,) = animator.motions(motion=saved)
    assert again.turned_eyes
    np.testing.assert_array_equal(again.gaze, film.motion.gaze)
    (as_photo,) = animator.motions(motion=saved, gaze="photo")
    assert not as_photo.turned_eyes
    assert np.abs(as_photo.gaze).max() < 0.04


def test_a_motion_files_gaze_gives_way(animator: Animator) -> None:
    motion = Motion.rest(50)
    motion.gaze[:] = [0.15, -0.1]
    motion.rotation[:, 1] = 0.1
    (plain,), (camera,) = (animator.motions(motion=motion, **o) for o in ({}, {"gaze": "camera"}))
    np.testing.assert_array_equal(plain.gaze, motion.gaze)
    assert camera.gaze[:, 0].max() < 0


def test_an_actors_eyes_are_followed_or_not(tmp_path: Path, animator: Animator) -> None:
    still = Motion.rest(50)
    still.gaze[15:30] = [0.3, 0.0]
    still.rotation[:, 1] = 0.1 * np.sin(np.arange(50) / 6)
    film = animate(EXAMPLES / "astronaut.jpg", output=tmp_path / "acting.mp4", motion=still, head_motion=1.0)
    (plain,), (own,), (photo,), (camera,) = (
        animator.motions(actor=film.path, **o) for o in ({}, {"gaze": "actor"}, {"gaze": "photo"}, {"gaze": "camera"})
    )
    np.testing.assert_array_equal(plain.gaze, own.gaze)
    assert plain.gaze[:, 0].max() > 0.05
    assert np.abs(photo.gaze).max() < 0.036
    assert np.abs(photo.gaze[[0, -1]]).max() == 0
    assert np.corrcoef(camera.gaze[:, 0], camera.rotation[:, 1])[0, 1] < -0.8
    assert camera.turned_eyes
    assert not photo.turned_eyes


def test_live_eyes_look_into_the_camera(animator: Animator) -> None:
    samples, _ = sound()
    pieces = np.array_split(samples[:16000], 5)
    plain, camera = (list(animator.live(pieces, **o)) for o in ({}, {"gaze": "camera"}))
    assert len(plain) == len(camera) == 25
    assert any((a != b).any() for a, b in zip(plain, camera, strict=True))


def test_each_face_of_a_morph_looks_into_the_camera(small_astronaut: Path) -> None:
    still = Motion.rest(75)
    animator = Animator(small_astronaut, max_size=256, morph=[(str(PAINTING), 1.0, 0.5)], morph_style="photo")
    (motion,) = animator.motions(motion=still, gaze="camera")
    for frame, portrait in ((10, 0), (60, 1)):
        sight = animator._scene.portraits[portrait].sight
        wanted = eyes_on_camera(sight.rotation) - sight.eyes
        np.testing.assert_allclose(motion.gaze[frame], wanted, atol=1e-3)
    assert len(list(animator.frames(motion=still, gaze="camera"))) == 75


def test_an_actors_gaze_needs_an_actor(tmp_path: Path, small_astronaut: Path, second_of_speech: Path) -> None:
    done = run_cli([small_astronaut, second_of_speech, "--gaze", "actor"], tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--actor" in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_irises_there_is_no_look_into_the_camera(
    tmp_path: Path, small_astronaut: Path, second_of_speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = Sight.of
    monkeypatch.setattr(Sight, "of", lambda points: Sight(of(points).rotation, of(points).eyes, found=False))
    with pytest.raises(OptionError, match="facemesh"):
        animate(small_astronaut, second_of_speech, tmp_path / "film.mp4", gaze="camera")
    assert not list(tmp_path.iterdir())
    animate(small_astronaut, second_of_speech, tmp_path / "film.mp4", gaze="photo")


def test_the_help_names_it(tmp_path: Path) -> None:
    text = run_cli(["--help"], tmp_path).stdout
    assert "--gaze" in text
    assert all(word in " ".join(text.split()) for word in ("camera", "photo", "actor"))
