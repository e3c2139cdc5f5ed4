"""Decodes one track of a file to mono at 16 kHz, and collects the decoder's messages."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.audio import clock as clocks
from portrait_anim.audio.clock import Clock
from portrait_anim.audio.kept import Spool
from portrait_anim.audio.track import Repair, Track, blocks
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.system import ffmpeg

_CHUNK_BYTES = 1 << 20
_LINES_OF_ONE_ERROR = 2  # the decoder's own and ffmpeg's
_BYTES_PER_S = 4 * SAMPLE_RATE
# Time stamps that the filter makes continuous: those of glued recordings leap, which the muxer would complain about.
_TO_NOTHING = ("-af", ffmpeg.SOUND_FILTER, "-c:a", "pcm_f32le", "-f", "f32le", "-y", os.devnull)
Waveform = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Decoded:
    """The output of a decoder.

    Attributes:
        waveform: (N,) at 16 kHz; as far as it was read where the clock is odd or the sound too long.
        clock: of the track.
        complaint: ffmpeg's message where it failed or reported an error, else empty.
        one_error: whether it ended well and reported a single error.
    """

    waveform: Waveform
    clock: Clock
    complaint: str
    one_error: bool


def decode(track: Track, limit_s: float, *, through: bool = False) -> Decoded:
    """Decode with ffmpeg alone; stops a little after ``limit_s``, and at an odd clock unless ``through``."""
    clock = Clock()
    child = ffmpeg.Child(
        [
            *(*clocks.LOGLEVEL, *ffmpeg.file_input(track.path), "-map", track.selector()),
            *("-af", f"{clocks.FILTER},{ffmpeg.SOUND_FILTER}", "-ac", "1", "-ar", str(SAMPLE_RATE)),
            *("-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"),
        ],
        watch=clock.take,
    )
    if not through:
        clock.on_odd = child.stop
    data = Spool()
    try:
        while (through or not clock.odd) and len(data) <= (limit_s + 1) * _BYTES_PER_S:
            if not (chunk := child.stdout.read(_CHUNK_BYTES)):
                break
            data.write(chunk)
        if len(data) > (limit_s + 1) * _BYTES_PER_S:
            child.stop()
        status = child.wait()
    except BaseException:
        child.kill()
        raise
    if clock.doubtful and (through or not clock.odd):
        child = ffmpeg.Child([*ffmpeg.QUIET, *ffmpeg.file_input(track.path), "-map", track.selector(), *_TO_NOTHING])
        child.wait()
    return Decoded(data.samples(), clock, *_complaint(child, status))


def survey(track: Track, limit_s: float) -> Decoded:
    """Follow the clock to the end, or a little more than ``limit_s``, without keeping a sample."""
    clock = Clock()
    child = ffmpeg.Child(
        [
            *(*clocks.LOGLEVEL, *ffmpeg.file_input(track.path), "-map", track.selector()),
            *("-af", clocks.FILTER, "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"),
        ],
        watch=clock.take,
    )
    try:
        while clock.total_s <= limit_s + 1 and child.stdout.read(_CHUNK_BYTES):
            pass
        if clock.total_s > limit_s + 1:
            child.stop()
        status = child.wait()
    except BaseException:
        child.kill()
        raise
    return Decoded(np.zeros(0, np.float32), clock, *_complaint(child, status))


def _complaint(child: ffmpeg.Child, status: int) -> tuple[str, bool]:
    n_lines = len(child.log.splitlines())
    return child.reason() if status or n_lines else "", not status and 0 < n_lines <= _LINES_OF_ONE_ERROR


def mono(pieces: Iterator[Waveform], sample_rate: int, mix: Callable[[Waveform], Waveform]) -> Waveform:
    """Return blocks (n, C) as one waveform (N,) at 16 kHz, in constant memory but for the result.

    Args:
        pieces: the sound.
        sample_rate: theirs, Hz.
        mix: (n, C) -> (n,).
    """
    import soxr  # type: ignore[import-untyped]

    stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, "float32", "HQ")
    parts = [stream.resample_chunk(np.ascontiguousarray(mix(piece), np.float32)) for piece in pieces]
    parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts)


def channel(track: Track, repair: Repair, number: int) -> Waveform:
    """Return one channel, counted from 0, at 16 kHz."""
    return mono(blocks(track, repair), repair.sample_rate, lambda block: block[:, number])


def _packets(track: Track) -> Generator[tuple[float, int], None, None]:
    """Yield duration (s) and size (bytes) of each packet of a track, without decoding any."""
    child = ffmpeg.Child(
        [
            *(*ffmpeg.QUIET, *ffmpeg.file_input(track.path), "-map", track.selector(), "-c", "copy"),
            *("-f", "framecrc", "pipe:1"),
        ]
    )
    unit = 0.0  # s
    try:
        for line in child.stdout:
            if found := re.match(rb"#tb 0: (\d+)/(\d+)", line):
                unit = int(found[1]) / int(found[2])
            elif found := re.match(rb"\d+,[^,]*,[^,]*,\s*(\d+),\s*(\d+)", line):
                yield int(found[1]) * unit, int(found[2])
    finally:
        child.kill()


def undecoded_s(track: Track, limit_s: float) -> float:
    """Return how long a track's packets last together (s); stops after a little more than ``limit_s``."""
    total = 0.0
    with closing(_packets(track)) as packets:
        for duration, _ in packets:
            total += duration
            if total > limit_s + 1:
                break
    return total
