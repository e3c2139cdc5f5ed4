"""The sound of one file as samples, block by block: how the nets and the film read the same recording.

A file whose clock and format hold from end to end is read by ffmpeg alone, through its ``SOUND_FILTER``. A
:class:`Repair` describes what else is done: recordings joined in one file are placed one after the other by counting
samples, samples that are not numbers become 0, samples far beyond all others are clipped, many channels are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portrait_anim.system import ffmpeg

MAX_MIXED_CHANNELS = 8  # ffmpeg has no downmix for more without a layout
_BLOCK_FRAMES = 1 << 16  # samples of every channel read at a time


@dataclass(frozen=True)
class Repair:
    """The changes made to a sound while it is read.

    Attributes:
        sample_rate: Hz, of the result.
        channels: how many ffmpeg gives.
        silences: ``(at_s, length_s)``: silence inserted after ``at_s`` of decoded sound, ascending; None: the file's
            own time stamps are right.
        limit: magnitude to which samples are clipped, full scale is 1, NaN and infinity become 0; inf: nothing is done.
        kept: the channels that are averaged into one; None: all stay.
    """

    sample_rate: int
    channels: int
    silences: tuple[tuple[float, float], ...] | None = None
    limit: float = float("inf")
    kept: tuple[int, ...] | None = None

    @property
    def channels_out(self) -> int:
        """How many channels the blocks have."""
        return self.channels if self.kept is None else 1


@dataclass(frozen=True)
class Track:
    """One sound track of a file, and how it is read.

    Attributes:
        path: the file.
        stream: its number in the file, ffmpeg's ``0:stream``; None: the first sound track.
        gain: what the film's samples are multiplied by.
        repair: None: ffmpeg alone reads it.
    """

    path: Path
    stream: int | None = None
    gain: float = 1.0
    repair: Repair | None = None

    def selector(self, number: int = 0) -> str:
        """Return ffmpeg's name of the track when its file is input ``number``."""
        return f"{number}:a:0" if self.stream is None else f"{number}:{self.stream}"


def blocks(track: Track, repair: Repair) -> Iterator[npt.NDArray[np.float32]]:
    """Read the track as ``repair`` says; ends early where the file cannot be decoded further.

    Shape:
        yields: (n, ``repair.channels_out``) float32, finite unless ``repair.limit`` is inf, ``track.gain`` not applied.
    """
    for read in _filled(_decoded(track, repair), repair):
        block = read
        if np.isfinite(repair.limit):
            block = np.nan_to_num(read, nan=0.0, posinf=0.0, neginf=0.0).clip(-repair.limit, repair.limit)
        yield block if repair.kept is None else block[:, repair.kept].mean(axis=1, keepdims=True, dtype=np.float32)


def _decoded(track: Track, repair: Repair) -> Iterator[npt.NDArray[np.float32]]:
    counting = "aresample=rematrix_maxval=1.0"
    arguments = ["-map", track.selector(), "-af", ffmpeg.SOUND_FILTER if repair.silences is None else counting]
    if repair.channels <= MAX_MIXED_CHANNELS:
        arguments += ["-ac", str(repair.channels)]
    arguments += ["-ar", str(repair.sample_rate), "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"]
    child = ffmpeg.Child([*ffmpeg.QUIET, *ffmpeg.file_input(track.path), *arguments])
    width = 4 * repair.channels  # bytes of one sample of every channel
    try:
        while data := child.stdout.read(_BLOCK_FRAMES * width):
            whole = np.frombuffer(data, "<f4", count=len(data) // width * repair.channels)
            yield whole.astype(np.float32, copy=False).reshape(-1, repair.channels)  # (n, C)
    finally:
        child.kill()


def _filled(pieces: Iterator[npt.NDArray[np.float32]], repair: Repair) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the blocks with the repair's silences inserted."""
    due = [(round(at * repair.sample_rate), length) for at, length in repair.silences or ()]
    done = 0  # decoded samples given so far
    for block in pieces:
        rest = block
        while due and due[0][0] <= done + len(rest):
            at, length = due.pop(0)
            head, rest = rest[: at - done], rest[at - done :]
            done += len(head)
            yield head
            yield from _silence(length, repair)
        done += len(rest)
        yield rest


def _silence(length_s: float, repair: Repair) -> Iterator[npt.NDArray[np.float32]]:
    left = round(length_s * repair.sample_rate)
    while left > 0:
        yield np.zeros((min(left, _BLOCK_FRAMES), repair.channels), np.float32)
        left -= _BLOCK_FRAMES
