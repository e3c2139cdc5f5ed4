"""Makes the driver that moves the faces of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portrait_anim.drivers.base import Driver
from portrait_anim.drivers.voice import VoiceDriver, VoiceNets
from portrait_anim.errors import OptionError
from portrait_anim.options import MotionOptions


def make_driver(given: Sequence[Any], n_faces: int, nets: VoiceNets, options: MotionOptions) -> Driver:
    """Load what moves the faces.

    Args:
        given: sounds, files or ``(samples, sample_rate)``; none where an actor's video moves the faces.
        n_faces: how many faces move.
        nets: the set of weights that turns sound into motion.
        options: of the film.

    Raises:
        OptionError: a number of sounds or motions that does not fit the faces, nothing that moves them, or both an
            actor and a motion.
        MotionError: as of :func:`portrait_anim.motion.files.read_motion`.
        AudioError: as of :func:`portrait_anim.audio.load.load_sound`.
        VideoError, NoFaceError: as of :meth:`portrait_anim.drivers.actor.ActorDriver.load`.
    """
    if options.idle is not None:
        if given:
            raise OptionError("idle is a film without a sound: give a sound or --idle SECONDS, not both")
        from portrait_anim.drivers.idle import IdleDriver

        return IdleDriver(options.idle, nets)
    if options.actor is not None and options.motion is not None:
        raise OptionError("an actor's video and a motion file both move the face: give --actor or --motion, not both")
    if options.actor is not None:
        return _acted(given, n_faces, nets, options)
    if options.motion is not None:
        from portrait_anim.drivers.curves import CurvesDriver  # an extra reader's libraries are loaded only when used

        return CurvesDriver.load(given, n_faces, nets, options)
    if not given:
        raise OptionError(
            "nothing moves the photo: give a sound, --say TEXT, --actor VIDEO, --motion FILE or --idle SECONDS"
        )
    return VoiceDriver.load(given, n_faces, nets, options)


def _acted(given: Sequence[Any], n_faces: int, nets: VoiceNets, options: MotionOptions) -> Driver:
    """Load an actor's video, and a voice where one moves the lips."""
    from portrait_anim.drivers.actor import ActorDriver  # scipy.signal takes long to import
    from portrait_anim.drivers.blend import BlendDriver

    voice = VoiceDriver.load(given, n_faces, nets, options) if given else None
    actor = ActorDriver.load(None if voice is None else voice.sounds, nets, options)
    if options.lips == "actor" or (options.lips == "auto" and voice is None):
        return actor
    if not actor.sounds:
        raise OptionError("lips 'voice' need a sound, and the actor's video has none: give one, or --lips actor")
    return BlendDriver(voice or VoiceDriver(actor.sounds, nets), actor)
