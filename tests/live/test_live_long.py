"""A live face over a long time and many times: its clock, its samples, its threads, its memory."""

from __future__ import annotations

import gc
import os
import resource
import threading

import numpy as np
import psutil
import pytest
from conftest import EXAMPLES

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLES_PER_FRAME
from portrait_anim.errors import AudioError
from portrait_anim.live.clock import FAR_BEHIND_S, Clock
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.speech import SpeechQueue

pytestmark = pytest.mark.media

HOURS = 8
IN_STEP_S = 0.04
MIB = 1 << 20


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("busy", [False, True])
def test_eight_hours_of_the_clock(busy: bool) -> None:
    """Frames are 40 ms apart all day; where drawing takes too long, it catches up by leaving frames out."""
    rng, time = np.random.default_rng(0), Time()
    clock = Clock(time)
    start, late, n_frames = time.now, 0, HOURS * 3600 * FPS
    for number in range(n_frames):
        ahead = clock.ahead()
        time.now += max(ahead, 0.0)
        drawn = clock.draws(ahead)
        due = start + number / FPS
        assert time.now >= due - 1e-6  # never before its time
        late += time.now - due > 2 / FPS
        assert time.now - due < FAR_BEHIND_S
        time.now += (rng.gamma(4, 0.025 / 4) if busy else 0.015) if drawn else 0.003
    assert late <= 0.01 * n_frames
    assert time.now - start == pytest.approx(n_frames / FPS, abs=IN_STEP_S)


def test_a_clock_goes_on_from_where_its_taker_stood_still() -> None:
    time = Time()
    clock = Clock(time)
    for _ in range(100):
        time.now += max(clock.ahead(), 0.0)
        clock.draws(0.0)
    time.now += 3600
    assert clock.ahead() == 0.0
    clock.draws(0.0)
    assert clock.ahead() == pytest.approx(1 / FPS, abs=1e-3)


@pytest.mark.parametrize(
    ("rate", "out"),
    [
        (8_000, 24_000),
        pytest.param(24_000, 24_000, marks=pytest.mark.long),
        pytest.param(44_100, 48_000, marks=pytest.mark.long),
    ],
)
def test_eight_hours_of_sound_stay_with_the_picture(rate: int, out: int) -> None:
    """What the nets hear and what is played of a frame are the same 40 ms, after eight hours of odd pieces, too."""
    rng, queue = np.random.default_rng(1), SpeechQueue(out)
    sent, n_frames, worst = 0, 0, 0.0
    end = HOURS * 3600 * rate
    while sent < end:
        size = int(rng.integers(1, 20 * rate))
        at = (sent + np.arange(size)) / end
        queue.feed(at.astype(np.float32), rate)  # a ramp: its value says when it was sent
        sent += size
        while (piece := queue.take()) is not None:
            heard, played = float(piece.heard.mean()), float(piece.played.mean())
            if n_frames % 500 == 250:
                middle_s = (n_frames + 0.5) / FPS
                worst = max(worst, abs(heard - played) * HOURS * 3600, abs(played * HOURS * 3600 - middle_s))
            n_frames += 1
    assert worst < IN_STEP_S
    assert n_frames == pytest.approx(sent / rate * FPS, abs=25)
    assert len(queue) == 0


@pytest.mark.parametrize("size", [1, 7, 333, 1601, 100_003])
def test_pieces_of_any_length_are_the_same_sound(size: int) -> None:
    sound = np.random.default_rng(2).uniform(-0.5, 0.5, 50_000).astype(np.float32)
    whole, pieces = SpeechQueue(16_000), SpeechQueue(16_000)
    whole.feed(sound, 16_000)
    for at in range(0, len(sound), size):
        pieces.feed(sound[at : at + size], 16_000)
    for queue in (whole, pieces):
        queue.finish()
    for _ in range(len(whole)):
        one, other = whole.take(), pieces.take()
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.played, other.played)
        np.testing.assert_array_equal(one.heard, other.heard)
    assert pieces.take() is None


def test_what_is_no_sound_is_refused_and_leaves_what_was_fed() -> None:
    queue = SpeechQueue(24_000)
    queue.feed(np.zeros(24_000, np.float32), 24_000)
    fed = len(queue)
    assert fed > 0.9 * FPS
    bad = [
        (np.array([0.0, np.nan]), 24_000, "NaN"), (np.array([np.inf]), 24_000, "infinite"),
        (np.zeros(10), 0, "sample rate"), (np.zeros(10), 12.5, "sample rate"), (np.zeros(10), 10**7, "sample rate"),
        (np.zeros((3, 3, 3)), 24_000, "shape"), (np.zeros(5, np.complex64), 24_000, "type"),
    ]  # fmt: skip
    for samples, rate, match in bad:
        with pytest.raises(AudioError, match=match):
            queue.feed(samples, rate)
    assert len(queue) == fed
    queue.feed(np.zeros((0,), np.float32), 24_000)  # nothing is no error
    assert len(queue) == fed


def test_fifty_engines_leave_no_threads_and_no_memory() -> None:
    from portrait_anim.face.photo import load_photo

    pixels = load_photo(EXAMPLES / "astronaut.jpg").pixels
    speech = load_audio(EXAMPLES / "speech.flac")[: 20 * SAMPLES_PER_FRAME]

    def once(seed: int) -> None:
        face = LiveFace(pixels, max_size=160, seed=seed)
        face.feed(speech, 16_000)
        for _ in range(3):
            face.step()
        face.interrupt()

    for seed in range(4):  # nets are loaded, kernels compiled, pools filled
        once(seed)
    gc.collect()
    n_threads, before = threading.active_count(), psutil.Process(os.getpid()).memory_info().rss
    for seed in range(50):
        once(seed)
    gc.collect()
    assert threading.active_count() == n_threads
    assert psutil.Process(os.getpid()).memory_info().rss - before < 60 * MIB


@pytest.mark.long
def test_memory_is_flat_over_an_hour() -> None:
    """An hour of ticks, half of them speaking; every tenth is drawn. A quarter of an hour of processor time."""
    speech = load_audio(EXAMPLES / "speech.flac")
    face = LiveFace(EXAMPLES / "astronaut.jpg", max_size=256, seed=1)
    seen = []
    for number in range(3600 * FPS):
        if number % (16 * FPS) == 0:
            face.feed(speech, 16_000)
            face.end_of_speech()
        face.step(draw=number % 10 == 0)
        if number % (60 * FPS) == 0:
            seen.append(psutil.Process(os.getpid()).memory_info().rss / MIB)
    first, last = np.mean(seen[5:10]), np.mean(seen[-5:])
    print(f"memory after 5 to 10 minutes {first:.0f} MiB, in the last 5 {last:.0f} MiB")
    assert last - first < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 < 1200
