"""A voice moves the lips, an actor everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from portrait_anim.audio.sound import Sound
from portrait_anim.config import FPS
from portrait_anim.drivers.actor import ActorDriver
from portrait_anim.drivers.base import Target
from portrait_anim.drivers.voice import VoiceDriver
from portrait_anim.face.mesh import MOUTH_CORNERS
from portrait_anim.motion.action_units import REACH, TRACKS
from portrait_anim.motion.space import Motion, lower_face_weight
from portrait_anim.options import MotionOptions
from portrait_anim.system.facts import Facts

Array = npt.NDArray[np.float32]

SLOW_S = 0.5  # Gaussian: what of the corners' height is expression, and not speech
MOST = 1.2  # activation of the lip corner puller that comes from an actor at most


class BlendDriver:
    """The mouth of one driver, the rest of another.

    Args:
        voice: moves the lips, and its sounds are played.
        actor: moves the rest; the smile that lips show slowly comes from it too.

    Attributes:
        sounds: the voice's.
        duration_s: the voice's; after the actor's video has ended the face rests, but for its lips.
    """

    def __init__(self, voice: VoiceDriver, actor: ActorDriver) -> None:
        self._voice, self._actor = voice, actor
        self.sounds: Sequence[Sound] = voice.sounds
        self.duration_s = voice.duration_s

    def facts(self, options: MotionOptions) -> Facts:
        """Return the sources and weight files of both."""
        voice, actor = self._voice.facts(options), self._actor.facts(options)
        return Facts(voice.sources, {**actor.models, **voice.models}, actor.more)

    def motion(self, target: Target, options: MotionOptions) -> Motion:
        """Return a face's motion."""
        voice = self._voice.motion(target, replace(options, head_motion=0.0, blinks=0.0))
        actor = self._actor.motion(target, replace(options, emotion=None), len(voice))
        smile = np.zeros((len(voice), len(TRACKS)), np.float32)
        for corner, side in zip(MOUTH_CORNERS, ("image_left", "image_right"), strict=True):
            lifted = gaussian_filter1d(actor.mesh[:, corner, 1], SLOW_S * FPS, mode="nearest")
            smile[:, TRACKS.index(f"AU12_{side}")] = np.clip(lifted / REACH["AU12"].iod, 0, MOST)
        shown = actor.expression + smile
        if voice.expression.shape[1]:
            shown = shown + voice.expression
        upper = (1 - lower_face_weight())[:, None]
        return replace(actor, mouth=voice.mouth, mesh=(actor.mesh * upper).astype(np.float32), expression=shown)
