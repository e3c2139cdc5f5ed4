"""A live face as a service of Pipecat (https://docs.pipecat.ai), between text-to-speech and the output transport.

The speech goes in, and comes out again in pieces of 40 ms with a picture each, when it is due: never ahead of the
clock, since what a transport holds already cannot be taken back. Frames that came after speech wait for it, so that
``TTSStoppedFrame`` comes when the face has finished. Needs the extra ``pipecat``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    ServiceUpdateSettingsFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings
from pipecat.utils.types import NOT_GIVEN

from portrait_anim.agents.playback import Playback
from portrait_anim.agents.samples import as_bytes
from portrait_anim.audio.waveform import PieceReader
from portrait_anim.config import FPS
from portrait_anim.errors import PortraitAnimError
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame

DRAIN_S = 30.0  # that speech may still be played when the pipeline ends
LOOK_S = 0.02  # between looks whether it is


@dataclass
class PortraitVideoSettings(ServiceSettings):
    """What can be changed while it runs, with a ``ServiceUpdateSettingsFrame(delta=...)``.

    Attributes:
        emotion: as of :meth:`LiveFace.set_emotion`.
        gaze: as of :meth:`LiveFace.set_gaze`.
    """

    emotion: Any = NOT_GIVEN
    gaze: Any = NOT_GIVEN


@dataclass
class _Speech:
    """A frame of speech that was fed: frames ``start`` to ``end`` of what the face says."""

    frame: TTSAudioRawFrame
    start: int
    end: int


class PortraitVideoService(AIService):
    """Gives a voice agent a face.

    The output transport must have ``video_out_enabled``, ``video_out_is_live=False`` (with True it shows none of the
    pictures that belong to sound), ``video_out_width`` and ``video_out_height`` of ``face.size``, and
    ``audio_out_10ms_chunks=4``, which is one picture.

    If the face fails, one ``ErrorFrame`` goes upstream, and the speech goes on without it.

    Args:
        face: the face; its ``sample_rate`` is that of the speech that comes out.
        settings: emotion and gaze to begin with.
        arguments: of Pipecat's ``AIService``.
    """

    Settings = PortraitVideoSettings

    def __init__(self, face: LiveFace, *, settings: PortraitVideoSettings | None = None, **arguments: Any) -> None:
        own = PortraitVideoSettings(model=None, emotion=None, gaze=None)
        if settings is not None:
            own.apply_update(settings)
        super().__init__(settings=own, **arguments)
        self.face = face
        self._playback: Playback[Frame | _Speech] = Playback(face)
        self._read = PieceReader()
        self._ticker: asyncio.Task[None] | None = None
        self._failed = False
        if own.emotion is not None or own.gaze is not None:
            self._adopt(own)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take a frame in its turn."""
        await super().process_frame(frame, direction)  # an EndFrame waits there until all is said
        if isinstance(frame, OutputTransportReadyFrame):
            self._begin()
        elif isinstance(frame, UserStartedSpeakingFrame):
            self.face.user_started()
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self.face.user_stopped()
        elif isinstance(frame, LLMFullResponseStartFrame):
            self.face.think()
        if isinstance(frame, ServiceUpdateSettingsFrame) and isinstance(frame.delta, PortraitVideoSettings):
            await self._update_settings(frame.delta)
        elif direction is FrameDirection.UPSTREAM or isinstance(frame, SystemFrame | EndFrame):
            left = self._playback.interrupt() if isinstance(frame, InterruptionFrame) else []
            await self.push_frame(frame, direction)
            for item in left:
                if isinstance(item, Frame) and not item.interruptible:
                    await self.push_frame(item)
        elif self._failed:
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._hear(frame)
        else:
            if isinstance(frame, TTSStoppedFrame):
                self._playback.end_of_speech()
            if not self._playback.place(frame):
                await self.push_frame(frame, direction)

    async def stop(self, frame: EndFrame) -> None:
        """Let the face say what it has to say, for :data:`DRAIN_S` at most."""
        await super().stop(frame)
        if self._ticker is not None and not self._failed:
            self._playback.end_of_speech()
            end = time.monotonic() + DRAIN_S
            while not (self._playback.done or self._failed) and time.monotonic() < end:
                await asyncio.sleep(LOOK_S)
        await self._end()
        await self._release()

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop at once."""
        await super().cancel(frame)
        await self._end()

    async def cleanup(self) -> None:
        """Stop at once, where the pipeline was not ended."""
        await super().cleanup()
        await self._end()

    async def _update_settings(self, delta: ServiceSettings) -> dict[str, Any]:
        changed: dict[str, Any] = await super()._update_settings(delta)
        try:
            self._adopt(PortraitVideoSettings(**{name: getattr(self._settings, name) for name in changed}))
        except PortraitAnimError as e:
            await self.push_error(str(e), exception=e)
        return changed

    def _adopt(self, settings: PortraitVideoSettings) -> None:
        given = settings.given_fields()
        if "emotion" in given:
            self.face.set_emotion(given["emotion"])
        if given.get("gaze") is not None:
            self.face.set_gaze(given["gaze"])

    def _begin(self) -> None:
        if self._ticker is None and not self._failed:
            self._ticker = self.create_task(self._play())

    async def _end(self) -> None:
        ticker, self._ticker = self._ticker, None
        if ticker is not None and ticker is not asyncio.current_task():
            await self.cancel_task(ticker)

    async def _hear(self, frame: TTSAudioRawFrame) -> None:
        self._begin()  # where no transport says that it is ready
        start = self.face.speech_end
        try:
            if frame.num_channels == 1:
                samples = self._read(frame.audio)
            else:
                whole = len(frame.audio) - len(frame.audio) % (2 * frame.num_channels)
                samples = np.frombuffer(frame.audio[:whole], "<i2").reshape(-1, frame.num_channels)
            if len(samples):
                self._playback.feed(samples, frame.sample_rate)
        except PortraitAnimError as e:  # nobody can play that
            await self.push_error(f"speech was left out: {e}", exception=e)
            return
        self._playback.place(_Speech(frame, start, self.face.speech_end))

    async def _play(self) -> None:
        try:
            async for frame, items in self._playback.ticks():
                await self._show(frame, next(self._spoken(items), None))
                for item in items:
                    if isinstance(item, Frame):
                        await self.push_frame(item)
        except Exception as e:  # whatever it is, the voice goes on
            await self._fail(e)

    def _spoken(self, items: list[Frame | _Speech]) -> Iterator[_Speech]:
        """Return the speech that is being played, and what comes after it."""
        return (item for item in chain(items, self._playback.waiting) if isinstance(item, _Speech))

    async def _show(self, frame: LiveFrame, spoken: _Speech | None) -> None:
        """Push the picture and the sound of one tick; the picture first, so that it is there when the sound begins."""
        if frame.pixels is not None:
            pixels = frame.pixels[..., :3]
            picture = OutputImageRawFrame(image=pixels.tobytes(), size=self.face.size, format="RGB")
            picture.sync_with_audio = True  # in line with the sound before it
            await self.push_frame(picture)
        if frame.state == "speaking":
            sound = TTSAudioRawFrame(audio=as_bytes(frame.samples), sample_rate=self.face.sample_rate, num_channels=1)
            if spoken is not None:
                sound.context_id = spoken.frame.context_id
                sound.transport_destination = spoken.frame.transport_destination
            await self.push_frame(sound)

    async def _fail(self, error: Exception) -> None:
        """Tell of it once, and pass on all speech that was not played."""
        if self._failed:
            return
        self._failed = True
        await self._end()
        await self.push_error(f"the face stopped ({error}): the voice goes on without it", exception=error)
        await self._release()

    async def _release(self) -> None:
        """Push everything that waits, speech without what was played of it."""
        for item in self._playback.left():
            if isinstance(item, _Speech):
                await self._push_rest(item)
            else:
                await self.push_frame(item)

    async def _push_rest(self, speech: _Speech) -> None:
        frame = speech.frame
        rest = round((self._playback.said - speech.start) / FPS * frame.sample_rate)
        played = min(max(rest, 0) * 2 * frame.num_channels, len(frame.audio))
        if played < len(frame.audio):
            left = TTSAudioRawFrame(
                audio=frame.audio[played:], sample_rate=frame.sample_rate, num_channels=frame.num_channels,
                context_id=frame.context_id,
            )  # fmt: skip
            left.transport_destination = frame.transport_destination
            await self.push_frame(left)
