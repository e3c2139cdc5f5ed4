"""The driver for live sound: each piece is analysed once, whatever the number of faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from portrait_anim.config import SAMPLE_RATE
from portrait_anim.drivers.base import Target
from portrait_anim.drivers.voice import VoiceNets
from portrait_anim.motion.space import Motion
from portrait_anim.options import MotionOptions
from portrait_anim.system.facts import Facts
from portrait_anim.system.weights import digests

Array = npt.NDArray[np.float32]

LIVE_NETS = ("hama_encoder",)  # weight files used for live sound, beside the motion model


class StreamDriver:
    """Motion while the sound comes.

    Args:
        targets: the faces.
        nets: the set of weights; run on the CPU whatever their device.
        options: head motion, blinks and seed; emotions are not used.
    """

    def __init__(self, targets: Sequence[Target], nets: VoiceNets, options: MotionOptions) -> None:
        self._nets = nets
        self._first: Array | None = None
        model = nets.model
        self._mouth = model.live_mouth()
        self._faces = [
            model.live_face(
                shape=target.shape, seed=options.seed + target.number, head_motion=options.head_motion,
                blinks=options.blinks,
            )
            for target in targets
        ]  # fmt: skip

    def facts(self) -> Facts:
        """Return the first piece as the source, and the weight files used."""
        first = np.zeros(0, np.float32) if self._first is None else self._first
        return Facts(((first, SAMPLE_RATE),), digests(*LIVE_NETS, self._nets.name))

    def push(self, samples: Array, *, last: bool = False) -> list[Motion]:
        """Take a piece of sound (N,) at 16 kHz; return the frames of each face that can be made by now, maybe none."""
        if self._first is None:
            self._first = samples
        heard = self._mouth.push(samples, last=last)
        return [face.push(*heard) for face in self._faces]
