"""Any sound -> a mono waveform at 16 kHz, through the bundled ffmpeg."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim import ffmpeg
from portrait_anim.audio.stereo import keep_centre
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import AudioError
from portrait_anim.files import readable_file, shown
from portrait_anim.waveform import as_channels, check_sample_rate, in_range

logger = logging.getLogger(__name__)

MIN_DURATION_S = 0.2
_CHUNK_BYTES = 1 << 20
# ffmpeg's own downmix, and half the difference of left and right: 0 for mono, of surround for its downmix to stereo.
_MID_AND_SIDE = (
    f"[0:a:0]{ffmpeg.SOUND_FILTER},asplit[a][b];"
    f"[a]aresample=rematrix_maxval=1.0,aformat=flt:{SAMPLE_RATE}:mono[mid];"
    f"[b]aresample=rematrix_maxval=1.0,aformat=flt:{SAMPLE_RATE}:stereo,pan=mono|c0=0.5*c0-0.5*c1[side];"
    "[mid][side]amerge"
)


def load_audio(audio: str | os.PathLike[str] | tuple[Any, int]) -> npt.NDArray[np.float32]:
    """Load a sound as mono at 16 kHz.

    Channels are mixed down (ffmpeg's downmix for files, the mean for arrays), and of a stereo mix the middle, where a
    song's voice stands, is kept above the rest (:func:`portrait_anim.audio.stereo.keep_centre`). Sound louder than
    full scale (float files, floats in another range) is divided by its peak. A file that is damaged in places gives
    what can be decoded, with silence in the gaps and a warning in the log. Digital silence is fine.

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
    channels = as_channels(waveform)  # (N, C)
    mid = channels.mean(axis=1, dtype=np.float32)
    side = (channels[:, 0] - channels[:, 1]) / 2 if channels.shape[1] == 2 else np.zeros_like(mid)
    both = np.stack([mid, side], axis=1)
    if sample_rate != SAMPLE_RATE and len(mid):
        import soxr  # type: ignore[import-untyped]

        both = np.asarray(soxr.resample(both, sample_rate, SAMPLE_RATE, quality="HQ"), np.float32)
    return keep_centre(*both.T)


def _decode(path: Path, name: str) -> npt.NDArray[np.float32]:
    with path.open("rb") as file:
        if file.read(8) == b"ffconcat":  # ffmpeg would read the files it names
            raise AudioError(f"{name} is a list of files, not a sound: try a wav or mp3 file")
    child = ffmpeg.Child(
        [
            *ffmpeg.QUIET,
            *ffmpeg.file_input(path),
            *("-filter_complex", _MID_AND_SIDE, "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"),
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
        seconds = len(data) / 8 / SAMPLE_RATE
        logger.warning("%s is damaged in places, %.2f s of it are used (%s)", name, seconds, child.reason())
    return keep_centre(*np.frombuffer(data, "<f4", count=len(data) // 8 * 2).reshape(-1, 2).T)
