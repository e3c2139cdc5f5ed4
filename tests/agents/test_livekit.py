"""A live face as LiveKit's video generator, and in its real avatar runner (without a server: nothing is published)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES

pytest.importorskip(
    "livekit.agents", reason="needs the extra livekit: pip install -c constraints-live.txt '.[livekit]'"
)

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarRunner, QueueAudioOutput

from portrait_anim.agents.livekit import PortraitVideoGenerator
from portrait_anim.agents.samples import as_bytes
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.live.engine import LiveFace

pytestmark = pytest.mark.media

RATE = 16_000  # Hz, of everything here, so that sound comes out as it went in


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(EXAMPLES / "speech.flac")[: 2 * SAMPLE_RATE]


@pytest.fixture
def generator() -> PortraitVideoGenerator:
    face = LiveFace(EXAMPLES / "astronaut.jpg", sample_rate=RATE, max_size=160, seed=3)
    face.step()  # compiles
    return PortraitVideoGenerator(face)


async def push(generator: PortraitVideoGenerator, samples: np.ndarray, *, end: bool = True) -> None:
    for at in range(0, len(samples), 1600):
        data = as_bytes(samples[at : at + 1600])
        await generator.push_audio(rtc.AudioFrame(data, RATE, 1, len(data) // 2))
    if end:
        await generator.push_audio(AudioSegmentEnd())


async def take(generator: PortraitVideoGenerator, seconds: float, out: list[Any], n_ends: int = 0) -> None:
    """Take what comes for some time, or (on a slow machine) until so many segments have ended and .5 s more."""
    end = time.monotonic() + seconds
    async for one in generator:
        out.append(one)
        n_ends -= isinstance(one, AudioSegmentEnd)
        if n_ends > 0 or isinstance(one, AudioSegmentEnd):
            end = max(end, time.monotonic() + 0.5)
        if time.monotonic() > end:
            return


def sound_of(frames: list[Any]) -> np.ndarray:
    parts = [np.frombuffer(one.data, np.int16) for one in frames if isinstance(one, rtc.AudioFrame)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def test_segments_end_once_each_after_their_last_sound(generator: PortraitVideoGenerator, speech: np.ndarray) -> None:
    first, second = speech[: RATE + 100], speech[RATE:]

    async def run() -> list[Any]:
        out: list[Any] = []
        await push(generator, first)
        await push(generator, second)
        await take(generator, 0.5, out, 2)
        return out

    out = asyncio.run(run())
    ends = [i for i, one in enumerate(out) if isinstance(one, AudioSegmentEnd)]
    sounds = [i for i, one in enumerate(out) if isinstance(one, rtc.AudioFrame)]
    assert len(ends) == 2
    assert ends[1] > sounds[-1]
    heard = sound_of(out[: ends[0]])
    sent = np.frombuffer(as_bytes(first), np.int16)
    np.testing.assert_array_equal(heard[: len(sent)], sent)
    assert len(heard) - len(sent) < RATE // FPS
    after = sound_of(out[ends[0] :])
    sent = np.frombuffer(as_bytes(second), np.int16)
    np.testing.assert_array_equal(after[: len(sent)], sent)
    pictures = [one for one in out if isinstance(one, rtc.VideoFrame)]
    assert all((one.width, one.height) == generator.face.size for one in pictures)
    assert isinstance(out[-1], rtc.VideoFrame)  # idle: pictures, and no sound that would count as speech


def test_cleared_segments_never_end(generator: PortraitVideoGenerator, speech: np.ndarray) -> None:
    async def run() -> tuple[list[Any], list[Any], list[Any]]:
        before: list[Any] = []
        cleared: list[Any] = []
        after: list[Any] = []
        await push(generator, speech)  # its end waits, too
        await push(generator, speech, end=False)  # its end comes after it was cleared
        await take(generator, 0.6, before)
        generator.clear_buffer()
        await generator.push_audio(AudioSegmentEnd())
        await take(generator, 0.5, cleared)
        await push(generator, speech[:RATE])
        await take(generator, 0.5, after, 1)
        return before, cleared, after

    before, cleared, after = asyncio.run(run())
    assert len(sound_of(before))
    assert not any(isinstance(one, AudioSegmentEnd | rtc.AudioFrame) for one in cleared)
    assert sum(isinstance(one, AudioSegmentEnd) for one in after) == 1
    np.testing.assert_array_equal(sound_of(after)[:RATE], np.frombuffer(as_bytes(speech[:RATE]), np.int16))
    assert not generator.face._last.any() or generator.face._silent >= 3  # shut


def test_the_runner_tells_the_agent_what_was_played(
    generator: PortraitVideoGenerator, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[tuple[float, bool]] = []
    started: list[float] = []

    async def run() -> None:
        audio = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
        audio.on("playback_started", lambda event: started.append(time.monotonic()))
        audio.on("playback_finished", lambda event: finished.append((event.playback_position, event.interrupted)))
        runner = AvatarRunner(rtc.Room(), audio_recv=audio, video_gen=generator, options=generator.options)

        async def nowhere() -> None:
            runner._video_publication = object()  # type: ignore[assignment]  # what publishing to a server would set

        monkeypatch.setattr(runner, "_publish_track", nowhere)
        await runner.start()
        for length, interrupt in ((RATE, False), (2 * RATE, True), (RATE, False)):
            for at in range(0, length, 1600):
                data = as_bytes(speech[at : at + 1600])
                await audio.capture_frame(rtc.AudioFrame(data, RATE, 1, len(data) // 2))
            audio.flush()
            if interrupt:
                await asyncio.sleep(0.8)
                audio.clear_buffer()
            n_before = len(finished)
            await asyncio.wait_for(audio.wait_for_playout(), 20)
            assert len(finished) == n_before + 1 or interrupt
        await runner.aclose()

    asyncio.run(run())
    assert [interrupted for _, interrupted in finished] == [False, True, False]
    assert len(started) == 3
    assert finished[0][0] == pytest.approx(1.0, abs=0.05)
    assert 0.1 < finished[1][0] < 1.5
    assert finished[2][0] == pytest.approx(1.0, abs=0.05)
