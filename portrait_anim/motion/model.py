"""From sound to face motion: all the nets in one object.

waveform -> frozen speech encoders -> audio encoder (latents) -> generator -> mouth, times the voice gate
                                                   latents -> upper-face generator -> lids, brows, gaze, head
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from portrait_anim.audio.ears import Ears, EarsConfig, Hearing
from portrait_anim.audio.encoder import AudioEncoder, AudioEncoderConfig
from portrait_anim.audio.kept import PIECE, let_go, room
from portrait_anim.audio.level import audible
from portrait_anim.audio.speech import (
    SAMPLES_PER_FEATURE,
    SpeechConfig,
    SpeechFeatures,
    frame_count,
    frame_rms,
    gain_of,
)
from portrait_anim.audio.vad import GateConfig, VoiceDetector, gate_of, opening_of
from portrait_anim.config import FEATURES_PER_FRAME, FPS, SAMPLES_PER_FRAME
from portrait_anim.motion.emotion import activations, keep_closures
from portrait_anim.motion.mouth import Generator, GeneratorConfig
from portrait_anim.motion.space import Motion, MotionSpace
from portrait_anim.motion.streaming import HOP, LiveMotion, LiveMouth, LiveNets, LiveUpper
from portrait_anim.motion.upper import UpperConfig, UpperGenerator, upper_motion
from portrait_anim.options import WEIGHT_SETS, EmotionTimeline, check_choice
from portrait_anim.system.threads import in_order, one_thread_each
from portrait_anim.system.torch_guard import check_fork, undrawn
from portrait_anim.system.weights import load_metadata, load_tensors

UPPER = "upper."  # names of the upper face's tensors in a weight file begin with this
LIVE = "live."  # those of the ears for live sound with this


@dataclass(frozen=True)
class MotionModelConfig:
    """Sizes and options of all the nets; kept in the header of the weight file, as JSON."""

    speech: SpeechConfig = field(default_factory=SpeechConfig)
    encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    upper: UpperConfig = field(default_factory=UpperConfig)
    live: EarsConfig = field(default_factory=EarsConfig)

    def to_json(self) -> str:
        """Return the config as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> MotionModelConfig:
        """Read what :meth:`to_json` wrote."""

        def tuples(line: dict[str, object]) -> dict[str, object]:
            return {key: tuple(value) if isinstance(value, list) else value for key, value in line.items()}

        parts = json.loads(text)
        return cls(
            SpeechConfig(**tuples(parts["speech"])),  # type: ignore[arg-type]
            AudioEncoderConfig(**tuples(parts["encoder"])),  # type: ignore[arg-type]
            GeneratorConfig(**tuples(parts["generator"])),  # type: ignore[arg-type]
            UpperConfig(**tuples(parts["upper"])),  # type: ignore[arg-type]
            replace(
                EarsConfig(**parts["live"]),
                encoder=AudioEncoderConfig(**tuples(parts["live"]["encoder"])),  # type: ignore[arg-type]
            ),
        )


class MouthNet(nn.Module):
    """The trained mouth net: speech features (B, C, T50) -> mouth coefficients (B, K, T25) in IOD."""

    scale: Tensor

    def __init__(self, config: MotionModelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MotionModelConfig()
        self.encoder = AudioEncoder(config.encoder)
        self.generator = Generator(config.generator)
        self.register_buffer("scale", torch.ones(config.generator.n_components))  # spread of each coefficient, IOD

    def forward(self, values: Tensor, mean: Tensor | None = None) -> Tensor:
        """Map features to coefficients; ``mean`` as in :class:`AudioEncoder`."""
        return self.mouth(self.encoder(values, mean))

    def mouth(self, latents: Tensor) -> Tensor:
        """Latents (B, width, T25) -> mouth coefficients (B, K, T25) in IOD."""
        mouth: Tensor = self.generator(latents) * self.scale[:, None]
        return mouth


@dataclass(frozen=True)
class SoundAnalysis:
    """The analysis of one recording: what the mouth does, and latents for the rest of the face; reused for every face.

    Attributes:
        waveform: (N,) at 16 kHz.
        mouth: (T, K) mouth coefficients, IOD, at 25 fps.
        latents: (T, C) output of the :class:`AudioEncoder`, at 25 fps.
    """

    waveform: npt.NDArray[np.float32]
    mouth: npt.NDArray[np.float32]
    latents: npt.NDArray[np.float32]


class MotionModel:
    """Waveform -> :class:`Motion`.

    Attributes:
        gate: where the voice gate opens, for whole recordings and live.
    """

    def __init__(
        self, speech: SpeechFeatures, vad: VoiceDetector, net: MouthNet, upper: UpperGenerator, space: MotionSpace,
        ears: Ears, gate: GateConfig | None = None,
    ) -> None:  # fmt: skip
        self.gate = gate or GateConfig()
        self.speech, self.vad, self.net, self.upper, self.space = speech, vad, net, upper, space
        self.ears = ears

    @classmethod
    def from_weights(cls, name: str = "default", device: str | torch.device = "cpu") -> MotionModel:
        """Load one of the two shipped sets.

        Raises:
            OptionError: ``name`` is not ``default`` or ``open``.
            WeightsError: a file is missing or damaged.
        """
        check_choice("weights", name, WEIGHT_SETS)
        entry = f"motion_{name}"
        tensors = load_tensors(entry)
        del tensors["basis"]
        config = MotionModelConfig.from_json(load_metadata(entry)["config"])
        net, upper = MouthNet(config), UpperGenerator(config.upper)
        ears = Ears(config.live)
        for prefix, part in ((UPPER, upper), (LIVE, ears), ("", net)):
            mine = {name: tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}
            part.load_state_dict({name.removeprefix(prefix): value for name, value in mine.items()})
            part.requires_grad_(False).eval()
        net.to(device)  # upper face and ears stay on the CPU: small, and the same motion on every device
        speech = SpeechFeatures.from_weights(device, config.speech)
        space = MotionSpace.from_weights(name)
        return cls(speech, VoiceDetector.from_weights().to(device), net, upper, space, ears)

    @torch.no_grad()
    def analyse(self, waveform: npt.NDArray[np.float32]) -> SoundAnalysis:
        """Analyse a recording (N,) at 16 kHz, -1..1; the mouth rests where nobody speaks or sings.

        A very quiet recording is amplified first. It is encoded in windows of 20 s that begin at fixed times and
        overlap (:meth:`SpeechFeatures.windows`), two at a time, each in one thread. Only their mouth and latents are
        kept, not their speech features.
        """
        gain, gate_config = audible(waveform, self.gate)
        n_frames, space = frame_count(len(waveform)), self.space
        long_rms, short_rms = _levels(waveform, gain, n_frames)
        level = gain_of(long_rms[None], self.speech.config)[0]  # of the amplified sound: in two steps, as it is rounded
        windows = list(self.speech.windows(FEATURES_PER_FRAME * n_frames))

        @torch.no_grad()
        def heard(number: int) -> tuple[Tensor, Tensor]:
            samples = _stretch(waveform, *windows[number].samples) * float(gain) * level
            values = self.speech.encode(samples[None].to(self.net.scale.device)).values
            latents = self.net.encoder(values)
            return torch.cat([self.net.mouth(latents), latents], 1)[0].T.cpu(), self.vad(values)[0].cpu()

        mouth, odds = torch.zeros(n_frames, space.n_components), torch.zeros(n_frames)
        latents = room((n_frames, self.net.config.encoder.width))
        with one_thread_each():
            for window, (rows, chances) in zip(windows, in_order(heard, len(windows)), strict=True):
                share = window.weight.view(-1, FEATURES_PER_FRAME).mean(1)
                at = slice(window.start // FEATURES_PER_FRAME, window.end // FEATURES_PER_FRAME)
                rows *= share[:, None]  # (T, K + C)
                mouth[at] += rows[:, : space.n_components]
                latents[at] += rows[:, space.n_components :].numpy()
                odds[at] += chances * share
                let_go(waveform)
                let_go(latents)
        gate = gate_of(opening_of(short_rms, n_frames, gate_config), odds, gate_config)[:, None]  # (T, 1)
        return SoundAnalysis(waveform, (mouth * gate).numpy(), latents)

    def live_nets(self) -> LiveNets:
        """Return the nets for live sound (sound that still comes), on the CPU."""
        return LiveNets(Hearing.from_weights(), self.ears, deepcopy(self.net).cpu())

    def live_mouth(self, hop: int = HOP) -> LiveMouth:
        """Return the analysis of live sound, for any number of faces, on the CPU; ``hop`` as in :meth:`live`."""
        with undrawn():
            return LiveMouth(self.live_nets(), hop, self.gate)

    def live_face(
        self, *, shape: npt.NDArray[np.floating] | None = None, seed: int = 0, head_motion: float = 1.0,
        blinks: float = 1.0,
    ) -> LiveUpper:  # fmt: skip
        """Return what makes one face's motion from :meth:`live_mouth`'s output; arguments as of :meth:`motion`."""
        return LiveUpper(self.upper, shape=shape, seed=seed, head_motion=head_motion, blinks=blinks)

    def live(
        self, *, shape: npt.NDArray[np.floating] | None = None, seed: int = 0, head_motion: float = 1.0,
        blinks: float = 1.0, hop: int = HOP,
    ) -> LiveMotion:  # fmt: skip
        """Return what makes one face's motion from live sound, always on the CPU.

        Args:
            shape: the photo's face.
            seed: of the blinks, the gaze and the head.
            head_motion: 0 to 2.
            blinks: 0 to 3.
            hop: frames made at a time.
        """
        face = self.live_face(shape=shape, seed=seed, head_motion=head_motion, blinks=blinks)
        return LiveMotion(self.live_mouth(hop), face)

    def motion(
        self,
        sound: npt.NDArray[np.float32] | SoundAnalysis,
        *,
        emotion: EmotionTimeline | None = None,
        shape: npt.NDArray[np.floating] | None = None,
        smile: float = 0.0,
        seed: int = 0,
        head_motion: float = 1.0,
        blinks: float = 1.0,
    ) -> Motion:
        """Return the motion for a sound.

        Args:
            sound: a waveform (N,) at 16 kHz, -1..1, or its analysis, which serves several faces.
            emotion: which emotions the face shows at which times; None is neutral.
            shape: (478, 3) IOD, the photo's face with its pose removed; None is the average face.
            smile: how much the photo smiles, 0..1, see :func:`portrait_anim.motion.emotion.photo_smile`.
            seed: of the blinks, the gaze and the head; the mouth does not depend on it.
            head_motion: 0 (perfectly still) to 2 (lively).
            blinks: 0 (none) to 3, times the natural rate.

        Returns:
            round(duration x 25) frames at 25 fps; the mouth rests where nobody speaks or sings.
        """
        heard = sound if isinstance(sound, SoundAnalysis) else self.analyse(sound)
        mouth, n_frames = heard.mouth, len(heard.mouth)
        upper_part = upper_motion(
            self.upper, heard.latents, shape=shape, seed=seed, head_motion=head_motion, blinks=blinks
        )  # fmt: skip
        expression = np.zeros((n_frames, 0), np.float32)
        if emotion is not None and not emotion.neutral and len(self.space.expressions):  # loaded here, if not before
            expression = activations(emotion, n_frames, FPS, seed, heard.waveform, smile)
            expression = keep_closures(expression, self.space.aperture(mouth), FPS)
        return Motion(expression=expression, mouth=mouth, **vars(upper_part))


def _stretch(waveform: npt.NDArray[np.float32], start: int, end: int) -> Tensor:
    """Return (end - start,) samples, silence beyond the end."""
    part = np.zeros(end - start, np.float32)
    part[: len(waveform[start:end])] = waveform[start:end]
    return torch.from_numpy(part)


def _levels(waveform: npt.NDArray[np.float32], gain: np.float32, n_frames: int) -> tuple[Tensor, Tensor]:
    """Return the RMS of all frames of 25 ms and of 20 ms of a recording that is trimmed or filled to ``n_frames``."""
    long, short, end = [], [], n_frames * SAMPLES_PER_FRAME
    for start in range(0, end, PIECE):
        part = _stretch(waveform, start, min(start + PIECE, end)) * float(gain)
        long.append(frame_rms(part))
        short.append(frame_rms(part, SAMPLES_PER_FEATURE))
        let_go(waveform)
    return torch.cat(long), torch.cat(short)


_loading = Lock()
_loaded = cache(MotionModel.from_weights)


def shared_model(name: str = "default", device: str = "cpu") -> MotionModel:
    """Return a set's model, loaded once a process.

    Raises:
        ForkError: the nets would hang in this process.
        OptionError, WeightsError: as of :meth:`MotionModel.from_weights`.
    """
    check_fork()
    with _loading, undrawn():
        return _loaded(name, device)
