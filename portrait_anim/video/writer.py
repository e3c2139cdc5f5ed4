"""Writes frames and sound into a film, which gets its name only when it is complete."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OptionError, OutputError
from portrait_anim.options import plain_number
from portrait_anim.system import ffmpeg
from portrait_anim.system.files import hidden_name, printable, remove_orphans
from portrait_anim.video.formats import PNG_NAME, SOUND_NAME, check_output, format_of
from portrait_anim.video.level import level_note
from portrait_anim.video.sound import FilmSound, Sound, keep_captions

logger = logging.getLogger(__name__)

MAX_SIDE_PX = 8192  # of H.264 level 6
MAX_FPS = 240


class Writer:
    """Write frames and a sound through one ffmpeg child, in constant memory: as H.264 and AAC, or with opacity.

    A context manager. The film grows under a hidden temporary name beside the target and gets its own name when the
    block ends well. On any exception in the block (KeyboardInterrupt too) or when the encoder dies, the child is
    killed, the temporary file removed, and a file already there stays as it was. The picture is never rescaled: an
    odd width or height is padded by repeating the last column or row, so ``size`` in mp4 and WebM is even.

    Args:
        path: the target, ending in .mp4; with ``transparent`` in .webm, .mov, or in nothing: a folder of PNG.
        size: (width, height) of the frames in px.
        fps: frames/s, up to 240; turned into a fraction such as 30000/1001.
        audio: a sound file (or a video with sound), ``(waveform, sample_rate)`` as ``audio.load.load_audio`` takes
            it, a ``Track`` as ``audio.load.load_sound`` finds it, or None for a silent film. It keeps its length,
            channels (stereo at most) and level. A list of them is mixed, each at its own level (limited where the sum
            would clip), as long as the longest.
        overwrite: replace a file already there.
        duration_s: cut the sound to this length, or fill it up with silence.
        metadata: fields of the mp4, e.g. ``{"comment": "...", "title": "..."}``; nothing is taken over from the
            sound file's own (it may hold names and places).
        threads: encoder threads, None for x264's choice.
        captions: the text of an .srt file that becomes the film's subtitle track.
        before_rename: called with the finished temporary file or folder, which it may change in place, e.g. to sign it.
        transparent: frames have four channels, the last one their opacity.

    Raises:
        OutputError: see ``check_output``; the target is the sound file itself; the encoder failed (disk full...).
        AudioError: the sound file is missing or the waveform is unusable.
        OptionError: a size, frame rate or duration out of range.
    """

    fed = True  # frames are written; a class that takes the picture from files says no

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: float | Fraction,
        audio: Sound | list[Sound] | None = None,
        *,
        overwrite: bool = False,
        duration_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        threads: int | None = None,
        captions: str | None = None,
        before_rename: Callable[[Path], None] | None = None,
        transparent: bool = False,
    ) -> None:
        self.path = check_output(path, overwrite=overwrite, transparent=transparent)
        self.format = format_of(path, transparent=transparent)
        self.size = _check_size(size)
        self.fps = check_fps(fps)
        if not transparent and (note := level_note(self.size, self.fps)):
            logger.info(note)
        self.n_frames = 0
        self._overwrite = overwrite
        self._before_rename = before_rename
        self._metadata = dict(metadata or {})
        self._threads = threads
        if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
            raise OptionError(f"duration_s {duration_s!r} must be a positive number of seconds")
        given = audio if isinstance(audio, list) else [] if audio is None else [audio]
        self._raw_audio: list[Path] = []
        self._sound = FilmSound(given, duration_s, self._raw_audio)
        for file in self._sound.files:
            if self.path.exists() and self.path.samefile(file):
                raise OutputError(f"{printable(self.path)} is the sound file itself: choose another name for the film")
        if captions is not None and not self.format.captions:
            raise OptionError(
                "a folder of pictures has no subtitle track: draw the captions, --caption-style burned (caption_style=)"
            )
        self._captions = None if captions is None else keep_captions(captions, self._raw_audio)
        width, height = self.size
        odd = int(self.format.even)
        self._shape = (height, width, self.format.channels)
        self._padded = np.empty((height + odd * (height % 2), width + odd * (width % 2), self._shape[2]), np.uint8)
        self._temporary = hidden_name(self.path)
        self._manifest = self._temporary.with_suffix(self.format.beside) if self.format.beside else None
        self._child: ffmpeg.Child | None = None

    def __enter__(self) -> Self:
        remove_orphans(self.path.parent)
        try:
            if self.format.folder:
                self._temporary.mkdir()
            self._child = ffmpeg.Child(self._arguments(), feeds=self.fed)
        except OSError as e:
            self._abort()
            raise OutputError(f"cannot write {printable(self.path)} ({e.strerror}): choose another name") from e
        except BaseException:
            self._abort()
            raise
        return self

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Append one frame; returns as soon as the pipe has taken it.

        Shape:
            frame: (H, W, 3) uint8 RGB, or (H, W, 4) with opacity, of the writer's size. It may be reused afterwards.

        Raises:
            OutputError: the encoder ended early; the message has its last line of output.
            ValueError: another shape or type, or outside the ``with`` block.
        """
        width, height = self.size
        if self._child is None:
            raise ValueError("the writer is not open: use it in a with block")
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"frame is {frame.shape} {frame.dtype}, expected {self._shape} uint8")
        if self._padded.shape != self._shape:
            self._padded[:height, :width] = frame
            self._padded[:height, width:] = frame[:, -1:]
            self._padded[height:] = self._padded[height - 1 : height]
            frame = self._padded
        try:
            self._child.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as e:  # a broken pipe: the child is gone
            raise self._failure(e) from e
        self.n_frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._abort()  # after a success only the raw sound is left to remove

    def _finish(self) -> None:
        child = self._child
        if child is None:
            raise ValueError("the writer is not open: use it in a with block")
        if self.n_frames == 0:
            raise OutputError(f"cannot write {printable(self.path)}: it has no frames")
        try:
            if self.fed:
                child.stdin.close()
        except OSError as e:
            raise self._failure(e) from e
        if child.wait():
            raise self._failure(None)
        if child.log:
            level = logging.DEBUG if self._sound.files and self._sound.known else logging.WARNING  # told at loading
            logger.log(level, "while writing %s, ffmpeg said: %s", self.path, child.reason())
        if self._before_rename is not None:
            try:
                self._before_rename(self._temporary)
            except OSError as e:
                raise OutputError(f"cannot write {printable(self.path)} ({e.strerror}): free some space there") from e
        # another process may have written it meanwhile
        check_output(self.path, overwrite=self._overwrite, transparent=self.format.channels == 4)
        try:
            if self.format.folder and self.path.is_dir():
                shutil.rmtree(self.path)  # it holds nothing but frames of another film
            if self._manifest is not None and self._manifest.exists():
                self._manifest.replace(self.path.with_suffix(self.format.beside))
            self._temporary.replace(self.path)
        except OSError as e:
            raise OutputError(f"cannot write {printable(self.path)} ({e.strerror}): choose another name") from e

    def _failure(self, cause: OSError | None) -> OutputError:
        """Build the error for an encoder that died; its stderr is complete once it has been waited for."""
        assert self._child is not None  # noqa: S101
        if cause is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        self._child.wait()
        reason = self._child.reason()
        advice = "free some space" if "space" in reason.lower() else "see the reason in brackets"
        if "matches no streams" in self._child.log:
            files = " or ".join(map(printable, self._sound.files))
            reason, advice = f"{files} has no sound track", "give a file with sound"
        return OutputError(f"cannot write {printable(self.path)}, the encoder stopped ({reason}): {advice}")

    def _abort(self) -> None:
        """End the child and remove what is temporary; after a success nothing of it is left to do."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self.format.folder:
            shutil.rmtree(self._temporary, ignore_errors=True)
            return self._remove(self._raw_audio)
        return self._remove([self._temporary, *([self._manifest] if self._manifest else []), *self._raw_audio])

    @staticmethod
    def _remove(files: list[Path]) -> None:
        for leftover in files:
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)

    def _picture_input(self) -> list[str]:
        height, width = self._padded.shape[:2]
        rate = f"{self.fps.numerator}/{self.fps.denominator}"
        return ffmpeg.pictures_input(width, height, rate, "rgb24" if self.format.channels == 3 else "rgba")

    def _picture_output(self) -> list[str]:
        threads = [] if self._threads is None else ["-threads:v", str(self._threads)]
        return [*self.format.picture, *threads]

    def _arguments(self) -> list[str]:
        arguments = [*ffmpeg.QUIET, *self._picture_input()]
        arguments += self._sound.inputs()
        if self._captions is not None:
            arguments += ffmpeg.captions_input(self._captions)
        common = ["-map_metadata", "-1", "-map_chapters", "-1"]
        about = [argument for key, value in self._metadata.items() for argument in ("-metadata", f"{key}={value}")]
        picture = ["-map", "0:v:0", *common, *self._picture_output()]
        mapping = self._sound.mapping()
        sound = [*mapping, *self.format.sound] if mapping else []
        if not self.format.folder:
            if self._captions is not None:
                sound += ["-map", f"{1 + self._sound.n_inputs}:s:0", *self.format.captions]
            target = ffmpeg.file_url(self._temporary)
            return [*arguments, *picture, *sound, *about, *self.format.container, "-n", target]
        pattern = ffmpeg.file_url(self._temporary).replace("%", "%%") + f"/{PNG_NAME}"
        if sound:
            sound += [*common, *about, "-f", "wav", "-n", ffmpeg.file_url(self._temporary / SOUND_NAME)]
        return [*arguments, *picture, *self.format.container, "-n", pattern, *sound]


def check_fps(fps: float | Fraction) -> Fraction:
    """Return ``fps`` as the fraction that is meant: 29.97 is 30000/1001.

    Raises:
        OptionError: not a number over 0 and up to 240.
    """
    number: float | Fraction | None = fps if isinstance(fps, Fraction) else plain_number(fps)
    if number is None or not 0 < number <= MAX_FPS:
        raise OptionError(f"fps {fps!r} is outside 0-{MAX_FPS}: give for example 25")
    ntsc = Fraction(round(number * 1.001) * 1000, 1001)
    if ntsc and abs(float(number) / ntsc - 1) < 1e-4 and number != round(number):
        return ntsc
    return Fraction(number).limit_denominator(1001)


def _check_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise OptionError(f"a film of {width}x{height} px cannot be encoded: use --max-size {MAX_SIDE_PX // 2} or less")
    return int(width), int(height)
