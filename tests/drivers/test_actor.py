"""A video drives a photo: whose face, what comes over, what is played, what is told, what is refused."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, run_cli

from portrait_anim import Animator, animate
from portrait_anim.errors import NoFaceError, OptionError, OutputError, VideoError
from portrait_anim.face.actor_track import follow_chosen
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.metrics import best_offset, correlation
from portrait_anim.motion.space import INNER_LIPS, Motion
from portrait_anim.provenance.verify import verify
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.reader import probe, read_frames
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

PAINTING = EXAMPLES / "portraits" / "sargent_lady_agnew_1892.jpg"
SECONDS = 3


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory, astronaut: Path, speech: Path) -> tuple[Path, Motion]:
    """A film of a talking face, with sound, and how the face in it moves."""
    from conftest import cut

    folder = tmp_path_factory.mktemp("acting")
    sound = cut(speech, folder / "said.wav", SECONDS)
    film = animate(astronaut, sound, folder / "acting.mp4", seed=3, head_motion=1.5)
    return film.path, film.motion


@pytest.fixture(scope="module")
def acting(acted: tuple[Path, Motion]) -> Path:
    return acted[0]


@pytest.fixture(scope="module")
def painting() -> Animator:
    return Animator(PAINTING, max_size=256)


def opening(motion: Motion) -> np.ndarray:
    upper, lower = INNER_LIPS
    return motion.mesh[:, upper, 1] - motion.mesh[:, lower, 1]


def converted(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    subprocess.run(
        [ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *before, "-i", str(source), *options, str(target)], check=True
    )
    return target


def written(frames: Iterator[np.ndarray] | list[np.ndarray], path: Path) -> Path:
    frames = list(frames)
    with Writer(path, (frames[0].shape[1], frames[0].shape[0]), 25) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_lips_head_and_lids_come_over(painting: Animator, acted: tuple[Path, Motion]) -> None:
    path, acted_motion = acted
    (motion,) = painting.motions(actor=path)
    assert len(motion) == SECONDS * 25
    real = painting._nets.space.aperture(acted_motion.mouth)
    inner = slice(10, -10)
    assert correlation(opening(motion)[inner], real[inner]) > 0.85
    turns = [k for k in range(3) if np.rad2deg(acted_motion.rotation[inner, k].std()) > 1.0]
    assert turns
    for k in turns:
        assert correlation(motion.rotation[inner, k], acted_motion.rotation[inner, k]) > 0.85
    assert correlation(motion.blink[inner].mean(1), acted_motion.blink[inner].mean(1)) > 0.6
    np.testing.assert_array_equal(motion.blink[:, 0] > 0.9, motion.blink[:, 1] > 0.9)  # no winks
    for track in (motion.mesh, motion.rotation, motion.shift, motion.gaze, motion.blink, motion.expression):
        np.testing.assert_array_equal(track[[0, -1]], 0)  # from the photo's own pose and back to it


def test_a_film_plays_the_actors_sound_and_names_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acting: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    film = animate(PAINTING, actor=acting, max_size=256)
    assert film.path == Path("sargent_lady_agnew_1892_acting.mp4")
    clip = probe(film.path)
    assert (clip.n_frames, clip.has_audio) == (SECONDS * 25, True)
    found = verify(film.path)
    assert found.manifest.valid
    assert found.ids_agree
    assert list(found.manifest.sources) == ["actor"]
    assert len(found.manifest.sources["actor"][0]) == 64
    assert "One person's performance" in found.summary()
    assert found.manifest.sources["actor"][0] in found.summary()
    assert found.to_dict()["manifest"]["performed"] is True


def test_a_silent_actor_makes_a_silent_film(tmp_path: Path, acting: Path) -> None:
    silent = converted(acting, tmp_path / "silent.mp4", "-an", "-c:v", "copy", "-t", "1")
    film = animate(PAINTING, actor=silent, output=tmp_path / "film.mp4", max_size=256)
    assert not probe(film.path).has_audio
    assert verify(film.path).manifest.valid
    with pytest.raises(OptionError, match="lips 'voice' need a sound"):
        animate(PAINTING, actor=silent, output=tmp_path / "other.mp4", max_size=256, lips="voice")
    assert not (tmp_path / "other.mp4").exists()


def test_a_voice_moves_the_lips_and_the_actor_the_rest(
    painting: Animator, acting: Path, second_of_speech: Path
) -> None:
    (voice,) = painting.motions(second_of_speech)
    (actor,) = painting.motions(actor=acting)
    (both,) = painting.motions(second_of_speech, actor=acting)
    assert len(both) == len(voice) == 25
    np.testing.assert_array_equal(both.mouth, voice.mouth)
    assert np.abs(opening(both)).max() < 1e-4  # nothing of the actor's mouth
    np.testing.assert_allclose(both.rotation[10:15], actor.rotation[10:15], atol=1e-5)
    (dubbed,) = painting.motions(second_of_speech, actor=acting, lips="actor")
    assert not dubbed.mouth.any()
    assert np.abs(opening(dubbed)).max() > 0.01
    (self_voiced,) = painting.motions(actor=acting, lips="voice")
    assert len(self_voiced) == SECONDS * 25
    assert self_voiced.mouth.any()


def test_after_the_actors_end_the_face_rests(painting: Animator, acting: Path, tmp_path: Path, speech: Path) -> None:
    short = converted(acting, tmp_path / "short.mp4", "-t", "1", "-c:v", "libx264")
    (motion,) = painting.motions(speech, actor=short)
    assert len(motion) > 50
    assert motion.rotation[:25].any()
    assert not motion.rotation[37:].any()
    assert motion.mouth[37:].any()


@pytest.mark.parametrize("rate", ["30000/1001", "50"])
def test_other_frame_rates_stay_in_step(painting: Animator, acting: Path, tmp_path: Path, rate: str) -> None:
    other = converted(acting, tmp_path / "other.mp4", "-vf", f"minterpolate=fps={rate}:mi_mode=blend", "-c:a", "copy")
    a, b = (opening(painting.motions(actor=path)[0]) for path in (acting, other))
    n = min(len(a), len(b))
    assert abs(len(a) - len(b)) <= 1
    r, lag = best_offset(a[10 : n - 10], b[10 : n - 10])
    assert lag == 0
    assert r > 0.9


def envelope(path: Path, seconds: float) -> np.ndarray:
    """Return how loud a file's sound is every 10 ms."""
    done = subprocess.run(
        [ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", "16000", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    samples = np.frombuffer(done.stdout, np.float32)[: round(seconds * 16000)]
    return np.sqrt((samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2).mean(1))


def test_sound_and_picture_stay_together_at_a_variable_frame_rate(
    painting: Animator, acting: Path, tmp_path: Path
) -> None:
    """25 frames/s in the first second, then 50, then 12.5: each frame is shown when it was before.

    Frames that were taken as equally long would be late by half a second after two.
    """
    pieces = "lt(t,.999)*not(mod(n,2))+between(t,.999,1.999)+gte(t,1.999)*not(mod(n,4))"
    variable = converted(
        acting, tmp_path / "variable.mp4", "-vf", f"minterpolate=fps=50:mi_mode=blend,select='{pieces}'",
        "-fps_mode", "vfr", "-c:a", "copy",
    )  # fmt: skip
    stored = len(list(read_frames(variable)))
    assert 80 < stored < 95  # about 25 + 50 + 12
    film = painting.animate(None, tmp_path / "film.mp4", actor=variable)
    assert abs(film.n_frames - SECONDS * 25) <= 1
    real, made = (opening(painting.motions(actor=path)[0]) for path in (acting, variable))
    n = min(len(real), len(made))
    for part in (slice(10, n - 10), slice(10, 30), slice(25, 50), slice(45, n - 10)):
        _, lag = best_offset(made[part], real[part])
        assert abs(lag) <= 1, part
    assert correlation(made[10 : n - 10], real[10 : n - 10]) > 0.85
    at_one_rate = np.interp(np.arange(stored) * n / stored, np.arange(n), real)[
        :n
    ]  # were each frame shown equally long
    assert abs(len(at_one_rate) - stored) > 5 or correlation(at_one_rate[10 : n - 10], real[10 : n - 10]) < 0.85
    a, b = envelope(acting, SECONDS), envelope(film.path, SECONDS)
    m = min(len(a), len(b))
    assert best_offset(b[:m], a[:m])[1] == 0  # within 10 ms
    upper, lower = INNER_LIPS
    shapes = [shared_landmarker().detect(frame)[0].landmarks for frame in read_frames(film.path)]
    seen = np.array([np.linalg.norm(points[upper] - points[lower]) for points in shapes])
    assert abs(best_offset(seen[10 : n - 10], real[10 : n - 10])[1]) <= 1  # in the film as it plays


def test_turned_phone_video_is_set_upright(painting: Animator, acting: Path, tmp_path: Path) -> None:
    lying = converted(acting, tmp_path / "lying.mp4", "-vf", "transpose=1", "-an")
    turned = converted(lying, tmp_path / "turned.mp4", "-c", "copy", before=("-display_rotation:v:0", "90"))
    assert probe(turned).size == probe(acting).size
    a, b = (painting.motions(actor=path)[0] for path in (acting, turned))
    assert correlation(opening(a)[10:-10], opening(b)[10:-10]) > 0.95
    assert correlation(a.rotation[10:-10, 1], b.rotation[10:-10, 1]) > 0.9  # it is encoded once more


@pytest.fixture(scope="module")
def couple(acting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people: on the left one who stands still, on the right the actor."""
    frames = list(read_frames(acting))
    return written(
        [np.concatenate([frames[0], frame], axis=1) for frame in frames], tmp_path_factory.mktemp("two") / "two.mp4"
    )


def test_one_of_several_people_acts(painting: Animator, couple: Path, acting: Path) -> None:
    still, moving = (painting.motions(actor=couple, actor_face=n)[0] for n in (1, 2))
    assert opening(still).std() < 0.2 * opening(moving).std()
    assert correlation(opening(moving)[10:-10], opening(painting.motions(actor=acting)[0])[10:-10]) > 0.9
    with pytest.raises(NoFaceError, match="has no face number 3: its first frame with a face shows 2 faces"):
        painting.motions(actor=couple, actor_face=3)


def test_which_face_acts_is_told(painting: Animator, couple: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "portrait_anim"):
        painting.motions(actor=couple)
    assert "shows 2 faces at first, the largest one acts" in caplog.text


def with_gap(acting: Path, path: Path, first: int, n: int) -> Path:
    frames = list(read_frames(acting))
    for i in range(first, first + n):
        frames[i] = np.full_like(frames[i], 128)
    return written(frames, path)


def test_short_losses_are_bridged(painting: Animator, acting: Path, tmp_path: Path) -> None:
    (whole,) = painting.motions(actor=acting)
    (bridged,) = painting.motions(actor=with_gap(acting, tmp_path / "gap.mp4", 30, 8))
    np.testing.assert_allclose(bridged.rotation[30:38], whole.rotation[30:38], atol=np.deg2rad(5))
    assert bridged.rotation[30:38].any(axis=1).all()


def test_long_losses_ease_to_rest_and_are_told(
    painting: Animator, acting: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "portrait_anim"):
        (motion,) = painting.motions(actor=with_gap(acting, tmp_path / "gap.mp4", 25, 25))
    assert "shows no face for 1.0 s in all, first at 1.0 s: the photo rests there" in caplog.text
    assert not motion.rotation[36:50].any()
    assert not motion.mesh[36:50].any()
    assert np.rad2deg(np.abs(np.diff(motion.rotation, axis=0)).max()) < 8  # no jump


def test_cuts_are_seen_and_eased_over(
    painting: Animator, acting: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = list(read_frames(acting))
    light, dark = (np.full_like(frames[0], grey) for grey in (200, 40))
    shown = [np.hstack([frame, light] if i < 40 else [dark, frame]) for i, frame in enumerate(frames)]
    with caplog.at_level(logging.INFO, "portrait_anim"):
        (motion,) = painting.motions(actor=written(shown, tmp_path / "cut.mp4"))
    assert "is cut at 1.6 s: head and gaze are eased over it" in caplog.text
    assert np.rad2deg(np.abs(np.diff(motion.rotation, axis=0)).max()) < 8
    assert np.abs(np.diff(motion.shift, axis=0)).max() < 0.03
    assert correlation(opening(motion)[10:-10], opening(painting.motions(actor=acting)[0])[10:-10]) > 0.8


def test_a_still_actors_head_is_still_and_does_not_swell(painting: Animator, acting: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = next(read_frames(acting)).astype(float)
    noisy = [(frame + rng.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8) for _ in range(50)]
    (motion,) = painting.motions(actor=written(noisy, tmp_path / "still.mp4"))
    assert np.rad2deg(motion.rotation.std(axis=0).max()) < 0.05
    assert np.rad2deg(np.abs(np.diff(motion.rotation, axis=0)).max()) < 0.05
    assert np.rad2deg(np.abs(motion.rotation).max()) < 0.15
    assert motion.shift[:, :2].std() < 0.002
    assert not motion.shift[:, 2].any()
    assert motion.blink.max() < 0.1


def test_the_neutral_moment_can_be_named(painting: Animator, acting: Path) -> None:
    (motion,) = painting.motions(actor=acting, actor_neutral=1.6)
    assert abs(opening(motion)[38:43].mean()) < 0.02
    with pytest.raises(OptionError, match=r"beyond the end of actor video .*: it lasts 3\.0 s"):
        painting.motions(actor=acting, actor_neutral=99)


def test_a_smile_is_held_unless_the_neutral_moment_is_named(painting: Animator, acting: Path) -> None:
    (motion,), (named,) = painting.motions(actor=acting), painting.motions(actor=acting, actor_neutral=1.6)
    smile = TRACKS.index("AU12_image_left")  # the actor's film is of the astronaut, who smiles; the painting does not
    assert motion.expression[20:-20, smile].min() > 0.5
    assert not named.expression.any()


def test_head_motion_and_blinks_scale_the_actors(painting: Animator, acting: Path) -> None:
    (motion,) = painting.motions(actor=acting)
    (calm,) = painting.motions(actor=acting, head_motion=0, blinks=0)
    assert not calm.rotation.any()
    assert not calm.shift.any()
    assert not calm.blink.any()
    np.testing.assert_array_equal(calm.mesh, motion.mesh)


def test_emotions_come_on_top(painting: Animator, acting: Path) -> None:
    (plain,) = painting.motions(actor=acting)
    (happy,) = painting.motions(actor=acting, emotion="happy")
    assert happy.expression[40].max() > plain.expression[40].max() + 0.5
    np.testing.assert_array_equal(happy.mesh, plain.mesh)


def test_a_lost_face_is_found_again_nearby(acting: Path) -> None:
    frames = list(islice(read_frames(acting), 12))
    grey = np.full_like(frames[0], 128)
    large = np.kron(frames[0], np.ones((2, 2, 1), np.uint8))[:512, 256:768]  # a larger face beside it

    def wide(left: np.ndarray) -> np.ndarray:
        return np.hstack([left, large])

    shown = [wide(frame) for frame in frames]
    shown[5] = wide(grey)
    track = follow_chosen(shown, shared_landmarker(), 1)
    assert track.n_faces == 2
    assert not track.seen[5]
    assert track.seen[6:].all()
    assert track.landmarks[11, 1, 0] < 512


def no_face(folder: Path) -> Path:
    return written([np.full((96, 128, 3), 90, np.uint8)] * 12, folder / "wall.mp4")


def empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.write_bytes(b"")
    return path


def sound_only(folder: Path) -> Path:
    return converted(EXAMPLES / "speech.flac", folder / "sound.m4a", "-t", "1")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (no_face, "error: no face found in actor video"),
        (empty, "is an empty file"),
        (sound_only, "has no picture track: give a video"),
        (lambda folder: folder / "missing.mp4", "error: "),
    ],
)
def test_unusable_videos_are_refused_in_one_line(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    (folder := tmp_path / "in").mkdir()
    (work := tmp_path / "out").mkdir()
    done = run_cli([PAINTING, "--actor", make(folder), "--max-size", "256"], work)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert not list(work.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing moves the photo: give a sound, --say TEXT, --actor VIDEO, --motion FILE or --idle SECONDS"),
        (["--lips", "voice", "x.wav"], "are of an actor's video"),
        (["--actor", "{acting}", "--lips", "none"], "unknown lips 'none'"),
        (["--actor", "{acting}", "--actor-face", "0"], "actor_face 0 is out of range"),
        (
            ["--actor", "{acting}", "--actor-face", "3"],
            "has no face number 3: its first frame with a face shows 1 face",
        ),
        (["--actor", "{acting}", "--max-duration", "1"], "is longer than the allowed 1.0 s"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, acting: Path, arguments: list[str], says: str) -> None:
    done = run_cli([PAINTING, *(word.format(acting=acting) for word in arguments), "--max-size", "256"], tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert says in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_sound_may_come_after_the_options(tmp_path: Path, acting: Path, second_of_speech: Path) -> None:
    done = run_cli([PAINTING, "--actor", acting, "--max-size", "256", "-o", "film.mp4", second_of_speech], tmp_path)
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "film.mp4").n_frames == 25


def test_the_video_itself_is_not_written_over(acting: Path) -> None:
    with pytest.raises(OutputError, match="is the actor's video itself"):
        animate(PAINTING, actor=acting, output=acting, overwrite=True)


def test_a_video_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(VideoError, match="is not a video"):
        animate(PAINTING, actor=path, output=tmp_path / "film.mp4")
