"""Speech that was fed and is not yet played: for the ears at 16 kHz, for the listener at the rate of the output."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from portrait_anim.audio.waveform import as_channels, check_sample_rate
from portrait_anim.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from portrait_anim.errors import AudioError

Array = npt.NDArray[np.float32]


class Piece(NamedTuple):
    """The sound of one frame.

    Attributes:
        heard: (640,) at 16 kHz, for the nets.
        played: (output rate / 25,) for the listener.
        fed_s: on the monotonic clock, when its last sample came.
    """

    heard: Array
    played: Array
    fed_s: float


class SpeechQueue:
    """What was fed, resampled, in pieces of a frame. Safe to feed from other threads.

    Args:
        sample_rate: Hz of what is played, a multiple of 25.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = check_sample_rate(sample_rate)
        if self.sample_rate % FPS:
            raise AudioError(f"sample rate {sample_rate} Hz is no multiple of {FPS}: give for example 24000 or 48000")
        self._lock = threading.Lock()
        self._rate = 0  # Hz of what is fed
        self._streams: list[soxr.ResampleStream | None] = [None, None]
        self._waiting = [np.zeros(0, np.float32)] * 2  # at 16 kHz, at the output's rate
        self._pieces: list[Piece] = []

    def __len__(self) -> int:
        """Number of whole frames that wait."""
        return len(self._pieces)

    def feed(self, samples: Any, sample_rate: int) -> None:
        """Take more speech.

        Args:
            samples: (N,), (N, C) or (C, N): floats with full scale 1, or integers.
            sample_rate: Hz; a change ends what was fed at the old rate.

        Raises:
            AudioError: NaN, infinite samples, no sound, or an impossible rate.
        """
        rate = check_sample_rate(sample_rate)
        channels = as_channels(samples)
        mono = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)
        with self._lock:
            if rate != self._rate:
                self._finish()
                self._rate = rate
                self._streams = [
                    None if rate == wanted else soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ")
                    for wanted in (SAMPLE_RATE, self.sample_rate)
                ]
            self._take(np.ascontiguousarray(mono), last=False)

    def finish(self) -> None:
        """Say that the sentence is over: what is left of it fills a last frame."""
        with self._lock:
            self._finish()

    def clear(self) -> None:
        """Drop all that waits."""
        with self._lock:
            self._rate, self._pieces = 0, []
            self._waiting = [np.zeros(0, np.float32)] * 2

    def take(self) -> Piece | None:
        """Return the next frame's sound; None: there is none yet."""
        with self._lock:
            return self._pieces.pop(0) if self._pieces else None

    def _finish(self) -> None:
        if self._rate:
            self._take(np.zeros(0, np.float32), last=True)
        self._rate = 0

    def _take(self, mono: Array, *, last: bool) -> None:
        for k, stream in enumerate(self._streams):
            more = mono if stream is None else np.asarray(stream.resample_chunk(mono, last=last), np.float32)
            self._waiting[k] = np.concatenate([self._waiting[k], more])
        sizes = SAMPLES_PER_FRAME, self.sample_rate // FPS
        counts = [len(waiting) / size for waiting, size in zip(self._waiting, sizes, strict=True)]
        n_frames = int(np.ceil(max(counts))) if last else int(min(counts))
        now = time.monotonic()
        parts = []
        for k, size in enumerate(sizes):
            whole = np.pad(self._waiting[k], (0, max(0, n_frames * size - len(self._waiting[k]))))
            parts.append(whole[: n_frames * size].reshape(n_frames, size))
            self._waiting[k] = np.zeros(0, np.float32) if last else whole[n_frames * size :]
        self._pieces += [Piece(heard, played, now) for heard, played in zip(*parts, strict=True)]
