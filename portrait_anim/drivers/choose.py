"""Makes the driver that moves the faces of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portrait_anim.drivers.base import Driver
from portrait_anim.drivers.voice import VoiceDriver, VoiceNets
from portrait_anim.options import MotionOptions


def make_driver(given: Sequence[Any], n_faces: int, nets: VoiceNets, options: MotionOptions) -> Driver:
    """Load what moves the faces.

    Args:
        given: sounds, files or ``(samples, sample_rate)``.
        n_faces: how many faces move.
        nets: the set of weights that turns sound into motion.
        options: of the film.

    Raises:
        OptionError: a number of sounds that does not fit the faces.
        AudioError: as of :func:`portrait_anim.audio.load.load_sound`.
    """
    return VoiceDriver.load(given, n_faces, nets, options)
