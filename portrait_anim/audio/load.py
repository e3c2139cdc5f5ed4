"""Any sound -> what the nets hear (mono at 16 kHz) and what the film plays, through the bundled ffmpeg."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.file import open_file
from portrait_anim.audio.mix import contents_of, replaced
from portrait_anim.audio.notes import tell_better, tell_many, tell_strays
from portrait_anim.audio.sound import Samples, Sound, check_duration
from portrait_anim.audio.spoken import Speech
from portrait_anim.audio.track import MAX_MIXED_CHANNELS
from portrait_anim.audio.waveform import as_channels, check_sample_rate, in_range
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import AudioError
from portrait_anim.options import MAX_DURATION_S

MIN_DURATION_S = 0.2


def load_audio(
    audio: str | os.PathLike[str] | tuple[Any, int], max_duration: float = MAX_DURATION_S
) -> npt.NDArray[np.float32]:
    """Load a sound as mono at 16 kHz: the ``waveform`` of :func:`load_sound`.

    Shape:
        returns: (N,) float32 in [-1, 1], ``N = round(duration_s * 16000)``, a few samples more or less.
    """
    return load_sound(audio, max_duration).waveform


def load_sound(audio: str | os.PathLike[str] | tuple[Any, int], max_duration: float = MAX_DURATION_S) -> Sound:
    """Load a sound.

    Channels are mixed down (ffmpeg's downmix for files, the mean for arrays); where they cancel each other the loudest
    is taken. Sound louder than full scale (float files, floats in another range) is divided by its peak. A file that is
    damaged in places gives what can be decoded, with silence in the gaps; recordings that were joined in one file give
    all of their parts. Whatever was done is noted in the log, one line each. Digital silence is accepted.

    Args:
        audio: a file (wav, mp3, flac, ogg, opus, m4a, aac, a video with sound, whatever ffmpeg reads, but no list of
            other files), or ``(waveform, sample_rate)`` with the waveform (N,), (N, C) or (C, N), floats with full
            scale 1 or integers of 8 to 32 bit. Of several sound tracks the default one, or else the first that is
            not silent.
        max_duration: s; a longer sound is refused, before it is decoded where the file says how long it is.

    Raises:
        AudioError: no such file, a folder, empty, not a sound, a list of other files, no sound track, shorter than
            0.2 s, longer than ``max_duration``, NaN or infinite samples, an impossible
            sample rate or shape.
    """
    if isinstance(audio, (str, os.PathLike)):
        sound = open_file(audio, max_duration)
    elif isinstance(audio, (tuple, list)) and len(audio) == 2:
        sound = _array(audio[0], check_sample_rate(audio[1]), max_duration)
        if isinstance(audio, Speech):
            sound = replace(sound, name=audio.name, models=audio.models)
    else:
        raise AudioError(f"a {type(audio).__name__} is no sound: give a path or (waveform, sample_rate)")
    n_samples = len(sound.waveform)
    if n_samples < round(MIN_DURATION_S * SAMPLE_RATE):
        raise AudioError(
            f"{sound.name} lasts {n_samples / SAMPLE_RATE:.4f} s: at least {MIN_DURATION_S} s of sound are needed"
        )
    return sound


def _array(waveform: object, sample_rate: int, max_duration: float) -> Sound:
    name = "the waveform"
    channels = as_channels(waveform)  # (N, C)
    check_duration(name, len(channels) / sample_rate, max_duration)
    film: Samples = (channels, sample_rate)
    contents = None
    if channels.shape[1] > 1 or np.abs(channels).max(initial=0.0) > 1:
        contents = contents_of([channels], sample_rate)
        if contents.n_strays:
            tell_strays(name, contents)
            channels = channels.clip(-contents.usual_peak, contents.usual_peak)
            film = (channels, sample_rate)
        if channels.shape[1] > MAX_MIXED_CHANNELS:
            kept = contents.sounding()
            tell_many(name, channels.shape[1], len(kept))
            channels = channels[:, kept]
            film = (channels.mean(axis=1, dtype=np.float32), sample_rate)
            contents = contents_of([channels], sample_rate)
    mean: npt.NDArray[np.float32] = channels.mean(axis=1, dtype=np.float32)
    heard = _resampled(mean, sample_rate)
    if contents is not None and (cancels := contents.cancels).any():
        better = contents.better_channel(cancels)
        tell_better(name, better)
        heard = replaced(heard, _resampled(channels[:, better], sample_rate), cancels)
        if channels.shape[1] > 2:  # the film would play their mean
            film = (channels[:, better], sample_rate)
    return Sound(name, in_range(heard), film, (waveform, sample_rate))  # type: ignore[arg-type]


def _resampled(mono: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float32]:
    if sample_rate == SAMPLE_RATE or len(mono) == 0:
        return mono
    import soxr  # type: ignore[import-untyped]

    return np.asarray(soxr.resample(np.ascontiguousarray(mono), sample_rate, SAMPLE_RATE, quality="HQ"), np.float32)
