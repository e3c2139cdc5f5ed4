"""Amplifies recordings that are too quiet for the speech nets: whispers, far microphones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.loudness import NOTHING_DBFS, QUIET_DBFS, loud_dbfs
from portrait_anim.audio.speech import SpeechConfig
from portrait_anim.audio.vad import GateConfig

RAISED_THRESHOLD = 7.0  # log odds of a voice at which the gate opens in an amplified recording: its noise has up to 6


def audible(waveform: npt.NDArray[np.float32], gate: GateConfig) -> tuple[np.float32, GateConfig]:
    """Return what a sound (N,) at 16 kHz is multiplied by before the nets take it, and the gate's setting for it.

    A recording whose loud parts lie between -85 and -50 dBFS is brought to the level that the speech encoders were
    trained at. Its noise is amplified with it, so the gate then asks for a clearer voice. All others are left as they
    are: 1, and ``gate``.
    """
    level = loud_dbfs(waveform)
    if not NOTHING_DBFS <= level < QUIET_DBFS:
        return np.float32(1), gate
    gain = np.float32(10 ** ((SpeechConfig().level_dbfs - level) / 20))
    return gain, replace(gate, threshold=RAISED_THRESHOLD)
