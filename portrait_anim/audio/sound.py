"""A sound as it comes through the door: what the nets hear, what the film plays, and what it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import AudioError
from portrait_anim.fingerprint import Fingerprint
from portrait_anim.track import Track

Samples: TypeAlias = "tuple[npt.NDArray[Any], int]"

MAX_DURATION_S = 3 * 3600.0  # unless more is asked for; an hour takes about 1 GB of memory while it is heard


@dataclass(frozen=True, eq=False)
class Sound:
    """One sound.

    Attributes:
        name: how messages call it.
        waveform: (N,) float32 at 16 kHz, -1..1: what the nets hear.
        film: what ``video.writer.Writer`` puts into the film: a track of a file, or ``(samples, sample_rate)``.
        fingerprint: of the file; None for samples.
    """

    name: str
    waveform: npt.NDArray[np.float32]
    film: Track | Samples
    fingerprint: Fingerprint | None = None

    def check(self, *, may_be_gone: bool = False) -> None:
        """Raise AudioError unless the file is still the one that was heard; see :meth:`Fingerprint.check`."""
        if self.fingerprint is not None:
            self.fingerprint.check(AudioError, "sound", may_be_gone=may_be_gone)


def clock_time(seconds: float) -> str:
    """Return a time as it is shown: 3:02 or 1:00:05.

    >>> clock_time(182.2), clock_time(3605)
    ('3:02', '1:00:05')
    """
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def check_duration(name: str, duration_s: float, limit_s: float) -> None:
    """Raise AudioError when a sound of this duration is longer than is allowed."""
    if duration_s > limit_s:
        raise AudioError(
            f"{name} lasts {clock_time(duration_s)}, longer than the allowed {clock_time(limit_s)}: cut it, or allow "
            "more with --max-duration (max_duration=seconds; an hour takes about 1 GB of memory)"
        )
