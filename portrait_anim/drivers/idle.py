"""Nothing moves the faces but themselves: they wait, blink and breathe, with shut mouths, in a silent film."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.sound import Sound
from portrait_anim.config import FPS
from portrait_anim.drivers.base import Target
from portrait_anim.drivers.voice import RECORDING_NETS, VoiceNets
from portrait_anim.motion.emotion import FULL_S, activations
from portrait_anim.motion.idle import idle_motion, silence
from portrait_anim.motion.loop import closed
from portrait_anim.motion.space import Motion
from portrait_anim.options import MotionOptions
from portrait_anim.system.facts import Facts
from portrait_anim.system.weights import digests

Array = npt.NDArray[np.float32]


class IdleDriver:
    """Motion of faces that wait.

    Args:
        duration_s: of the film.
        nets: the set of weights; its speech nets hear six seconds of silence.

    Attributes:
        sounds: none.
        duration_s: as given.
    """

    sounds: Sequence[Sound] = ()

    def __init__(self, duration_s: float, nets: VoiceNets) -> None:
        self.duration_s, self._nets = duration_s, nets

    def facts(self, options: MotionOptions) -> Facts:
        """Return the weight files."""
        used = [*RECORDING_NETS, self._nets.name]
        if not options.timeline.neutral and self._nets.weights == "default":
            used.append("action_units")
        return Facts((), digests(*used))

    def motion(self, target: Target, options: MotionOptions) -> Motion:
        """Return a face's motion at 25 fps."""
        n_frames, seed, model = max(1, round(self.duration_s * FPS)), options.seed + target.number, self._nets.model
        upper = idle_motion(
            model, self._silence, n_frames, loop=options.loop, shape=target.shape, seed=seed,
            head_motion=options.head_motion, blinks=options.blinks,
        )  # fmt: skip
        expression = np.zeros((n_frames, 0), np.float32)
        if not options.timeline.neutral and len(self._nets.space.expressions):
            expression = self._felt(target, options, n_frames)
        mouth = np.zeros((n_frames, self._nets.space.n_components), np.float32)
        return Motion(expression=expression, mouth=mouth, **vars(upper))

    def _felt(self, target: Target, options: MotionOptions, n_frames: int) -> Array:
        """Return the activations of an emotion; one that lasts the whole film is there from a loop's first frame on."""
        parts = options.timeline.segments
        lasting = options.loop and len(parts) == 1 and parts[0].start_s == 0 and math.isinf(parts[0].end_s)
        before = math.ceil(FULL_S * FPS) if lasting else 0
        seed = options.seed + target.number
        felt = activations(options.timeline, before + n_frames, FPS, seed, None, target.smile)[before:]
        return closed(felt, FPS) if options.loop else felt

    @cached_property
    def _silence(self) -> Array:
        return silence(self._nets.model)
