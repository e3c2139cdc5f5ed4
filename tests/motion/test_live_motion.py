"""Motion while the sound comes: the same whatever the pieces, never late, at rest in silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES

from portrait_anim import Animator
from portrait_anim.audio.load import load_audio
from portrait_anim.audio.waveform import PieceReader
from portrait_anim.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from portrait_anim.errors import AudioError
from portrait_anim.motion.metrics import correlation
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.noise import NoiseStream
from portrait_anim.motion.space import Motion
from portrait_anim.motion.streaming import LiveMotion, RunningLevel
from portrait_anim.provenance.reading import read_mark

pytestmark = pytest.mark.media


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
    whole = model.analyse(speech).mouth
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
    long = NoiseStream(6).take(30_000).numpy()[0]
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


def heard(pieces: Iterable[object]) -> np.ndarray:
    """What live sound of any type becomes."""
    take = PieceReader()
    return np.concatenate([take(piece) for piece in pieces])


def test_pieces_of_any_type_and_shape(speech: np.ndarray) -> None:
    whole = np.round(speech[:32_000] * 32767).astype(np.int16)
    floats = whole / np.float32(32768)
    parts = [whole[:5000], whole[5000:5001], whole[5001:5001], whole[5001:]]
    cut = [parts[0].tobytes()[:777], bytearray(parts[0].tobytes()[777:]), memoryview(whole[5000:].tobytes())]
    kinds: dict[str, list[object]] = {
        "int16": [*parts],
        "(N, 1)": [part[:, None] for part in parts],
        "(1, N)": [part[None] for part in (parts[0], parts[3])],
        "(N, 2)": [np.stack([part, part], 1) for part in parts],
        "(2, N)": [np.stack([part, part]) for part in (parts[0], parts[3])],
        "float64": [part / 32768 for part in parts],
        "list of floats": [(part / 32768).tolist() for part in parts],
        "list of 16-bit samples": [part.tolist() for part in parts],
        "int32": [part.astype(np.int32) << 16 for part in parts],
        "bytes, cut in the middle of a sample": cut,
        "torch": [torch.from_numpy(part / np.float32(32768)) for part in parts],
        "read-only": [memoryview(part.astype(np.float32) / 32768) for part in parts],
    }
    kinds["(1, N)"].insert(1, whole[5000:5001])
    kinds["(2, N)"].insert(1, whole[5000:5001])
    for name, given in kinds.items():
        got = heard(given)
        assert got.dtype == np.float32, name
        np.testing.assert_allclose(got, floats, atol=1e-7, err_msg=name)
    np.testing.assert_array_equal(heard([floats]), floats)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_bad_samples_are_silence_with_one_note(
    bad: float, small_astronaut: Path, speech: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    given = speech[8000 : 8000 + 2 * SAMPLE_RATE].copy()
    wanted = given.copy()
    given[[3000, 9000, 9001]], wanted[[3000, 9000, 9001]] = bad, 0
    animator = Animator(small_astronaut)
    with caplog.at_level("WARNING", "portrait_anim"):
        frames = [list(animator.live(np.split(sound, 8))) for sound in (given, wanted)]
    assert [record.message for record in caplog.records] == [
        "the live sound holds NaN, infinite or impossibly large samples: they are taken as silence"
    ]
    for one, other in zip(*frames, strict=True):
        np.testing.assert_array_equal(one, other)
    assert min(frame.mean() for frame in frames[0]) > 20


def test_what_is_no_sound_is_one_line() -> None:
    for piece in (None, "abc", object(), np.zeros((2, 2, 2)), np.zeros((20, 20)), [10**6], np.zeros(5, complex), 1.0,
                  (np.zeros(5), 16_000), np.array(["a"])):  # fmt: skip
        with pytest.raises(AudioError, match=r"^[^\n]+$"):
            PieceReader()(piece)
