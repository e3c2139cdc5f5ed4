"""Which driver moves the faces of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portrait_anim.drivers.base import Driver
from portrait_anim.drivers.curves import CurvesDriver
from portrait_anim.drivers.voice import VoiceDriver, VoiceNets
from portrait_anim.errors import OptionError
from portrait_anim.options import MotionOptions


def make_driver(given: Sequence[Any], n_faces: int, nets: VoiceNets, options: MotionOptions) -> Driver:
    """Load what moves the faces.

    Args:
        given: sounds, files or ``(samples, sample_rate)``.
        n_faces: how many faces move.
        nets: what hears sounds.
        options: of the film.

    Raises:
        OptionError: a number of sounds or motions that does not fit the faces, or neither of them.
        MotionError: as of :func:`portrait_anim.motion.files.read_motion`.
        AudioError: as of :func:`portrait_anim.audio.load.load_sound`.
    """
    if options.motion is not None:
        return CurvesDriver.load(given, n_faces, nets, options)
    if not given:
        raise OptionError("nothing moves the photo: give a sound, --actor or --motion")
    return VoiceDriver.load(given, n_faces, nets, options)
