"""The driver for recordings: one for all faces, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from portrait_anim.audio.load import load_sound
from portrait_anim.audio.sound import Sound, engines, tell_voices
from portrait_anim.audio.waveform import longer
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.drivers.base import Target
from portrait_anim.errors import OptionError
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.options import MotionOptions
from portrait_anim.system.device import pick_device
from portrait_anim.system.facts import Facts
from portrait_anim.system.weights import digests

if TYPE_CHECKING:
    from portrait_anim.motion.model import MotionModel, SoundAnalysis

RECORDING_NETS = ("hama_encoder", "whisper_tiny_encoder", "voice_detector")  # weight files used for recordings


@dataclass(frozen=True)
class VoiceNets:
    """A set of weights on a device; its nets are loaded when they are first asked for, once a process.

    Attributes:
        weights: ``"default"`` or ``"open"``.
        device: as in :func:`portrait_anim.system.device.pick_device`.
    """

    weights: str
    device: str

    @property
    def name(self) -> str:
        """Of the motion model's weight file."""
        return f"motion_{self.weights}"

    @cached_property
    def space(self) -> MotionSpace:
        """The basis that turns motion into mesh displacements; no net is loaded for it."""
        return MotionSpace.from_weights(self.weights)

    @property
    def model(self) -> MotionModel:
        """The nets."""
        from portrait_anim.motion.model import shared_model  # imports torch: only when everything else is in order

        return shared_model(self.weights, str(pick_device(self.device)))


class VoiceDriver:
    """Motion from recordings.

    Args:
        sounds: one, or one for each face; shorter ones are followed by silence.
        nets: the set of weights.

    Attributes:
        sounds: as given.
        duration_s: of the longest.
    """

    def __init__(self, sounds: Sequence[Sound], nets: VoiceNets) -> None:
        self.sounds, self._nets = sounds, nets
        self._n_samples = max(len(sound.waveform) for sound in sounds)
        self.duration_s = self._n_samples / SAMPLE_RATE

    @classmethod
    def load(cls, given: Sequence[Any], n_faces: int, nets: VoiceNets, options: MotionOptions) -> VoiceDriver:
        """Load the sounds: one for all faces, or one for each.

        Args:
            given: files or ``(samples, sample_rate)``.
            n_faces: how many move.
            nets: the set of weights.
            options: of the film; they hold the longest duration allowed.

        Raises:
            OptionError: another number of sounds.
            AudioError: as of :func:`portrait_anim.audio.load.load_sound`.
        """
        if len(given) > 1 and len(given) != n_faces:
            faces = "1 face" if n_faces == 1 else f"{n_faces} faces"
            raise OptionError(
                f"{len(given)} sounds for {faces}: give one for all or one for each, and name the faces with "
                "--face 1,2 (face=(1, 2))"
            )
        return cls([load_sound(sound, options.max_duration) for sound in given], nets)

    def facts(self, options: MotionOptions) -> Facts:
        """Return the sounds' sources and the weight files that make motion of them."""
        used = [*RECORDING_NETS, self._nets.name]
        if not options.timeline.neutral and self._nets.weights == "default":
            used.append("action_units")
        return Facts(tuple(sound.source for sound in self.sounds), {**digests(*used), **engines(self.sounds)})

    def motion(self, target: Target, options: MotionOptions) -> Motion:
        """Return a face's motion; the first call analyses the sounds."""
        return self._nets.model.motion(
            self._heard[target.number % len(self.sounds)], emotion=options.timeline, shape=target.shape,
            smile=target.smile, seed=options.seed + target.number, head_motion=options.head_motion,
            blinks=options.blinks,
        )  # fmt: skip

    @cached_property
    def _heard(self) -> list[SoundAnalysis]:
        model = self._nets.model
        heard = [model.analyse(longer(sound.waveform, self._n_samples)) for sound in self.sounds]
        tell_voices(self.sounds, [model.space.aperture(analysis.mouth) for analysis in heard])
        return heard
