"""A video that plays over and over, asked for by time from several threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import VideoError
from portrait_anim.system.files import printable
from portrait_anim.system.fingerprint import Fingerprint, fingerprint
from portrait_anim.video.reader import probe, read_frames

Image = npt.NDArray[np.uint8]

KEPT = 24  # frames that were read last; a film's frames are drawn at most four apart
MAX_FPS = 60  # frames/s that are read; what a film shows at most
ROUNDING = 1e-6  # frames: a time that is a frame's own begins that frame


class LoopedVideo:
    """The pictures of a video at any time; when it ends it begins again. Read in constant memory.

    Args:
        path: the video.
        size: (width, height) px, which its pictures fill; what is over is cut off.

    Attributes:
        origin: the file, as it was when it was read.

    Raises:
        VideoError: it cannot be read.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.origin: Fingerprint = fingerprint(path, VideoError, "background")
        self._fps = min(probe(path).fps, MAX_FPS)
        self._path, self._size = path, size
        self._lock = Lock()
        self._frames: Generator[Image, None, None] | None = None
        self._next = 0  # number of the frame that is read next, counted over all rounds
        self._kept: OrderedDict[int, Image] = OrderedDict()

    def __call__(self, time_s: float) -> Image:
        """Return the picture (height, width, 3) uint8 that is shown at a time."""
        number = int(time_s * self._fps + ROUNDING)
        with self._lock:
            if number not in self._kept and number < self._next:  # another film begins
                self._begin()
                self._kept.clear()
                self._next = 0
            while number >= self._next:
                self._kept[self._next] = self._read()
                self._next += 1
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[number]

    def _begin(self) -> None:
        if self._frames is not None:
            self._frames.close()
        self._frames = read_frames(self._path, self._fps, fill=self._size)

    def _read(self) -> Image:
        frame = None if self._frames is None else next(self._frames, None)
        if frame is None:  # the first, or the end
            self._begin()
            assert self._frames is not None  # noqa: S101
            frame = next(self._frames, None)
        if frame is None:
            raise VideoError(f"background {printable(self._path)} cannot be decoded any more: copy it again")
        return frame
