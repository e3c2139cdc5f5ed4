"""A motion file drives a photo: through the Python call and the real command, with and without a sound."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import EXAMPLES, run_cli
from PIL import Image

from portrait_anim import Animator, animate, verify
from portrait_anim.cli.main import animate_main
from portrait_anim.errors import MotionError, OptionError, OutputError
from portrait_anim.motion.arkit import VALUES
from portrait_anim.motion.files import MotionFiles
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.system.fingerprint import Fingerprint
from portrait_anim.video.reader import probe

pytestmark = pytest.mark.media

TAKE = Path(__file__).parents[1] / "golden" / "take.csv"


@pytest.fixture(scope="module")
def animator(small_astronaut: Path) -> Animator:
    return Animator(small_astronaut)


@pytest.fixture(scope="module")
def couple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("astronaut.jpg", "portraits/raphael_la_donna_velata_1516.jpg")
    halves = [Image.open(EXAMPLES / name).convert("RGB").resize((256, 256)) for name in names]
    path = tmp_path_factory.mktemp("couple") / "couple.png"
    Image.fromarray(np.concatenate([np.asarray(half) for half in halves], axis=1)).save(path)
    return path


def turning(n_frames: int = 30, fps: float = 25.0, turn_rad: float = 0.1) -> Motion:
    """A head that turns there and back."""
    motion = Motion.rest(n_frames)
    motion.rotation[:, 1] = turn_rad * np.sin(np.linspace(0, 2 * np.pi, n_frames))
    motion.blink[n_frames // 2] = 1
    return replace(motion, fps=fps)


@pytest.mark.parametrize("fps", [25, 30, 29.97])
def test_saved_motion_makes_the_same_film(
    animator: Animator, tmp_path: Path, second_of_speech: Path, fps: float
) -> None:
    saved = tmp_path / "m.npz"
    film = animator.animate(second_of_speech, tmp_path / "a.mp4", save_motion=saved, fps=fps, emotion="happy")
    (again,) = animator.motions(second_of_speech, motion=saved, fps=fps)
    for name, track in film.motion.tracks().items():
        np.testing.assert_array_equal(getattr(again, name), track, err_msg=name)
    replayed = animator.animate(second_of_speech, tmp_path / "b.mp4", motion=saved, fps=fps)
    assert (replayed.n_frames, replayed.fps) == (film.n_frames, film.fps)
    assert probe(replayed.path).has_audio


def test_silent_film_of_a_take(animator: Animator, tmp_path: Path) -> None:
    film = animator.animate(output=tmp_path / "film.mp4", motion=TAKE)
    clip = probe(film.path)
    assert (clip.n_frames, clip.fps, clip.has_audio) == (38, 25, False)  # 1.5 s
    assert verify(film.path).marked
    frames = np.stack(list(animator.frames(motion=TAKE, fps=10))).astype(int)
    x, y = animator.faces[0].landmarks[[13, 14], :2].mean(0).round().astype(int)
    assert np.ptp(frames[:, y - 3 : y + 10, x - 8 : x + 8], axis=0).mean() > 8  # the mouth opens
    assert (frames[:, -8:, :8] == frames[0, -8:, :8]).all()  # the corner stays


def test_sound_is_played_and_sets_the_length(
    animator: Animator, tmp_path: Path, second_of_speech: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cut = animator.animate(second_of_speech, tmp_path / "a.mp4", motion=TAKE)
    assert (cut.n_frames, probe(cut.path).has_audio) == (25, True)
    assert "the sound ends after 1.0 s, the motion after 1.5 s" in caplog.text
    caplog.clear()
    (held,) = animator.motions(second_of_speech, motion=turning(8))
    assert len(held) == 25
    assert "the face rests from there on" in caplog.text
    still = replace(turning(8), rotation=np.full((8, 3), 0.1, np.float32))
    (eased,) = animator.motions(second_of_speech, motion=still)
    assert eased.rotation[7, 1] == pytest.approx(0.1, abs=1e-4)
    assert (np.diff(eased.rotation[:, 1]) <= 1e-6).all()
    assert np.abs(np.diff(eased.rotation[:, 1])).max() < 0.03  # no jump
    assert not eased.rotation[-1].any()


@pytest.mark.parametrize(("rate", "fps"), [(60, 25), (24, 30), (30, 29.97), (25, 60)])
def test_rates_are_brought_to_the_films(animator: Animator, rate: float, fps: float) -> None:
    given = turning(int(2 * rate), rate)
    (motion,) = animator.motions(motion=given, fps=fps)
    assert len(motion) == round(2 * motion.fps)
    at = (np.arange(len(motion)) + 0.5) / motion.fps  # the frames' middles, s
    expected = 0.1 * np.sin(2 * np.pi * (at * rate - 0.5) / (2 * rate - 1))
    np.testing.assert_allclose(motion.rotation[2:-2, 1], expected[2:-2], atol=1e-3)


def test_head_and_blinks_follow_the_options(animator: Animator) -> None:
    given = turning()
    (still,) = animator.motions(motion=given, head_motion=0, blinks=0)
    assert not still.rotation.any()
    assert not still.blink.any()
    (half,) = animator.motions(motion=given, head_motion=0.5)
    np.testing.assert_allclose(half.rotation, given.rotation / 2, atol=1e-6)
    assert half.blink.max() == 1


def test_a_head_that_turns_too_far_is_bent(animator: Animator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (motion,) = animator.motions(motion=turning(turn_rad=0.7))
    assert np.deg2rad(25) < motion.rotation[:, 1].max() <= np.deg2rad(30.1)
    assert "turns by 40 degrees" in caplog.text
    caplog.clear()
    (small,) = animator.motions(motion=turning(turn_rad=0.15))
    assert small.rotation[:, 1].max() == pytest.approx(0.15, abs=0.002)
    assert not caplog.text


def test_a_phone_held_aside_is_the_photos_own_pose(animator: Animator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    aside = turning(turn_rad=0.05)
    aside.rotation[:, 0] += 0.35
    (motion,) = animator.motions(motion=aside)
    assert np.abs(motion.rotation[:, 0]).max() < 0.01
    assert motion.rotation[:, 1].max() == pytest.approx(0.05, abs=0.005)
    assert "taken for the photo's own pose" in caplog.text


def test_a_recorded_face_rests(animator: Animator, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a phone reads in a still face opens neither lips nor closes lids; wide open and shut stay what they are."""
    caplog.set_level(logging.INFO)
    values = {name: np.zeros(90) for name in VALUES}
    values |= {name: np.full(90, 0.08) for name in ("JawOpen", "MouthFunnel", "EyeBlinkLeft", "EyeBlinkRight")}
    values["JawOpen"][40] = values["EyeBlinkLeft"][40] = 1.0
    values["MouthSmileLeft"] += 0.5
    with MotionFiles(tmp_path / "phone.csv", 1) as files:
        files.write([Motion.from_arkit(values, 30)], animator._nets.space)
    (motion,) = animator.motions(motion=tmp_path / "phone.csv", fps=30)
    moved = animator._nets.space.displacement_at(motion, (13, 14))[:, :, 1]
    assert (moved[0, 0] - moved[0, 1]) == pytest.approx(0, abs=1e-3)
    assert (moved[40, 0] - moved[40, 1]) > 0.3
    assert motion.blink[0].max() == pytest.approx(0, abs=1e-6)
    assert motion.blink[40].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert motion_corners(animator, motion)[0] > 0.02  # a smile that is held is meant
    assert "up to 8 % are taken off" in caplog.text


def test_emotions_come_on_top(animator: Animator) -> None:
    (plain,) = animator.motions(motion=TAKE)
    (happy,) = animator.motions(motion=TAKE, emotion="happy")
    corners = [motion_corners(animator, motion) for motion in (plain, happy)]
    assert (corners[1] - corners[0])[-5:].min() > 0.03
    np.testing.assert_array_equal(plain.expression[:, 30:], happy.expression[:, 30:])
    with pytest.raises(OptionError, match="'auto' follows a voice"):
        animator.motions(motion=TAKE, emotion="auto")


def motion_corners(animator: Animator, motion: Motion) -> np.ndarray:
    return animator._nets.space.displacement_at(motion, (61, 291))[..., 1].mean(axis=1)


def test_one_motion_a_face(couple: Path, tmp_path: Path) -> None:
    film = animate(couple, output=tmp_path / "film.mp4", motion=[turning(10), turning(20)],
                   save_motion=tmp_path / "m.npz")  # fmt: skip
    assert film.n_frames == 20
    assert len(film.motions) == 2
    assert film.motions[0].rotation[:10].any()
    assert not film.motions[0].rotation[-1].any()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["film.mp4", "m-1.npz", "m-2.npz"]
    one = Animator(couple, face="all").motions(motion=turning(10))
    np.testing.assert_array_equal(one[0].rotation, one[1].rotation)
    with pytest.raises(OptionError, match="3 motions for 2 faces"):
        Animator(couple, face="all").motions(motion=[turning()] * 3)


def test_facts_name_the_file(animator: Animator) -> None:
    from portrait_anim.drivers.choose import make_driver
    from portrait_anim.options import MotionOptions

    options = MotionOptions(motion=TAKE)
    facts = make_driver([], 1, animator._nets, options).facts(options)
    (source,) = facts.more["motion"]
    assert isinstance(source, Fingerprint)
    assert source.path == TAKE
    assert facts.sources == ()
    assert set(facts.models) == {"motion_default", "action_units"}  # no speech net


def test_what_cannot_be_done(animator: Animator, tmp_path: Path, second_of_speech: Path) -> None:
    with pytest.raises(OptionError, match="give a sound, --say TEXT, --actor VIDEO, --motion FILE or --idle SECONDS"):
        animator.animate(output=tmp_path / "film.mp4")
    with pytest.raises(OptionError, match="empty list"):
        animator.motions(motion=[])
    with pytest.raises(OptionError, match="a int is no motion"):
        animator.motions(motion=5)
    with pytest.raises(OptionError, match="its own, give 1, or 0"):
        animator.motions(motion=TAKE, blinks=2)
    with pytest.raises(MotionError, match="longer than the allowed 1"):
        animator.motions(motion=TAKE, max_duration=1)
    with pytest.raises(MotionError, match=r"shorter than 0\.2 s"):
        animator.motions(motion=turning(2))
    with pytest.raises(MotionError, match="no frames"):
        animator.motions(motion=Motion.rest(0))
    with pytest.raises(OutputError, match="is read for this film"):
        animator.animate(second_of_speech, tmp_path / "film.mp4", motion=TAKE, save_motion=TAKE, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_the_real_command(tmp_path: Path, small_astronaut: Path, second_of_speech: Path) -> None:
    made = run_cli([small_astronaut, second_of_speech, "--save-motion", "m.csv", "-q"], tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "m.csv").read_text().count("\n") == 26
    played = run_cli([small_astronaut, "--motion", "m.csv", "-q"], tmp_path)
    assert played.returncode == 0, played.stderr
    clip = probe(tmp_path / "small_m.mp4")
    assert (clip.n_frames, clip.has_audio) == (25, False)
    again = run_cli([small_astronaut, second_of_speech, "--motion", "m.csv", "-o", "b.mp4", "--save-motion", "m.csv"],
                    tmp_path)  # fmt: skip
    assert again.returncode == 2
    assert again.stderr.startswith("error: m.csv is read for this film")
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing moves the photo: give a sound, --say TEXT, --actor VIDEO, --motion FILE or --idle SECONDS"),
        (["--motion", "gone.csv"], "motion gone.csv not found"),
        (["--motion", "photo.png"], "motion photo.png: the name must end in .npz or .csv"),
        (["--motion", "bad.csv"], "motion bad.csv has none of ARKit's columns"),
        (["--motion", "good.csv", "--motion", "good.csv"], "no face number 2: it has 1 face"),
        (["sound.wav", "--save-motion", "m.txt"], "m.txt: the name must end in .npz or .csv"),
        (["sound.wav", "--save-motion", "no/m.csv"], "the folder no does not exist"),
        (["sound.wav", "--save-motion", "good.csv"], "good.csv exists already"),
    ],
)
def test_one_line_and_nothing_left(
    words: list[str], said: str, tmp_path: Path, small_astronaut: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(small_astronaut.read_bytes())
    soundfile.write(tmp_path / "sound.wav", np.zeros(16_000), 16_000)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "good.csv").write_bytes(TAKE.read_bytes())
    before = sorted(tmp_path.iterdir())
    assert animate_main(["photo.png", *words, "-o", "out.mp4", "-q"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert sorted(tmp_path.iterdir()) == before


def test_a_film_that_fails_leaves_no_motion(animator: Animator, tmp_path: Path, second_of_speech: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == total:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        animator.animate(second_of_speech, tmp_path / "film.mp4", save_motion=tmp_path / "m.npz", progress=stop)
    assert not list(tmp_path.iterdir())


def test_an_hour_of_phone_motion_is_read_in_little_memory(tmp_path: Path) -> None:
    """The tracks of a csv hold 78 numbers a frame, no mesh: two hours are 67 MB, not a gigabyte."""
    motion = Motion.from_arkit({name: np.zeros(90_000) for name in VALUES}, 25)
    assert sum(track.nbytes for track in motion.tracks().values()) < 45e6
    space = MotionSpace.from_weights()
    with MotionFiles(tmp_path / "hour.npz", 1) as files:
        files.write([motion], space)
    assert (tmp_path / "hour.npz").stat().st_size < 1e6
