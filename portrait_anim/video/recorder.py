"""Records pictures and sound that come in step, without end known, into an mp4 that is finished when they end."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.errors import OutputError
from portrait_anim.system import ffmpeg
from portrait_anim.system.files import hidden_name, printable
from portrait_anim.video.formats import MP4, check_output
from portrait_anim.video.writer import Writer

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]


class Recorder:
    """A film that grows under a hidden name, pictures and sound apart; a context manager.

    When the block ends well both are put together, ``before_rename`` may sign it, and it gets its name. On an exception
    nothing is left of it.

    Args:
        path: the target, ending in .mp4.
        size: (width, height) of the frames in px.
        sample_rate: Hz of the sound, one channel.
        overwrite: replace a file that is there.
        metadata: fields of the mp4.
        before_rename: called with the finished file and the SHA-256 of its sound (samples as float32, little-endian).

    Attributes:
        path: as given.

    Raises:
        OutputError: see :class:`Writer`.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], sample_rate: int, *, overwrite: bool = False,
        metadata: Mapping[str, str] | None = None, before_rename: Callable[[Path, str], None] | None = None,
    ) -> None:  # fmt: skip
        self.path = check_output(path, overwrite=overwrite)
        self._rate, self._overwrite, self._before_rename = sample_rate, overwrite, before_rename
        self._metadata = dict(metadata or {})
        pictures = hidden_name(self.path)
        self._pictures = pictures.with_stem(f"{pictures.stem}-pictures")
        self._raw, self._whole = self._pictures.with_suffix(".f32"), pictures
        self._writer = Writer(self._pictures, size, FPS)
        self._last = np.zeros((size[1], size[0], 3), np.uint8)
        self._sha256 = hashlib.sha256()
        self._sound: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._sound = self._raw.open("wb")
            self._writer.__enter__()
        except OSError as e:
            self._remove()
            raise OutputError(f"cannot write {printable(self.path)} ({e.strerror}): choose another name") from e
        return self

    def write(self, pixels: Image | None, samples: Array) -> None:
        """Append a frame and its sound.

        Args:
            pixels: (H, W, 3) uint8 RGB; None: the last one stays.
            samples: (N,) float32.

        Raises:
            OutputError: the encoder ended, or the disk is full.
        """
        assert self._sound is not None  # noqa: S101
        if pixels is not None:
            self._last = pixels
        self._writer.write(self._last)
        data = np.ascontiguousarray(samples, "<f4").tobytes()
        self._sha256.update(data)
        try:
            self._sound.write(data)
        except OSError as e:
            raise self._full(e) from e

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._writer.__exit__(kind, error, traceback)
            if kind is None:
                self._finish()
        finally:
            self._remove()

    def _finish(self) -> None:
        assert self._sound is not None  # noqa: S101
        try:
            self._sound.close()
        except OSError as e:
            raise self._full(e) from e
        about = [argument for key, value in self._metadata.items() for argument in ("-metadata", f"{key}={value}")]
        child = ffmpeg.Child(
            [
                *ffmpeg.QUIET, *ffmpeg.file_input(self._pictures), *ffmpeg.raw_input(self._raw, self._rate, 1),
                "-map", "0:v:0", "-map", "1:a:0", "-map_metadata", "-1", "-c:v", "copy", *MP4.sound, *about,
                *MP4.container, "-n", ffmpeg.file_url(self._whole),
            ]
        )  # fmt: skip
        if child.wait():
            raise OutputError(f"cannot write {printable(self.path)} ({child.reason()}): free some space there")
        try:
            if self._before_rename is not None:
                self._before_rename(self._whole, self._sha256.hexdigest())
            check_output(self.path, overwrite=self._overwrite)  # another process may have written it meanwhile
            self._whole.replace(self.path)
        except OSError as e:
            raise self._full(e) from e

    def _full(self, e: OSError) -> OutputError:
        return OutputError(f"cannot write {printable(self.path)} ({e.strerror}): free some space there")

    def _remove(self) -> None:
        for leftover in (self._pictures, self._raw, self._whole):
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if self._sound is not None:
                self._sound.close()
