"""A live face as a video generator of LiveKit Agents' avatar runner (https://docs.livekit.io/agents).

Speech comes as audio frames and ends of segments; out come a picture every 40 ms, and beside it the sound where there
is speech. Silence has no sound: the runner counts every audio frame as played speech. Needs the extra ``livekit``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from portrait_anim.agents.playback import Playback
from portrait_anim.agents.samples import as_bytes
from portrait_anim.config import FPS
from portrait_anim.live.engine import LiveFace


class PortraitVideoGenerator(VideoGenerator):
    """Gives an agent's voice a face.

    Args:
        face: the face; its ``sample_rate`` is that of the sound that comes out.
    """

    def __init__(self, face: LiveFace) -> None:
        self.face = face
        self._playback: Playback[AudioSegmentEnd] = Playback(face)
        self._speaks = False  # whether the segment that comes in has sound

    @property
    def options(self) -> AvatarOptions:
        """What the runner must know."""
        width, height = self.face.size
        return AvatarOptions(
            video_width=width, video_height=height, video_fps=FPS, audio_sample_rate=self.face.sample_rate,
            audio_channels=1,
        )  # fmt: skip

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Take speech, or the end of a segment.

        An end that comes without sound before it belongs to a segment that was cleared: it is dropped, since the runner
        would take it for the next segment's.

        Raises:
            AudioError: an impossible rate.
        """
        if isinstance(frame, rtc.AudioFrame):
            if frame.samples_per_channel:
                self._speaks = True
                samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
                self._playback.feed(samples, frame.sample_rate)
        elif self._speaks:
            self._speaks = False
            self._playback.end_of_speech()
            self._playback.place(frame, always=True)

    def clear_buffer(self) -> None:
        """Drop all speech that was not played, and the ends of its segments; the mouth closes within 120 ms."""
        self._speaks = False
        self._playback.interrupt()

    def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        return self._frames()

    async def _frames(self) -> AsyncGenerator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd, None]:
        async with aclosing(self._playback.ticks()) as ticks:
            async for frame, ends in ticks:
                turn = self.face.turn
                if frame.pixels is not None:
                    width, height = self.face.size
                    pixels = np.ascontiguousarray(frame.pixels[..., :3])
                    yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, pixels.tobytes())
                if frame.state == "speaking" and self.face.turn == turn:
                    yield rtc.AudioFrame(as_bytes(frame.samples), self.face.sample_rate, 1, len(frame.samples))
                for end in ends:
                    if self.face.turn == turn:  # not cleared while the frames before it were taken
                        yield end
