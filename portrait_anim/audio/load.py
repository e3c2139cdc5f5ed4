"""Any sound -> a mono waveform at 16 kHz, through the bundled ffmpeg."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim import ffmpeg
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import AudioError
from portrait_anim.files import readable_file, shown
from portrait_anim.waveform import as_channels, check_sample_rate, in_range

logger = logging.getLogger(__name__)

MIN_DURATION_S = 0.2
_CHUNK_BYTES = 1 << 20


def load_audio(audio: str | os.PathLike[str] | tuple[Any, int]) -> npt.NDArray[np.float32]:
    """Load a sound as mono at 16 kHz.

    Channels are mixed down (ffmpeg's downmix for files, the mean for arrays). Sound louder than full scale (float
    files, floats in another range) is divided by its peak. A file that is damaged in places gives what can be
    decoded, with silence in the gaps and a warning in the log. Digital silence is fine.

    Args:
        audio: a file (wav, mp3, flac, ogg, opus, m4a, aac, the first sound track of a video, whatever ffmpeg
            reads), or ``(waveform, sample_rate)`` with the waveform (N,), (N, C) or (C, N), C at most 8, floats
            with full scale 1 or integers of 8 to 32 bit.

    Shape:
        returns: (N,) float32 in [-1, 1], ``N = round(duration_s * 16000)``, a few samples more or less.

    Raises:
        AudioError: no such file, a folder, empty, not a sound, no sound track, shorter than 0.2 s, NaN or
            infinite samples, an impossible sample rate or shape.
    """
    if isinstance(audio, (str, os.PathLike)):
        name = shown(audio)
        waveform = _decode(readable_file(audio, AudioError, "sound"), name)
    elif isinstance(audio, (tuple, list)) and len(audio) == 2:
        name = "the waveform"
        waveform = _resample(audio[0], check_sample_rate(audio[1]))
    else:
        raise AudioError(f"a {type(audio).__name__} is no sound: give a path or (waveform, sample_rate)")
    if len(waveform) < round(MIN_DURATION_S * SAMPLE_RATE):
        raise AudioError(
            f"{name} lasts {len(waveform) / SAMPLE_RATE:.4f} s: at least {MIN_DURATION_S} s of sound are needed"
        )
    if not np.isfinite(waveform).all():
        raise AudioError(f"{name} holds NaN or infinite samples: export it again, e.g. as 16-bit wav")
    return in_range(waveform)


def _resample(waveform: object, sample_rate: int) -> npt.NDArray[np.float32]:
    mono: npt.NDArray[np.float32] = as_channels(waveform).mean(axis=1, dtype=np.float32)  # (N, C) -> (N,)
    if sample_rate == SAMPLE_RATE or len(mono) == 0:
        return mono
    import soxr  # type: ignore[import-untyped]

    return np.asarray(soxr.resample(mono, sample_rate, SAMPLE_RATE, quality="HQ"), np.float32)


def _decode(path: Path, name: str) -> npt.NDArray[np.float32]:
    with path.open("rb") as file:
        if file.read(8) == b"ffconcat":  # ffmpeg would read the files it names
            raise AudioError(f"{name} is a list of files, not a sound: try a wav or mp3 file")
    child = ffmpeg.Child(
        [
            *ffmpeg.QUIET,
            *ffmpeg.file_input(path),
            *("-map", "0:a:0", "-af", ffmpeg.SOUND_FILTER, "-ac", "1", "-ar", str(SAMPLE_RATE)),
            *("-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"),
        ]
    )
    try:
        data = bytearray()
        while chunk := child.stdout.read(_CHUNK_BYTES):
            data += chunk
        status = child.wait()
    except BaseException:
        child.kill()
        raise
    if not data and (status or child.log):
        text = ffmpeg.header(path)
        if not text:
            raise AudioError(f"{name} is not a sound that ffmpeg can read ({child.reason()}): try a wav or mp3 file")
        if not ffmpeg.streams(text, "Audio"):
            raise AudioError(f"{name} has no sound track: give a sound file, or a video with sound")
        raise AudioError(f"the sound in {name} is damaged and cannot be decoded ({child.reason()}): export it again")
    if status or child.log:
        seconds = len(data) / 4 / SAMPLE_RATE
        logger.warning("%s is damaged in places, %.2f s of it are used (%s)", name, seconds, child.reason())
    return np.frombuffer(data, "<f4", count=len(data) // 4).astype(np.float32, copy=False)
