"""The voice gate: a factor 0..1 on the mouth's motion, near 0 in music, noise and silence.

A small net, the voice detector (:class:`VoiceDetector`), tells from the speech features whether somebody speaks or
sings. hama's phoneme probabilities cannot: they are low inside a vowel held for seconds and in most songs with much
reverberation (docs/ablation.md). The gate also shuts where the recording itself is silent: speech features are computed
after amplification, in which faint noise may look like a voice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from portrait_anim.audio.encoder import AudioEncoder, AudioEncoderConfig
from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, SpeechConfig, fit_length, frame_rms
from portrait_anim.config import FEATURE_RATE, FEATURES_PER_FRAME, FPS
from portrait_anim.system.weights import load_metadata, load_tensors

WEIGHTS = "voice_detector"  # name in the registry


@dataclass(frozen=True)
class VoiceDetectorConfig:
    """Sizes; travels with the weights.

    Attributes:
        n_features: channels of the speech features.
        width: channels inside.
        dilations: one residual block each.
    """

    n_features: int = SpeechConfig().n_channels
    width: int = 48
    dilations: tuple[int, ...] = (1, 2, 4)


class VoiceDetector(nn.Module):
    """Speech features (B, C, T50) -> log odds of a voice (B, T25); a frame depends on about .4 s to either side.

    Unlike the mouth's encoder it does not subtract each recording's mean, which differs between music and voices.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: VoiceDetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VoiceDetectorConfig()
        self.register_buffer("mean", torch.zeros(config.n_features))  # of each feature over many recordings
        self.register_buffer("spread", torch.ones(config.n_features))
        self.encoder = AudioEncoder(
            AudioEncoderConfig(config.n_features, config.width, config.dilations, remove_mean=False)
        )
        self.odds = nn.Conv1d(config.width, 1, 1)

    @classmethod
    def from_weights(cls) -> VoiceDetector:
        """Load the registered weights, frozen.

        Raises:
            WeightsError: the file is missing or does not match the registry.
        """
        lines = json.loads(load_metadata(WEIGHTS)["config"])
        detector = cls(VoiceDetectorConfig(lines["n_features"], lines["width"], tuple(lines["dilations"])))
        detector.load_state_dict(load_tensors(WEIGHTS))
        return detector.requires_grad_(False).eval()

    def normalise(self, values: Tensor) -> Tensor:
        """(B, C, T50) -> the same with mean 0 and spread 1 over many recordings."""
        return (values - self.mean[:, None]) / self.spread[:, None]

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, T50) of :attr:`portrait_anim.audio.speech.Features.values` -> (B, T25)."""
        odds: Tensor = self.odds(self.encoder(self.normalise(values)))[:, 0]
        return odds


WHOLE_ONLY = ("average_s",)  # fields of GateConfig that have no meaning live


@dataclass(frozen=True)
class GateConfig:
    """When the gate opens and how fast, for whole recordings (:func:`voice_gate`) and live sound (``LiveGate``).

    Every field but ``average_s`` counts in both. Live sound has no future: of a stretch centred on a frame only the
    part before the frame is used.

    Attributes:
        average_s: s over which the log odds are averaged, centred. For whole recordings only (:data:`WHOLE_ONLY`): an
            average over the past alone would open the gate later, and the streaming encoder's odds need none.
        threshold: averaged log odds at which the gate is half open.
        softness: change of the log odds from there at which it is open to .73, or to .27.
        level_s: s over which the level counts as that of its loudest 20 ms, so that gaps between words are no silence;
            live the loudest 40 ms of the half before the frame.
        silent_dbfs: level at (and below) which the gate is shut whatever the net says.
        heard_dbfs: level from which on only the net counts; linear in between.
        hold_s: s before and after a voice for which the gate stays open, since mouths open before they sound; live
            only after it.
        attack_s: s from shut to open, at least.
        release_s: s from open to shut, at least.
    """

    average_s: float = 0.3
    threshold: float = 1.5
    softness: float = 1.0
    level_s: float = 0.6
    silent_dbfs: float = -60.0
    heard_dbfs: float = -50.0
    hold_s: float = 0.08
    attack_s: float = 0.08
    release_s: float = 0.2


def moving_average(values: Tensor, length: int) -> Tensor:
    """Return the centred mean of ``length`` (odd) neighbours, (T,) -> (T,); at the ends of those that exist."""
    half = length // 2
    sums = functional.avg_pool1d(values[None], length, 1, half, count_include_pad=False)
    return sums[0]  # (T,)


def level_opening(waveform: Tensor, n_frames: int, config: GateConfig) -> Tensor:
    """Return how far the recording's own level lets the gate open, (N,) -> (n_frames,) 0..1 at 25 Hz."""
    return opening_of(frame_rms(fit_length(waveform), SAMPLES_PER_FEATURE), n_frames, config)


def opening_of(rms: Tensor, n_frames: int, config: GateConfig) -> Tensor:
    """Return the same of the RMS (T50,) of all frames of 20 ms."""
    rms = rms[: FEATURES_PER_FRAME * n_frames]
    half = round(config.level_s * FEATURE_RATE / 2)
    loudest = functional.max_pool1d(rms[None], 2 * half + 1, 1, half)[0]  # (T50,)
    dbfs = 20 * loudest.clamp(min=1e-8).log10()
    opening = ((dbfs - config.silent_dbfs) / (config.heard_dbfs - config.silent_dbfs)).clamp(0, 1)
    return opening.view(-1, FEATURES_PER_FRAME).mean(dim=-1)  # (T25,)


def follow(target: Tensor, rise: float, fall: float) -> Tensor:
    """Limit the change per step of (T,) to ``rise`` upwards and ``fall`` downwards, starting at its first value."""
    level = float(target[0])
    levels = []
    for wanted in target.tolist():
        level = min(wanted, level + rise) if wanted > level else max(wanted, level - fall)
        levels.append(level)
    return torch.tensor(levels, dtype=target.dtype, device=target.device)


def voice_gate(waveform: Tensor, odds: Tensor, config: GateConfig | None = None) -> Tensor:
    """Return how far the gate is open.

    Args:
        waveform: (N,) at 16 kHz as recorded (before any level change).
        odds: (T25,) of :class:`VoiceDetector` for the same sound.
        config: when the gate opens.

    Returns:
        (T25,) in 0..1: near 1 while somebody speaks or sings, near 0 in silence and instrumental music.
    """
    config = config or GateConfig()
    return gate_of(level_opening(waveform, len(odds), config), odds, config)


def gate_of(opening: Tensor, odds: Tensor, config: GateConfig) -> Tensor:
    """Return the same, given how far the recording's level lets the gate open, (T25,)."""
    heard = moving_average(odds, 2 * round(config.average_s * FPS / 2) + 1)
    target = torch.sigmoid((heard - config.threshold) / config.softness)
    target = target * opening
    half = round(config.hold_s * FPS)
    target = functional.max_pool1d(target[None], 2 * half + 1, 1, half)[0]
    return follow(target, 1 / (config.attack_s * FPS), 1 / (config.release_s * FPS))
