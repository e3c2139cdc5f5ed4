"""A call over a real connection, aiortc on both sides: picture and sound in step, changes, what is left after it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from fractions import Fraction
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import EXAMPLES

pytest.importorskip("aiortc", reason="no aiortc: pip install portrait-anim[live]")
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from PIL import Image

from portrait_anim.audio.load import load_audio
from portrait_anim.call.desk import Desk, watched
from portrait_anim.call.ear import HEARD, PASSED_ON, Ear
from portrait_anim.call.session import settled
from portrait_anim.call.wishes import Wishes
from portrait_anim.config import FPS
from portrait_anim.errors import BusyError, OptionError
from portrait_anim.live.engine import LiveFace

pytestmark = pytest.mark.media

RATE = 48_000
PACKET = RATE // 50


def make_face(photo: Any, emotion: str | None, gaze: str) -> LiveFace:
    return LiveFace(
        EXAMPLES / "astronaut.jpg" if photo is None else photo,
        sample_rate=RATE,
        max_size=128,
        emotion=emotion,
        gaze=gaze,
    )


class Voice(MediaStreamTrack):
    """A microphone that plays a sound, over and over."""

    kind = "audio"

    def __init__(self, samples: np.ndarray) -> None:
        super().__init__()
        self._samples, self._number, self._start = (samples * 32767).astype(np.int16), 0, time.monotonic()

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._start + self._number / 50 - time.monotonic()))
        at = np.arange(self._number * PACKET, (self._number + 1) * PACKET) % len(self._samples)
        frame = AudioFrame.from_ndarray(self._samples[at][None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._number * PACKET, Fraction(1, RATE)
        self._number += 1
        return frame


class Caller:
    """A browser in Python."""

    def __init__(self, desk: Desk, voice: np.ndarray | None = None) -> None:
        self.desk, self.token = desk, desk.token()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pictures: list[Any] = []
        self.sounds: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []
        if voice is not None:
            self.peer.addTrack(Voice(voice))
        else:
            self.peer.addTransceiver("audio", "recvonly")
        self.peer.addTransceiver("video", "recvonly")
        self.peer.add_listener("track", self._came)

    def _came(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._take(track)))

    async def _take(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                (self.pictures if track.kind == "video" else self.sounds).append(await track.recv())
        except MediaStreamError:
            pass

    async def call(self, source: str = "microphone", wishes: Wishes | None = None) -> None:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        answer = await self.desk.call(self.token, self.peer.localDescription.sdp, source, wishes or Wishes())
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def until(self, there: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < end, "it did not come"
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await settled(self.peer)
        await self.peer.close()
        for task in self._tasks:
            task.cancel()  # aiortc leaves tracks open whose receiver never began
        await asyncio.gather(*self._tasks, return_exceptions=True)


def in_a_loop(work: Callable[[Desk], Coroutine[Any, Any, None]], **choices: Any) -> None:
    async def all_of_it() -> None:
        desk = Desk(make_face, choices.pop("most", 2), **choices)
        async with watched(desk):
            await asyncio.wait_for(work(desk), 150)
        assert not desk.sessions
        await asyncio.sleep(0.2)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, left

    asyncio.run(all_of_it())


def stamps(frames: list[Any], rate: int) -> np.ndarray:
    times = np.array([float(frame.pts * frame.time_base) for frame in frames])
    return (times - times[0]) * rate


def test_picture_and_sound_come_in_step_at_25_frames_a_second_with_the_speech_that_was_given() -> None:
    speech = load_audio(EXAMPLES / "speech.flac")[: 3 * 16_000]

    async def work(desk: Desk) -> None:
        caller = Caller(desk)
        await caller.call("file")
        await caller.until(lambda: len(caller.sounds) > 190 and len(caller.pictures) > 10)
        await caller.close()
        shown = stamps(caller.pictures, FPS)
        np.testing.assert_allclose(shown, shown.round(), atol=0.01)  # whole frames of 1/25 s
        assert caller.pictures[0].width == 128
        np.testing.assert_allclose(np.diff(stamps(caller.sounds, 50)), 1, atol=0.01)  # no gap: sound is never dropped
        heard = np.concatenate([frame.to_ndarray().reshape(-1, 2).mean(1) for frame in caller.sounds]) / 32768
        wanted = np.interp(np.arange(3 * RATE) / RATE, np.arange(len(speech)) / 16_000, speech)
        alike = np.correlate(heard, wanted[RATE : 2 * RATE], "valid")
        at = int(alike.argmax())
        assert np.corrcoef(heard[at : at + RATE], wanted[RATE : 2 * RATE])[0, 1] > 0.95

    in_a_loop(work, sound=speech)


def test_photo_emotion_and_gaze_change_while_it_runs_and_a_bad_photo_changes_nothing() -> None:
    async def work(desk: Desk) -> None:
        caller = Caller(desk, np.zeros(RATE, np.float32))
        await caller.call(wishes=Wishes(emotion="happy:0.5"))
        await caller.until(lambda: len(caller.pictures) > 5)
        await desk.change(caller.token, Wishes(emotion="sad", gaze="photo"))
        with pytest.raises(Exception, match="no face"):
            await desk.change(caller.token, Wishes(photo=Image.new("RGB", (200, 200), "grey")))
        with Image.open(EXAMPLES / "astronaut.jpg") as photo:
            other = photo.crop((120, 0, 420, 200))
        await desk.change(caller.token, Wishes(photo=other))
        await caller.until(lambda: caller.pictures[-1].height == 84)  # 128 x 85, the odd row left out
        assert desk.numbers(caller.token)["frames"] >= 0
        await caller.close()

    in_a_loop(work)


def test_a_token_has_one_call_and_there_are_no_more_than_allowed() -> None:
    async def work(desk: Desk) -> None:
        first, again, other = Caller(desk), Caller(desk), Caller(desk)
        again.token = first.token
        await first.call()
        await again.call()
        assert len(desk.sessions) == 1
        with pytest.raises(BusyError, match="1 calls go on"):
            await other.call()
        with pytest.raises(OptionError, match="cannot be answered"):
            await desk.call(first.token, "v=0\r\nnonsense", "microphone", Wishes())
        assert not desk.sessions
        for caller in (first, again, other):
            await caller.close()

    in_a_loop(work, most=1)


def test_a_page_that_is_gone_and_a_lost_connection_end_the_call() -> None:
    async def work(desk: Desk) -> None:
        silent, lost = Caller(desk), Caller(desk)
        await silent.call()
        await lost.call()
        await lost.until(lambda: len(lost.pictures) > 2)
        await lost.close()  # as a browser that ends: the connection says so
        await lost.until(lambda: lost.token not in desk.sessions)
        await silent.until(lambda: silent.token not in desk.sessions)  # nobody has asked for its numbers
        await silent.close()

    in_a_loop(work, silent_s=4.0)


def test_after_many_quick_calls_nothing_is_left() -> None:
    async def work(desk: Desk) -> None:
        process, seen = psutil.Process(), []
        for i in range(25):
            caller = Caller(desk, np.zeros(RATE, np.float32))
            await caller.call()
            if i % 3 == 0:
                await caller.until(lambda caller=caller: len(caller.pictures) > 1)  # type: ignore[misc]
            if i % 8 != 1:  # there the watch finds out
                await desk.hang_up(caller.token)
            await caller.close()
            await caller.until(lambda: not desk.sessions)
            del caller
            gc.collect()
            threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
            seen.append((len(asyncio.all_tasks()), len(threads), process.memory_info().rss / 2**20,
                         process.num_fds()))  # fmt: skip
        tasks, threads, memory, files = np.array(seen).T
        assert tasks[-1] == tasks[5]
        assert threads[-1] == threads[5]  # beside the pool of the event loop, which grows to cores + 4
        assert files[-1] <= files[5] + 2
        assert memory[-1] - memory[10] < 40, memory  # MiB

    in_a_loop(work, silent_s=6.0)


def test_sound_that_has_piled_up_is_left_out_where_it_is_quiet() -> None:
    for limits in (HEARD, PASSED_ON):
        face = make_face(None, None, "camera")
        ear, rng = Ear(limits), np.random.default_rng(0)
        loud, quiet = rng.normal(0, 0.1, (200, PACKET)).astype(np.float32), np.zeros(PACKET, np.float32)
        for piece in loud:
            ear.hear(face, piece, RATE)
        assert face.numbers.queued_s == pytest.approx(limits[1], abs=0.1)
        before = ear.left_out_s
        for _ in range(10):
            ear.hear(face, quiet, RATE)
        assert ear.left_out_s == pytest.approx(before + 0.2)
