"""One call: a browser's microphone or camera comes in, the face's picture and sound go out, until somebody hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from portrait_anim.call.ear import HEARD, PASSED_ON, Ear
from portrait_anim.call.tracks import (
    PICTURES_WAIT,
    SOUNDS_WAIT,
    FaceTrack,
    heard,
    picture,
    sharper,
    sooner,
    sounds,
)
from portrait_anim.call.wishes import CAMERA, FILE, MICROPHONE, Wishes
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import OptionError
from portrait_anim.live.clock import played_async
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
MakeFace = Callable[[Any, str | None, str], LiveFace]  # photo (None: the one of the command line), emotion, gaze

SETTLE_S = 1.0  # that a connection may still take when somebody hangs up
OVER = ("failed", "closed")  # states of a connection that is gone


@dataclass(frozen=True)
class Manners:
    """How the face is, kept when its photo changes.

    Attributes:
        emotion: a name with a strength; None: neutral.
        gaze: ``"camera"`` or ``"photo"``.
    """

    emotion: str | None = None
    gaze: str = "camera"


async def settled(peer: RTCPeerConnection) -> None:
    """Wait a moment for a connection that is just being made: closed meanwhile, its parts go on for half a minute."""
    end = time.monotonic() + SETTLE_S
    while peer.connectionState == "connecting" and time.monotonic() < end:
        await asyncio.sleep(SETTLE_S / 20)


class Session:
    """A call.

    Args:
        make_face: makes a face of a photo, in a thread.
        source: what drives it: ``"microphone"``, ``"camera"`` or ``"file"``.
        sound: (N,) at 16 kHz, of a file.

    Attributes:
        over: it has been hung up, or the connection is gone.
        asked_s: on the monotonic clock, when the page was last heard of.
    """

    def __init__(self, make_face: MakeFace, source: str, sound: Array | None = None) -> None:
        self._make_face, self._source, self._sound = make_face, source, sound
        self._face: LiveFace | None = None
        self._manners = Manners()
        self._peer: RTCPeerConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self.over = False
        self.asked_s = time.monotonic()

    async def answer(self, offer: str, wishes: Wishes) -> str:
        """Take a browser's offer; return the answer. The face begins to move when the connection stands.

        Raises:
            OptionError: the offer cannot be answered.
            PortraitAnimError: the photo cannot be used.
        """
        sharper()
        await self.change(wishes)
        peer = self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # no server elsewhere is asked
        self._video, self._audio = FaceTrack("video", PICTURES_WAIT), FaceTrack("audio", SOUNDS_WAIT)

        async def changed() -> None:
            if peer.connectionState == "connected" and not self.over:
                self._start(self._play())
            elif peer.connectionState in OVER:
                await self.close()

        def came(track: MediaStreamTrack) -> None:
            self._start(self._hear(track) if track.kind == "audio" else self._see(track))

        peer.add_listener("connectionstatechange", changed)
        peer.add_listener("track", came)
        try:
            await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            peer.addTrack(self._video)
            peer.addTrack(self._audio)
            for transceiver in peer.getTransceivers():
                if transceiver.kind == "audio":
                    sooner(transceiver.receiver)
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as e:  # aiortc raises what its parsers do
            await self.close()
            raise OptionError(f"the browser's offer cannot be answered ({type(e).__name__}: {e})") from e
        return str(peer.localDescription.sdp)

    async def change(self, wishes: Wishes) -> None:
        """Change the photo, emotion or gaze; the face goes on meanwhile.

        Raises:
            PortraitAnimError: the photo cannot be used, or an option is out of range; then nothing changes.
        """
        async with self._changing:
            manners = Manners(wishes.emotion or self._manners.emotion, wishes.gaze or self._manners.gaze)
            if self._face is None or wishes.photo is not None:
                made = await asyncio.to_thread(self._make_face, wishes.photo, manners.emotion, manners.gaze)
                if not self.over:
                    self._face = made
            else:
                if wishes.gaze is not None:
                    self._face.set_gaze(manners.gaze)
                if wishes.emotion is not None:
                    self._face.set_emotion(manners.emotion)
            self._manners = manners
        if wishes.recalibrate and self._face is not None:
            self._face.camera.recalibrate()

    @property
    def numbers(self) -> dict[str, Any]:
        """How it is doing, for the page."""
        face = self._face
        if face is None or self.over:
            return {"over": True}
        found = face.numbers
        return {
            "delay_ms": round(1000 * found.delay_s), "draw_ms": round(1000 * found.draw_s), "dropped": found.dropped,
            "frames": found.frames, "queued_ms": round(1000 * found.queued_s), "driven": face.camera.how,
        }  # fmt: skip

    async def close(self) -> None:
        """Hang up and free everything; may be called again."""
        if self.over:
            return
        self.over = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._peer is not None:
            self._video.stop()
            self._audio.stop()
            await settled(self._peer)
            await self._peer.close()
            self._peer.remove_all_listeners()
        self._face = self._peer = None

    def step(self, *, draw: bool = True) -> LiveFrame:
        """Go on by 40 ms with whichever face it is now."""
        face = self._face
        assert face is not None  # noqa: S101
        return face.step(draw=draw)

    async def _play(self) -> None:
        face = self._face
        if self._source == FILE and self._sound is not None and face is not None:
            face.feed(self._sound, SAMPLE_RATE)
            face.end_of_speech()
        number = 0
        async with aclosing(played_async(self)) as frames:
            async for frame in frames:
                for packet in sounds(frame.samples, number):
                    self._audio.give(packet)
                if frame.pixels is not None:
                    self._video.give(picture(frame.pixels, number))
                number += 1

    async def _hear(self, track: MediaStreamTrack) -> None:
        ear = Ear(PASSED_ON if self._source == CAMERA else HEARD)
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                face = self._face
                if face is not None and self._source in (MICROPHONE, CAMERA):
                    ear.hear(face, heard(frame), frame.sample_rate)

    async def _see(self, track: MediaStreamTrack) -> None:
        """Look at the newest picture; those that come while it is looked at are left out."""
        looking: asyncio.Task[None] | None = None
        try:
            with contextlib.suppress(MediaStreamError):
                while True:
                    frame = await track.recv()
                    if self._source != CAMERA or (looking is not None and not looking.done()):
                        continue
                    if looking is not None:
                        looking.result()
                    looking = asyncio.create_task(self._look(frame, time.monotonic()))
        finally:
            if looking is not None:
                await asyncio.gather(looking, return_exceptions=True)

    async def _look(self, frame: Any, came_s: float) -> None:
        face = self._face
        if face is not None:
            await asyncio.to_thread(lambda: face.see(frame.to_ndarray(format="rgb24"), came_s))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a call has ended: %s: %s", type(error).__name__, error)
            self._closing = asyncio.ensure_future(self.close())
