"""A live face in a real Pipecat pipeline: speech in, pictures and speech in step out of a transport with queues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES

pytest.importorskip("pipecat", reason="needs the extra pipecat: pip install -c constraints-live.txt '.[pipecat]'")

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    ServiceUpdateSettingsFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from portrait_anim.agents.pipecat import PortraitVideoService, PortraitVideoSettings
from portrait_anim.agents.samples import as_bytes
from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame
from portrait_anim.provenance.watermark import read_mark

pytestmark = pytest.mark.media

RATE = 16_000  # Hz, of everything here, so that sound comes out as it went in
SIZE = 256
PIECE = 1 / FPS
END_SILENCE_S = TransportParams().audio_out_end_silence_secs


class Screen(BaseOutputTransport):
    """An output transport with Pipecat's own queues and pace, that keeps what it shows and plays."""

    def __init__(self) -> None:
        super().__init__(
            TransportParams(
                audio_out_enabled=True, audio_out_sample_rate=RATE, audio_out_10ms_chunks=4, video_out_enabled=True,
                video_out_is_live=False, video_out_width=SIZE, video_out_height=SIZE, video_out_framerate=30,
            )
        )  # fmt: skip
        self.sounds: list[tuple[float, bytes]] = []
        self.pictures: list[tuple[float, bytes]] = []
        self._free_at = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self.sounds.append((time.monotonic(), frame.audio))
        self._free_at = max(self._free_at, time.monotonic()) + len(frame.audio) / 2 / RATE
        await asyncio.sleep(self._free_at - time.monotonic())
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        self.pictures.append((time.monotonic(), frame.image))
        return True


class Ear(FrameProcessor):
    """Keeps what comes by, with its time."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[float, Frame, FrameDirection]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.heard.append((time.monotonic(), frame, direction))
        await self.push_frame(frame, direction)

    def times(self, kind: type) -> list[float]:
        return [at for at, frame, _ in self.heard if isinstance(frame, kind)]


class Call:
    """A pipeline that runs: before | face | after | screen."""

    def __init__(self, face: LiveFace, **arguments: Any) -> None:
        self.before, self.after, self.screen = Ear(), Ear(), Screen()
        self.service = PortraitVideoService(face, **arguments)
        self.worker = PipelineWorker(
            Pipeline([self.before, self.service, self.after, self.screen]),
            params=PipelineParams(audio_out_sample_rate=RATE), cancel_on_idle_timeout=False, enable_rtvi=False,
        )  # fmt: skip

    async def __aenter__(self) -> Call:
        started = asyncio.Event()

        @self.worker.event_handler("on_pipeline_started")
        async def on_started(worker: object, frame: Frame) -> None:
            started.set()

        self._running = asyncio.create_task(WorkerRunner(handle_sigint=False).run(self.worker))
        await asyncio.wait_for(started.wait(), 10)
        return self

    async def say(self, samples: np.ndarray, piece_s: float = 0.1) -> None:
        size = round(piece_s * RATE)
        frames: list[Frame] = [TTSStartedFrame()]
        frames += [TTSAudioRawFrame(as_bytes(samples[at : at + size]), RATE, 1) for at in range(0, len(samples), size)]
        await self.worker.queue_frames([*frames, TTSStoppedFrame()])

    async def end(self) -> None:
        await self.worker.stop_when_done()
        await asyncio.wait_for(self._running, 60)

    async def __aexit__(self, *error: object) -> None:
        if not self._running.done():
            await self.worker.cancel()
            await asyncio.wait_for(self._running, 20)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(EXAMPLES / "speech.flac")[: 3 * SAMPLE_RATE]


@pytest.fixture
def face() -> LiveFace:
    one = LiveFace(EXAMPLES / "astronaut.jpg", sample_rate=RATE, max_size=SIZE, seed=3)
    one.step()  # compiles
    return one


def played(screen: Screen) -> np.ndarray:
    return np.frombuffer(b"".join(data for _, data in screen.sounds), "<i2")


def images(screen: Screen) -> Sequence[np.ndarray]:
    return [np.frombuffer(data, np.uint8).reshape(SIZE, SIZE, 3) for _, data in screen.pictures]


def test_speech_goes_through_whole_and_the_stop_waits_for_the_face(face: LiveFace, speech: np.ndarray) -> None:
    async def run() -> Call:
        async with Call(face) as call:
            await call.say(speech)
            await call.end()
        return call

    call = asyncio.run(run())
    sent = np.frombuffer(as_bytes(speech), "<i2")
    sound = played(call.screen)
    np.testing.assert_array_equal(sound[: len(sent)], sent)
    assert not sound[len(sent) :].any()
    sounds, stops = call.after.times(TTSAudioRawFrame), call.after.times(TTSStoppedFrame)
    assert len(stops) == 1
    assert stops[0] >= sounds[-1]
    assert stops[0] - sounds[0] > 0.95 * len(speech) / RATE  # though it all came at once
    assert call.after.times(TTSStartedFrame)[0] < sounds[0]
    assert read_mark(images(call.screen)).found
    assert not any(isinstance(frame, ErrorFrame) for _, frame, _ in call.before.heard)


def test_one_picture_for_every_piece_and_never_ahead_of_the_clock(face: LiveFace, speech: np.ndarray) -> None:
    async def run() -> Call:
        async with Call(face) as call:
            await asyncio.sleep(0.4)  # idle pictures
            await call.say(speech, 0.013)
            await call.end()
        return call

    heard = asyncio.run(run()).after.heard
    sounds = [at for at, frame, _ in heard if isinstance(frame, TTSAudioRawFrame)]
    pictures = [(at, frame) for at, frame, _ in heard if isinstance(frame, OutputImageRawFrame)]
    assert all(len(frame.audio) == RATE // FPS * 2 for _, frame, _ in heard if isinstance(frame, TTSAudioRawFrame))
    assert all(frame.sync_with_audio and frame.size == (SIZE, SIZE) for _, frame in pictures)
    assert sum(at < sounds[0] for at, _ in pictures) >= 8  # it is alive before it speaks
    shown = "".join("p" if isinstance(frame, OutputImageRawFrame) else "s" * isinstance(frame, TTSAudioRawFrame)
                    for _, frame, _ in heard)  # fmt: skip
    spoken = shown[shown.index("s") - 1 : shown.rindex("s")]
    assert spoken.startswith("ps")  # the picture first
    assert "pp" not in spoken
    assert spoken.count("p") > 0.15 * len(sounds)  # all of them where the processor keeps up
    ahead = sounds[0] + np.arange(len(sounds)) * PIECE - np.array(sounds)
    assert ahead.max() < 0.2  # the first one may be late; all at once would be 3 s


def test_barge_in_shuts_the_mouth_and_shows_none_of_the_dropped_speech(
    face: LiveFace, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[bytes, LiveFrame] = {}
    step = face.step

    def kept(*, draw: bool = True) -> LiveFrame:
        frame = step(draw=draw)
        if frame.pixels is not None:
            made[frame.pixels.tobytes()] = frame
        return frame

    monkeypatch.setattr(face, "step", kept)

    async def run() -> tuple[Call, float]:
        async with Call(face) as call:
            await call.say(speech)
            await asyncio.sleep(1.2)
            at = time.monotonic()
            await call.worker.queue_frame(InterruptionFrame())
            await asyncio.sleep(1.0)
            await call.end()
        return call, at

    call, at = asyncio.run(run())
    assert call.after.times(TTSStoppedFrame) == []  # as in Pipecat's own transport
    heard = [frame for _, frame, _ in call.after.heard]
    after = heard[next(i for i, frame in enumerate(heard) if isinstance(frame, InterruptionFrame)) :]
    assert not any(isinstance(frame, TTSAudioRawFrame) for frame in after)
    shown = [made[frame.image] for frame in after if isinstance(frame, OutputImageRawFrame)]
    assert not any(frame.state == "speaking" for frame in shown)
    lips = np.abs([float(face.space.aperture(frame.motion.mouth[0])) for frame in made.values()])
    assert lips.max() > 0.05
    assert not any(frame.motion.mouth.any() for frame in shown[3:])  # 120 ms
    assert max(when for when, data in call.screen.sounds if any(data)) < at + 0.25
    shots = [(when, made[data]) for when, data in call.screen.pictures]
    assert max(when for when, frame in shots if frame.state == "speaking") < at + 0.25


def test_it_listens_while_the_user_speaks_and_takes_new_settings(face: LiveFace) -> None:
    async def run() -> tuple[str, str]:
        async with Call(face, settings=PortraitVideoSettings(emotion="happy:0.5")) as call:
            await call.worker.queue_frame(UserStartedSpeakingFrame())
            await asyncio.sleep(0.2)
            state = face.step(draw=False).state
            await call.worker.queue_frame(UserStoppedSpeakingFrame())
            delta = PortraitVideoSettings(emotion="sad", gaze="photo")
            await call.worker.queue_frame(ServiceUpdateSettingsFrame(delta=delta))
            await asyncio.sleep(0.2)
            assert call.service.settings.emotion == "sad"
            await call.worker.queue_frame(ServiceUpdateSettingsFrame(delta=PortraitVideoSettings(emotion="joyful")))
            await asyncio.sleep(0.2)
            after = face.step(draw=False).state
            errors = [frame for _, frame, _ in call.before.heard if isinstance(frame, ErrorFrame)]
            assert len(errors) == 1
            assert "joyful" in errors[0].error
        return state, after

    assert asyncio.run(run()) == ("listening", "idle")


def test_when_the_face_fails_one_error_is_told_and_the_voice_goes_on(
    face: LiveFace, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> Call:
        async with Call(face) as call:
            await call.say(speech, 0.3)
            await asyncio.sleep(0.8)

            def broken(*arguments: object) -> None:
                raise RuntimeError("no more memory")

            monkeypatch.setattr(face._scene, "draw", broken)
            await asyncio.sleep(0.2)
            await call.say(speech[:RATE])
            await call.end()
        return call

    call = asyncio.run(run())
    errors = [frame for _, frame, _ in call.before.heard if isinstance(frame, ErrorFrame)]
    assert len(errors) == 1
    assert "no more memory" in errors[0].error
    sent = np.frombuffer(as_bytes(np.concatenate([speech, speech[:RATE]])), "<i2")
    sound = played(call.screen)[: -END_SILENCE_S * RATE]
    assert len(sound) == pytest.approx(len(sent), abs=3 * RATE // FPS)  # each word once
    assert len(call.after.times(TTSStoppedFrame)) == 2


def test_odd_bytes_and_nonsense_rates_do_not_stop_the_voice(face: LiveFace, speech: np.ndarray) -> None:
    data = as_bytes(speech[:RATE])

    async def run() -> Call:
        async with Call(face) as call:
            odd = [TTSAudioRawFrame(data[at : at + 641], RATE, 1) for at in range(0, len(data), 641)]
            await call.worker.queue_frames([TTSStartedFrame(), *odd, TTSStoppedFrame()])
            await asyncio.sleep(1.5)
            await call.worker.queue_frame(TTSAudioRawFrame(data, 12, 1))
            await call.worker.queue_frame(TTSAudioRawFrame(data, RATE, 1))
            await call.end()
        return call

    call = asyncio.run(run())
    sound = played(call.screen)
    np.testing.assert_array_equal(sound[:RATE], np.frombuffer(data, "<i2"))
    assert sum(isinstance(frame, ErrorFrame) for _, frame, _ in call.before.heard) == 1
