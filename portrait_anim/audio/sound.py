"""A loaded sound: the waveform for the nets, what the film plays, and what it was read from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.loudness import NOTHING_DBFS, QUIET_DBFS, loud_dbfs
from portrait_anim.audio.track import Track
from portrait_anim.errors import AudioError
from portrait_anim.system.fingerprint import Fingerprint

logger = logging.getLogger(__name__)

OPEN_IOD = 0.03  # opening of the lips that can be seen; speech reaches .1 to .2, noise .01
HARDLY = 0.02  # share of a sound with such an opening below which the user is told that there is hardly any voice

Samples: TypeAlias = "tuple[npt.NDArray[Any], int]"


@dataclass(frozen=True, eq=False)
class Sound:
    """One sound.

    Attributes:
        name: how messages call it.
        waveform: (N,) float32 at 16 kHz, -1..1: what the nets hear.
        film: what ``video.writer.Writer`` puts into the film: a track of a file, or ``(samples, sample_rate)``.
        source: what it was made from: a file, as it was when it was read, or samples as they were given.
        models: what spoke it, for the manifest; of a text (:class:`portrait_anim.audio.spoken.Speech`).
    """

    name: str
    waveform: npt.NDArray[np.float32]
    film: Track | Samples
    source: Fingerprint | Samples
    models: Mapping[str, str] = field(default_factory=dict)


def clock_time(seconds: float) -> str:
    """Return a time as it is shown.

    >>> clock_time(2.51), clock_time(182.2), clock_time(3605)
    ('2.5 s', '3:02', '1:00:05')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def check_duration(name: str, duration_s: float, limit_s: float, *, at_least: bool = False) -> None:
    """Raise AudioError when a sound of this duration (or one of at least this duration) is longer than is allowed."""
    if duration_s > limit_s:
        lasts = "is" if at_least else f"lasts {clock_time(duration_s)},"
        raise AudioError(
            f"{name} {lasts} longer than the allowed {clock_time(limit_s)}: cut it, or allow more with --max-duration "
            "(max_duration=seconds; an hour needs 0.3 GB for temporary files)"
        )


def engines(sounds: Sequence[Sound]) -> dict[str, str]:
    """Return what spoke the sounds: name -> SHA-256; {} of recordings."""
    return {name: digest for sound in sounds for name, digest in sound.models.items()}


def tell_voices(sounds: Sequence[Sound], openings: Sequence[npt.NDArray[np.floating]]) -> None:
    """Note sounds in which there is no voice, or hardly any, or one so quiet that it was amplified for the nets.

    Args:
        sounds: those of the film.
        openings: for each (T,) the opening of the mouth, IOD.
    """
    for sound, opening in zip(sounds, openings, strict=True):
        _tell_voice(sound, opening)


def _tell_voice(sound: Sound, opening: npt.NDArray[np.floating]) -> None:
    level = loud_dbfs(sound.waveform)
    if level < NOTHING_DBFS:
        logger.info("%s is silent: the mouth rests", sound.name)
        return
    spoken = float((np.asarray(opening) > OPEN_IOD).mean())
    loud = f"its loudest parts reach {level:.0f} dBFS"
    if spoken < HARDLY:
        logger.info(
            "%s was heard in %s (%s): give a recording in which somebody speaks or sings close to the microphone",
            "hardly any voice" if spoken else "no voice", sound.name, loud,
        )  # fmt: skip
    elif level < QUIET_DBFS:
        logger.info("%s is very quiet (%s): the mouth follows it, but viewers may not hear it", sound.name, loud)
