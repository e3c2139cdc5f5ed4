"""Writes frames and sound as they come, in step, as a film that can be watched while it grows: to a pipe.

Either fragmented mp4 (H.264 and AAC, a fragment a second), or y4m, which is raw pictures without sound. One ffmpeg
child gets pictures and sound through two pipes; each is fed by a thread, so that neither waits for the other.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.system import ffmpeg
from portrait_anim.video.formats import COLOUR_FILTER, MP4

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

KINDS = ("mp4", "y4m")
WAITING = 2 * FPS  # frames that may wait for the encoder
CHUNK_BYTES = 1 << 16  # that are passed on at a time
END_S = 10.0  # that the encoder may take for the rest


class StreamWriter:
    """A growing film; a context manager.

    Args:
        out: what gets its bytes.
        size: (width, height) of the frames in px, both even.
        sample_rate: Hz of the sound.
        kind: ``"mp4"`` or ``"y4m"``.

    Raises:
        OptionError: no such kind, or on Windows, where a program's child cannot read a second pipe.
        OutputError: the encoder ended, or nobody reads any more (see :meth:`write`).
    """

    def __init__(self, out: IO[bytes], size: tuple[int, int], sample_rate: int, kind: str = "mp4") -> None:
        if kind not in KINDS:
            raise OptionError(f"format {kind!r} is unknown: give {' or '.join(KINDS)}")
        if sys.platform == "win32" and kind == "mp4":
            raise OptionError("mp4 cannot be streamed on Windows: give y4m")
        self._out, self._size, self._rate, self._kind = out, size, sample_rate, kind
        self._sounds: queue.Queue[bytes | None] = queue.Queue()
        self._pictures: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._last = np.zeros((size[1], size[0], 3), np.uint8).tobytes()
        self._lost: OSError | None = None

    def __enter__(self) -> Self:
        heard, self._sound_end = os.pipe()
        try:
            self._child = ffmpeg.Child(self._arguments(heard), feeds=True, inherits=[heard])
        finally:
            os.close(heard)
        self._threads = [
            threading.Thread(target=work, name="stream", daemon=True)
            for work in (self._feed_pictures, self._feed_sounds, self._pass_on)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def write(self, pixels: Image | None, samples: Array) -> None:
        """Append a frame and its sound.

        Args:
            pixels: (H, W, 3) uint8 RGB; None: the last one stays.
            samples: (N,) float32.

        Raises:
            OutputError: the encoder ended.
            BrokenPipeError: nobody reads any more.
        """
        if self._lost is not None:
            raise self._lost
        if pixels is not None:
            self._last = pixels.tobytes()
        self._sounds.put(np.ascontiguousarray(samples, np.float32).tobytes())
        while True:
            try:
                self._pictures.put(self._last, timeout=1.0)
                return
            except queue.Full:
                if self._lost is not None:
                    raise self._lost from None
                if not self._threads[0].is_alive():
                    raise OutputError(f"the encoder stopped ({self._child.reason()})") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._child.stop()
        self._sounds.put(None)
        with contextlib.suppress(queue.Full):
            self._pictures.put(None, timeout=END_S)
        for thread in self._threads:
            thread.join(END_S)
        self._child.kill()
        if kind is None and self._lost is not None:
            raise self._lost

    def _feed_pictures(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while (picture := self._pictures.get()) is not None:
                self._child.stdin.write(picture)
            self._child.stdin.close()

    def _feed_sounds(self) -> None:
        with contextlib.suppress(OSError), os.fdopen(self._sound_end, "wb", buffering=0) as pipe:
            while (sound := self._sounds.get()) is not None:
                pipe.write(sound)

    def _pass_on(self) -> None:
        while chunk := self._child.stdout.read1(CHUNK_BYTES):  # type: ignore[attr-defined]
            try:
                self._out.write(chunk)
                self._out.flush()
            except OSError as e:
                self._lost = e
                self._child.stop()
                return

    def _arguments(self, sound: int) -> list[str]:
        width, height = self._size
        at_once = ["-probesize", "32", "-analyzeduration", "0", "-thread_queue_size", "64"]
        arguments = [*ffmpeg.QUIET, *at_once, *ffmpeg.pictures_input(width, height, str(FPS))]
        if self._kind == "y4m":
            return [*arguments, "-vf", COLOUR_FILTER, "-f", "yuv4mpegpipe", "-flush_packets", "1", "pipe:1"]
        arguments += [*at_once, "-f", "f32le", "-ar", str(self._rate), "-ch_layout", "mono", "-i", f"pipe:{sound}"]
        arguments += ["-map", "0:v:0", "-map", "1:a:0", *MP4.picture, "-tune", "zerolatency", "-g", str(FPS)]
        arguments += [*MP4.sound, "-flush_packets", "1"]
        return [*arguments, "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", "pipe:1"]
