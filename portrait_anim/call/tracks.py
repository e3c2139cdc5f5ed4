"""The face's picture and its sound as WebRTC tracks with presentation times of one clock, at 25 frames a second.

aiortc's own video track counts at 30 frames a second, and its encoders begin at 500 kbit/s and end at 1.5 Mbit/s,
which makes a face of 512 px blurred: both are set here.
"""

from __future__ import annotations

import asyncio
import contextlib
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack, RTCRtpReceiver
from aiortc.codecs import h264, vpx
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from av.frame import Frame

from portrait_anim.config import FPS

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

SOUND_RATE = 48_000  # Hz, Opus's own
VIDEO_CLOCK = 90_000  # ticks/s of RTP's video clock
PACKETS = 2  # of sound a frame of picture: aiortc puts one packet of 20 ms in one RTP packet
BITRATE = {"start": 2_000_000, "most": 5_000_000}  # bit/s
PICTURES_WAIT = 2  # that an encoder has not taken; older ones are left out
SOUNDS_WAIT = FPS * PACKETS  # a second
HELD_PACKETS = 1  # of the microphone, that wait for late ones; aiortc's 4 are 80 ms, and the engine holds some itself


class FaceTrack(MediaStreamTrack):
    """Passes on what it is given; what nobody takes is dropped, the oldest first.

    Args:
        kind: ``"video"`` or ``"audio"``.
        most: frames that may wait.
    """

    def __init__(self, kind: str, most: int) -> None:
        self.kind = kind
        super().__init__()
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue(most)
        self.left_out = 0

    def give(self, frame: Frame) -> None:
        """Append a frame."""
        if self._frames.full():
            self._frames.get_nowait()
            self.left_out += 1
        self._frames.put_nowait(frame)

    async def recv(self) -> Frame:
        """Return the next frame; called by aiortc."""
        frame = await self._frames.get() if self.readyState == "live" else None
        if frame is None:
            raise MediaStreamError
        return frame

    def stop(self) -> None:
        """End, and let go of whoever waits."""
        super().stop()
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)


def picture(pixels: Image, number: int) -> VideoFrame:
    """Return the frame ``number`` (from 0) of a film at 25 frames/s.

    Args:
        pixels: (H, W, 3) uint8 RGB; an odd row or column is left out.
        number: of the frame, from 0.
    """
    height, width = (side - side % 2 for side in pixels.shape[:2])
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
    frame.pts, frame.time_base = number * VIDEO_CLOCK // FPS, Fraction(1, VIDEO_CLOCK)
    return frame


def sounds(samples: Array, number: int) -> list[AudioFrame]:
    """Return the packets of the sound of frame ``number``.

    Args:
        samples: (1920,) at 48 kHz, -1..1; beyond is cut.
        number: of the frame, from 0.
    """
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    frames = []
    for part, piece in enumerate(np.split(whole, PACKETS)):
        frame = AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
        frame.sample_rate = SOUND_RATE
        frame.pts, frame.time_base = number * len(whole) + part * len(piece), Fraction(1, SOUND_RATE)
        frames.append(frame)
    return frames


def heard(frame: AudioFrame) -> Array:
    """Return (N,) float32 mono of a frame of a microphone's track, at its own rate."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T  # (C, N)
    mono = samples.mean(axis=0, dtype=np.float32)
    return np.asarray(mono / 32768 if samples.dtype == np.int16 else mono, np.float32)


def sharper() -> None:
    """Let aiortc's encoders use the bits that a face needs; they are constants of its modules."""
    for codec in (vpx, h264):
        codec.DEFAULT_BITRATE, codec.MAX_BITRATE = BITRATE["start"], BITRATE["most"]


def sooner(receiver: RTCRtpReceiver) -> None:
    """Let a receiver of sound hold fewer packets back; without effect where aiortc keeps them under another name."""
    with contextlib.suppress(AttributeError):
        receiver._RTCRtpReceiver__jitter_buffer._prefetch = HELD_PACKETS
