"""Faces that wait, and films that can be played in a loop."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import EXAMPLES, run_cli
from PIL import Image

from portrait_anim import Animator, animate
from portrait_anim.errors import OptionError
from portrait_anim.face.detect import shared_landmarker
from portrait_anim.face.normalise import normalise
from portrait_anim.motion.breath import air
from portrait_anim.motion.idle import idle_lids
from portrait_anim.motion.loop import looped
from portrait_anim.motion.space import INNER_LIPS, Motion
from portrait_anim.provenance.verify import verify
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.reader import read_frames

pytestmark = pytest.mark.media

GOGOL = EXAMPLES / "portraits" / "moller_gogol_1841.jpg"


@pytest.fixture(scope="module")
def animator(astronaut: Path) -> Animator:
    return Animator(astronaut)


def blinks(motion: Motion) -> int:
    lid = motion.blink[:, 0]
    return int(((lid[1:] > 0.5) & (lid[:-1] <= 0.5)).sum())


def seam(track: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Return the step over the seam, the largest other step, and the change of speed at the seam over the largest."""
    steps = np.diff(track, axis=0)
    over = np.abs(track[0] - track[-1]).max()
    around = np.concatenate([steps[-2:], [track[0] - track[-1]], steps[:2]])
    turns = np.abs(np.diff(around, axis=0)).max() / max(np.abs(np.diff(steps, axis=0)).max(), 1e-9)
    return float(over), float(np.abs(steps).max()), float(turns)


def test_a_face_that_waits_blinks_sways_and_keeps_its_mouth_shut(animator: Animator) -> None:
    rates = []
    for seed in range(4):
        (motion,) = animator.motions(idle=60, seed=seed)
        assert len(motion) == 1500
        assert not motion.mouth.any()
        rates.append(blinks(motion) / 60)
        assert motion.blink.max() > 0.9
        degrees = np.rad2deg(motion.rotation)
        assert (degrees.std(0) > 0.1).all()
        assert (degrees.std(0) < 20).all()
        assert np.abs(np.diff(degrees, axis=0)).max() < 12  # a lively face
        for track in (motion.rotation, motion.shift, motion.gaze, motion.blink):
            assert not track[[0, -1]].any()  # begins and ends in the photo's own pose
    assert 0.2 < np.mean(rates) < 0.4
    assert len(set(rates)) > 1
    first, second = (animator.motions(idle=5, seed=seed)[0] for seed in (1, 2))
    assert not np.array_equal(first.rotation, second.rotation)
    assert np.array_equal(first.rotation, animator.motions(idle=5, seed=1)[0].rotation)


def test_blinks_and_head_follow_their_options(animator: Animator) -> None:
    none, many = (animator.motions(idle=60, blinks=rate, head_motion=0.0)[0] for rate in (0, 2))
    assert not none.blink.any()
    assert 25 < blinks(many) < 45
    assert not many.rotation.any()
    assert not many.shift.any()


@pytest.mark.parametrize("seconds", [1.0, 3.3, 20.0])
def test_an_idle_loop_comes_round_in_value_and_speed(animator: Animator, seconds: float) -> None:
    (motion,) = animator.motions(idle=seconds, loop=True, emotion="happy", seed=3)
    for name, track in motion.tracks().items():
        if track.size and track.any() and name != "blink":
            over, most, turn = seam(track)
            assert over <= 1.2 * most, name
            assert turn <= 1.5, name
    assert motion.expression[0].max() > 0.3  # a lasting emotion is there from the first frame on
    assert not motion.blink[[0, -1]].any()
    apart = np.abs(motion.rotation[0]).max()
    assert apart > 1e-3  # not by resting there


def test_an_idle_film_is_silent_marked_seamless_and_its_lips_stay_together(tmp_path: Path, astronaut: Path) -> None:
    done = run_cli([astronaut, "--idle", "6", "--loop", "--seed", "1"], tmp_path)
    assert done.returncode == 0, done.stderr
    film = tmp_path / "astronaut_idle.mp4"
    frames = np.stack(list(read_frames(film)))
    assert len(frames) == 150
    header = subprocess.run([ffmpeg_exe(), "-i", film], capture_output=True, text=True, check=False).stderr
    assert "Audio" not in header
    found = verify(film)
    assert found.mark.found
    assert found.ids_agree
    drawn = np.stack(list(Animator(astronaut).frames(idle=6, loop=True, seed=1)))
    for shown, most in ((drawn, 1.0), (frames, 1.6)):  # the encoder's first frame is finer than its last
        head = shown[:, :230, 120:350].astype(np.float32)
        steps = np.abs(np.diff(head, axis=0)).mean((1, 2, 3))
        over = np.abs(head[0] - head[-1]).mean()
        assert over < most * steps.max()
        assert over < 0.5 * np.abs(head[0] - head[len(head) // 2]).mean()
    finder, previous, gaps = shared_landmarker(), None, []
    for frame in frames[::5]:
        previous = finder.track(frame, previous)
        assert previous is not None
        shape, _ = normalise(previous.landmarks)
        gaps.append(shape[INNER_LIPS[0], 1] - shape[INNER_LIPS[1], 1])
    assert np.ptp(gaps) < 0.03  # IOD; speech opens them by .1 and more


def test_two_faces_wait_each_in_its_own_way() -> None:
    picture = np.full((256, 520, 3), 90, np.uint8)
    for path, x in ((EXAMPLES / "astronaut.jpg", 0), (GOGOL, 264)):
        picture[:, x : x + 256] = Image.open(path).convert("RGB").resize((256, 256))
    one, other = Animator(picture, face="all").motions(idle=10)
    assert not np.array_equal(one.blink, other.blink)


def test_a_voices_film_comes_round(animator: Animator, second_of_speech: Path) -> None:
    choices: dict[str, Any] = {"emotion": "happy", "fps": 30}
    (plain,) = animator.motions(second_of_speech, **choices)
    (motion,) = animator.motions(second_of_speech, loop=True, **choices)
    assert len(motion) == len(plain) == 30
    untouched = len(motion) - 18
    for name, track in motion.tracks().items():
        assert np.array_equal(track[:untouched], plain.tracks()[name][:untouched])
        if track.size and track.any():
            over, most, _ = seam(track)
            assert over <= 1.05 * most, name
    assert seam(plain.expression)[0] > 3 * seam(plain.expression)[1]  # without, the smile would vanish at once


def test_any_motion_is_closed_at_its_start_and_speed() -> None:
    time = np.arange(100) / 25
    wave = np.stack([np.sin(1.3 * time + phase) for phase in (0.3, 1.0, 2.0)], axis=1).astype(np.float32)
    motion = replace(Motion.rest(100), rotation=wave)
    assert seam(wave)[0] > 5 * seam(wave)[1]
    over, most, turn = seam(looped(motion).rotation)
    assert over <= most
    assert turn <= 1.5
    assert np.array_equal(looped(motion).rotation[:80], wave[:80])
    assert np.array_equal(looped(Motion.rest(1)).rotation, np.zeros((1, 3)))


def test_breaths_and_blinks_are_as_of_people_at_rest() -> None:
    for seed in range(20):
        breath = air(np.arange(1500), seed)
        n_breaths = int(((breath[1:] > 0.5) & (breath[:-1] <= 0.5)).sum())
        assert 11 <= n_breaths <= 18
        lid = idle_lids(250, 3.0, seed, loop=True)
        assert not lid[[0, -1]].any()
        assert np.ptp(air(np.arange(26), seed, 26)) > 0.5
    rates = [np.sum(np.diff((idle_lids(250, 1.0, seed, loop=False) > 0.5).astype(int)) > 0) / 10 for seed in range(200)]
    assert np.mean(rates) == pytest.approx(1 / 3.5, rel=0.12)


def test_a_loop_of_changing_faces_must_end_with_the_first(tmp_path: Path, astronaut: Path) -> None:
    with pytest.raises(OptionError, match="a loop must end with the photo it begins with"):
        animate(astronaut, None, tmp_path / "film.mp4", idle=3, loop=True, morph=[(GOGOL, 0.5)])
    with pytest.raises(OptionError, match=r"let it come back before 3\.00 s"):
        animate(astronaut, None, tmp_path / "film.mp4", idle=3, loop=True, morph=[(GOGOL, 0.5), (astronaut, 2.5)])
    film = animate(
        astronaut, None, tmp_path / "film.mp4", idle=3, loop=True, max_size=256,
        morph=[(GOGOL, 0.5), (str(astronaut), 2.0)],
    )  # fmt: skip
    assert film.n_frames == 75


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"idle": 0.5}, "idle 0.5 is out of range"),
        ({"idle": float("nan")}, "is out of range"),
        ({"idle": "x"}, "is out of range"),
        ({"idle": 20, "max_duration": 10}, "give a number from 1 to 10"),
        ({"idle": 5, "actor": "a.mp4"}, "leave out --actor and --motion"),
        ({"idle": 5, "emotion": "auto"}, "follows a voice"),
    ],
)
def test_bad_values_are_one_line(animator: Animator, choices: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError) as error:
        animator.motions(**choices)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(OptionError, match="give a sound or --idle SECONDS, not both"):
        animator.motions(EXAMPLES / "speech.flac", idle=5)
