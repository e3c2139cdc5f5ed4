"""The engine of a live face: speech in, frames and sound in step out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLES_PER_FRAME
from portrait_anim.errors import AudioError, OptionError
from portrait_anim.live.clock import played
from portrait_anim.live.engine import CLOSING, LiveFace
from portrait_anim.live.frame import LiveFrame
from portrait_anim.live.manner import NOD_AFTER_S, NOD_S, Manner
from portrait_anim.motion.metrics import correlation
from portrait_anim.motion.model import MotionModel
from portrait_anim.provenance.watermark import read_mark

pytestmark = pytest.mark.media

PHOTO = EXAMPLES / "astronaut.jpg"
TICK = SAMPLES_PER_FRAME  # samples at 16 kHz


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(EXAMPLES / "speech.flac")[: 4 * 16_000]


@pytest.fixture
def face() -> LiveFace:
    return LiveFace(PHOTO, sample_rate=16_000, max_size=256, seed=3)


def opening(face: LiveFace, frame: LiveFrame) -> float:
    """How far the lips are apart in the frame that was just made."""
    if frame.state == "speaking":
        return float(face.space.aperture(face._last))
    return float(face.space.aperture(face._last)) * CLOSING[min(face._silent - 1, len(CLOSING) - 1)]


def run(face: LiveFace, n_frames: int, *, draw: bool = False) -> Iterator[tuple[LiveFrame, float]]:
    for _ in range(n_frames):
        frame = face.step(draw=draw)
        yield frame, opening(face, frame)


def test_speech_is_played_as_it_was_fed_and_the_lips_follow_as_in_a_live_film(
    face: LiveFace, speech: np.ndarray
) -> None:
    face.feed(speech, 16_000)
    face.end_of_speech()
    made = list(run(face, 130))
    spoken = [frame for frame, _ in made if frame.state == "speaking"]
    assert made[0][0].state == "speaking"  # all of it is there: nothing is waited for
    np.testing.assert_array_equal(np.concatenate([frame.samples for frame in spoken])[: len(speech)], speech)
    lips = np.array([lip for _, lip in made])
    model = MotionModel.from_weights()
    aim = model.space.aperture(model.live().push(speech, last=True).mouth)
    assert correlation(lips[2 : len(aim)], aim[2:]) > 0.98
    assert not any(lips[len(spoken) + 3 :])  # shut after the end
    assert not np.concatenate([frame.samples for frame, _ in made[len(spoken) :]]).any()


def test_a_microphone_s_speech_comes_a_third_of_a_second_later_at_most_and_looks_the_same(
    face: LiveFace, speech: np.ndarray
) -> None:
    frames, lips = [], []
    for i in range(100):
        face.feed(speech[i * TICK : (i + 1) * TICK], 16_000)
        frame = face.step(draw=False)
        frames.append(frame)
        lips.append(opening(face, frame))
    first = next(i for i, frame in enumerate(frames) if frame.state == "speaking")
    assert first <= 0.32 * FPS
    assert all(frame.state == "speaking" for frame in frames[first:])  # no gap
    sound = np.concatenate([frame.samples for frame in frames[first:]])
    np.testing.assert_array_equal(sound, speech[: len(sound)])
    other = LiveFace(PHOTO, sample_rate=16_000, max_size=256, seed=3)
    other.feed(speech, 16_000)
    fast = [lip for _, lip in run(other, 100 - first)]
    np.testing.assert_allclose(lips[first:], fast, atol=1e-4)


def test_interrupted_speech_is_dropped_and_the_mouth_closes_at_once(face: LiveFace, speech: np.ndarray) -> None:
    face.feed(speech, 16_000)
    face.end_of_speech()
    before = list(run(face, 30))
    assert max(lip for _, lip in before) > 0.05
    face.interrupt()
    after = list(run(face, 50))
    assert not any(frame.samples.any() for frame, _ in after)
    assert abs(after[2][1]) < 1e-6  # 120 ms
    steps = np.abs(np.diff([before[-1][1], *(lip for _, lip in after[:4])]))
    assert steps.max() < 0.6 * abs(before[-1][1]) + 1e-6  # no jump
    face.feed(-speech[: 20 * TICK], 16_000)
    face.end_of_speech()
    again = [frame for frame, _ in run(face, 40) if frame.state == "speaking"]
    np.testing.assert_array_equal(np.concatenate([frame.samples for frame in again]), -speech[: 20 * TICK])


def test_speech_that_stops_coming_ends_by_itself(face: LiveFace, speech: np.ndarray) -> None:
    face.feed(speech[: 25 * TICK], 16_000)
    states = [frame.state for frame, _ in run(face, 60)]
    assert states.count("speaking") == 25
    assert states[-1] == "idle"


def test_any_rate_type_and_channels_and_nan_is_refused(speech: np.ndarray) -> None:
    face = LiveFace(PHOTO, sample_rate=24_000, max_size=256)
    stereo = np.repeat(
        (np.interp(np.arange(2 * 44_100) / 44_100, np.arange(len(speech)) / 16_000, speech))[:, None], 2, 1
    )
    for piece in np.array_split((stereo * 32767).astype(np.int16), 77):
        face.feed(piece, 44_100)
    face.end_of_speech()
    frames = [frame for frame, _ in run(face, 70)]
    spoken = [frame for frame in frames if frame.state == "speaking"]
    assert len(spoken) == pytest.approx(50, abs=1)
    assert all(len(frame.samples) == 24_000 // FPS for frame in frames)
    with pytest.raises(AudioError, match="NaN"):
        face.feed(np.full(100, np.nan, np.float32), 16_000)
    with pytest.raises(AudioError, match="no multiple of 25"):
        LiveFace(PHOTO, sample_rate=22_051)
    with pytest.raises(OptionError, match="unknown emotion"):
        face.set_emotion("joyful")


def test_it_listens_nods_thinks_and_is_never_frozen(face: LiveFace) -> None:
    face.user_started()
    assert next(run(face, 1))[0].state == "listening"
    face.user_stopped()
    face.think()
    made = [face.step() for _ in range(30)]
    assert {frame.state for frame in made} == {"thinking"}
    pictures = np.stack([frame.pixels for frame in made])
    assert (np.abs(np.diff(pictures.astype(np.int16), axis=0)).max(axis=(1, 2, 3)) > 0).all()


def test_nods_come_after_a_pause_and_not_when_the_face_speaks() -> None:
    for seed in range(10):
        manner = Manner(0.0, seed)
        manner.user_paused()
        pitch = np.array([manner.next("listening")[0][0] for _ in range(50)])
        moving = np.flatnonzero(pitch > 1e-4)
        assert NOD_AFTER_S[0] * FPS - 1 <= moving[0] <= NOD_AFTER_S[1] * FPS + 1
        assert len(moving) == pytest.approx(NOD_S * FPS, abs=2)
        manner.user_paused()
        manner.no_nod()
        assert not any(manner.next("speaking")[0].any() for _ in range(50))


def test_emotions_go_over_smoothly() -> None:
    manner = Manner(0.0, 0)
    manner.feel("happy:0.8")
    felt = np.array([manner.next("idle")[2] for _ in range(25)])
    assert np.abs(np.diff(felt, axis=0)).max() < 0.12
    np.testing.assert_allclose(felt[-1], felt[-2])
    assert felt[-1].max() > 0.3
    manner.feel(None)
    assert not np.array([manner.next("idle")[2] for _ in range(25)])[-1].any()


def test_at_the_clock_sound_is_never_dropped_and_frames_are_when_it_is_slow(
    face: LiveFace, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    face.step()  # compiles
    face.feed(speech, 16_000)
    start = time.monotonic()
    frames = list(islice(played(face), 50))
    assert time.monotonic() - start == pytest.approx(49 / FPS, abs=1.5)  # a busy machine
    slow, own = 0.09, face._scene.draw

    def draw(*args: object) -> object:
        time.sleep(slow)
        return own(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(face._scene, "draw", draw)
    start = time.monotonic()
    late = list(islice(played(face), 50))
    assert time.monotonic() - start < 50 / FPS + 2.5  # a busy machine
    assert sum(frame.pixels is None for frame in late) >= 15
    assert face.numbers.dropped >= 15
    sound = np.concatenate([frame.samples for frame in (*frames, *late) if frame.state == "speaking"])
    np.testing.assert_array_equal(sound, speech[: len(sound)])
    assert len(sound) > 3.5 * 16_000


def test_live_frames_are_marked() -> None:
    face = LiveFace(PHOTO)
    reading = read_mark([face.step().pixels for _ in range(50)])
    assert reading.found
