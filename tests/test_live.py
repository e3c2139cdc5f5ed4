"""Motion while the sound comes: the same whatever the pieces, never late, at rest in silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from portrait_anim.evaluation.metrics import correlation
from portrait_anim.motion.live import LiveMotion, RunningLevel
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.space import Motion
from portrait_anim.motion.upper import NoiseStream
from portrait_anim.provenance.reading import read_mark

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return MotionModel.from_weights()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(EXAMPLES / "speech.flac")


def pieces(live: LiveMotion, sound: np.ndarray, size: int) -> list[Motion]:
    return [live.push(sound[i : i + size]) for i in range(0, len(sound), size)] + [live.push(sound[:0], last=True)]


def joined(motions: list[Motion]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([motion.tracks()[name] for motion in motions]) for name in motions[0].tracks()}


def test_pieces_do_not_matter(model: MotionModel, speech: np.ndarray) -> None:
    whole = joined(pieces(model.live(seed=3), speech, len(speech)))
    parts = joined(pieces(model.live(seed=3), speech, 5001))
    assert len(whole["mouth"]) == round(len(speech) / SAMPLES_PER_FRAME)
    for name, track in whole.items():
        np.testing.assert_allclose(parts[name], track, atol=2e-5, err_msg=name)


def test_frames_come_in_time(model: MotionModel, speech: np.ndarray) -> None:
    live, made = model.live(), 0
    for i in range(0, 3 * SAMPLE_RATE, SAMPLES_PER_FRAME):
        made += len(live.push(speech[i : i + SAMPLES_PER_FRAME]))
        heard = i / SAMPLES_PER_FRAME + 1
        assert made <= heard
        assert made >= heard - 5 - 4  # 200 ms of look-ahead, four frames at a time


def test_it_says_what_the_whole_recording_says(model: MotionModel, speech: np.ndarray) -> None:
    live = joined(pieces(model.live(), speech, 8000))["mouth"]
    whole = model.listen(speech).mouth
    assert correlation(model.space.aperture(live), model.space.aperture(whole)) > 0.7
    assert correlation(model.space.aperture(live), np.roll(model.space.aperture(whole), 40)) < 0.5


def test_silence_rests_and_the_face_lives(model: MotionModel) -> None:
    motion = joined(pieces(model.live(seed=1), np.zeros(8 * SAMPLE_RATE, np.float32), 4000))
    assert np.abs(model.space.aperture(motion["mouth"])).max() < 0.01
    assert np.abs(motion["rotation"]).max() > 0.005
    still = joined(pieces(model.live(head_motion=0, blinks=0), np.zeros(2 * SAMPLE_RATE, np.float32), 4000))
    assert np.abs(still["rotation"]).max() == 0
    assert still["blink"].max() == 0


def test_level_settles(speech: np.ndarray) -> None:
    outs = []
    for gain in (0.1, 1.0):
        level = RunningLevel()
        frames = (gain * speech[: len(speech) // 640 * 640]).reshape(-1, 640)
        outs.append(np.stack([level(frame) for frame in frames]))
    late = slice(2 * FPS, None)
    assert np.abs(outs[0][late]).max() == pytest.approx(np.abs(outs[1][late]).max(), rel=0.25)


def test_noise_comes_in_pieces() -> None:
    one, many = NoiseStream(5), NoiseStream(5)
    whole = one.take(300).numpy()
    parts = np.concatenate([many.take(n).numpy() for n in (1, 99, 200)], axis=2)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    long = NoiseStream(6).take(6000).numpy()[0]
    np.testing.assert_allclose(long.std(1), 1, atol=0.25)


def test_frames_while_the_sound_comes(model: MotionModel, speech: np.ndarray, small_astronaut: Path) -> None:
    animator, heard = Animator(small_astronaut), []

    def microphone() -> Iterator[np.ndarray]:
        for i in range(0, 2 * SAMPLE_RATE, 3200):
            heard.append(i)
            yield speech[i : i + 3200]

    frames = animator.live(microphone(), seed=2)
    first = next(frames)
    assert first.shape == (256, 256, 3)
    assert len(heard) <= 3  # .4 s of sound and not the two seconds
    rest = list(frames)
    assert len(rest) + 1 == 50
    assert np.abs(rest[30].astype(int) - first).max() > 30
    assert read_mark([first, *rest]).found
